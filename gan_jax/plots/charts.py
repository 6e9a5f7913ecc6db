"""Charts of a run: training curves and plain line plots.

Only matplotlib's object interface is used, so no display is needed and no global state is touched. The
colours are those of Okabe and Ito, which colour-blind readers can tell apart: what belongs to D or to real
data is blue, what belongs to G or is generated is vermillion or orange.
"""

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from gan_jax.plots.files import picture_format, write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, VERMILLION, SKY, ORANGE = "#0072B2", "#D55E00", "#56B4E9", "#E69F00"
GREEN, PURPLE, BLACK, GREY = "#009E73", "#CC79A7", "#000000", "#777777"
CYCLE = (BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY, BLACK)
DASHES = ("-", "--", "-.", ":")

# Panels of `save_curves`: title -> (key in the record, label, colour, measured on held-out data?).
PANELS = {
    "loss": (("d_loss", "D", BLUE, False), ("g_loss", "G", VERMILLION, False)),
    "balance": (
        ("d_accuracy", "d_accuracy", BLUE, False),
        ("g_accuracy", "g_accuracy", VERMILLION, False),
        ("dis_acc", "dis_acc, held out", SKY, True),
        ("gan_acc", "gan_acc, held out", ORANGE, True),
    ),
    "mean logit": (
        ("real_logits", "real", BLUE, False),
        ("fake_logits", "generated", VERMILLION, False),
    ),
    "gradient norm": (
        ("d_grad_norm", "D", BLUE, False),
        ("g_grad_norm", "G", VERMILLION, False),
    ),
}


def new_figure(width: float, height: float) -> "Figure":
    """A figure with its own canvas, outside pyplot; inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def write_figure(figure: "Figure", path: str | os.PathLike) -> None:
    """Save a figure in the format that the extension names, whole or not at all."""
    extension = picture_format(path)
    write_atomically(path, lambda file: figure.savefig(file, format=extension, dpi=110))


def style_axes(axes: "Axes") -> None:
    """Draw a pale grid behind, and no frame above and to the right."""
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _short_numbers(axis) -> None:
    """Few ticks, with 100000 written as 100k."""
    from matplotlib.ticker import EngFormatter, MaxNLocator

    axis.set_major_locator(MaxNLocator(6, integer=True))
    axis.set_major_formatter(EngFormatter(sep=""))


def _add_legend(axes) -> None:
    """Put the legend into head-room above the curves, where it covers none of them."""
    low, high = axes.get_ylim()
    if axes.get_yscale() == "log":
        axes.set_ylim(low, high * (high / low) ** 0.2)
    else:
        axes.set_ylim(low, high + 0.2 * (high - low))
    frame = {"facecolor": "white", "edgecolor": "none", "borderaxespad": 0.1}
    axes.legend(loc="upper right", ncols=2, fontsize=8.5, **frame)


def _draw_metric(axes, steps, values, label, colour, held_out) -> None:
    """Draw a metric where it is finite: dots if held out or short, else a line, smoothed if long."""
    keep = np.isfinite(values)
    if axes.get_yscale() == "log":
        keep &= np.where(keep, values, 0.0) > 0
    steps, values = steps[keep], values[keep]
    window = len(steps) // 40
    if held_out or len(steps) < 3:
        axes.plot(steps, values, "o-", color=colour, label=label, markersize=4, linewidth=1.2)
    elif window < 3:
        axes.plot(steps, values, color=colour, label=label, linewidth=1.5)
    else:
        axes.plot(steps, values, color=colour, alpha=0.3, linewidth=0.7)
        smooth = np.convolve(values, np.full(window, 1 / window), mode="valid")
        middle = slice(window // 2, window // 2 + len(smooth))
        axes.plot(steps[middle], smooth, color=colour, label=label, linewidth=1.8)


def _column(records, key) -> np.ndarray:
    """One metric of all records; NaN where it is absent or null."""
    return np.array([record.get(key) for record in records], np.float64)  # None becomes NaN


def _add_images_axis(axes, steps, images) -> None:
    """Show images above, where they are steps times one factor (the batch size)."""
    known = np.isfinite(images) & (steps > 0)
    if not known.any():
        return
    ratios = images[known] / steps[known]
    factor = ratios[-1]
    if factor > 0 and np.allclose(ratios, factor, rtol=0.01):
        functions = (lambda step: step * factor, lambda shown: shown / factor)
        top = axes.secondary_xaxis("top", functions=functions)
        top.set_xlabel("real images shown to D")
        _short_numbers(top.xaxis)


def save_curves(
    records: Sequence[Mapping[str, float | None]], path: str | os.PathLike, *, title: str = ""
) -> None:
    """Save the curves of a run: losses, balance, mean logits, gradient norms.

    Long curves are shown as a moving average over a fortieth of their length, with the raw values pale
    behind. The balance panel marks 0.5, where all its curves lie when D cannot tell real from generated.
    Where a loss is no longer finite, a dotted line marks the first such step. Metrics that are absent, null
    or NaN in some records are drawn where they are present.

    Args:
      records: one dict per logged step, as in metrics.jsonl. "step" is required; read if present: images,
        d_loss, g_loss, d_accuracy, g_accuracy, dis_acc, gan_acc, real_logits, fake_logits, d_grad_norm,
        g_grad_norm.
      path: where; the extension names the format (png, svg, pdf).
      title: the recipe in a line, above; "" for none.

    Raises:
      ValueError: if there are no records, or one has no "step".
    """
    records = list(records)
    if not records or any(record.get("step") is None for record in records):
        raise ValueError(f'records must be dicts with a "step", got {records[:1] or "none"}')
    steps, images = _column(records, "step"), _column(records, "images")
    figure = new_figure(10, 7)
    panels = figure.subplots(2, 2, sharex=True)
    if title:
        figure.suptitle(title, fontsize=11, x=0.02, ha="left")
    for axes, (title, lines) in zip(panels.flat, PANELS.items(), strict=True):
        _draw_panel(axes, records, steps, title, lines)
    for top, bottom in zip(*panels, strict=True):
        _add_images_axis(top, steps, images)
        bottom.set_xlabel("step")
        _short_numbers(bottom.xaxis)
    write_figure(figure, path)


def _draw_panel(axes, records, steps, title, lines) -> None:
    """Draw one panel of `save_curves`."""
    style_axes(axes)
    axes.set_title(title, loc="left", fontsize=11, fontweight="bold")
    columns = [(_column(records, key), *rest) for key, *rest in lines]
    if not any(np.isfinite(values).any() for values, *_ in columns):
        axes.text(0.5, 0.5, "not recorded", color=GREY, ha="center", transform=axes.transAxes)
        axes.set_yticks([])
        return
    if title == "gradient norm":
        axes.set_yscale("log")
    if title == "balance":
        axes.axhline(0.5, color=BLACK, linewidth=0.9, linestyle="--")
        axes.set(ylim=(-0.03, 1.03), yticks=[0, 0.25, 0.5, 0.75, 1])
    for values, *rest in columns:
        if np.isfinite(values).any():
            _draw_metric(axes, steps, values, *rest)
    _mark_divergence(axes, records, steps)
    _add_legend(axes)


def _mark_divergence(axes, records, steps) -> None:
    """Mark the first step where a recorded loss is NaN or infinite."""
    losses = ([r[key] for key in ("d_loss", "g_loss") if r.get(key) is not None] for r in records)
    bad = [
        step for step, values in zip(steps, losses, strict=True) if not np.isfinite(values).all()
    ]
    if bad:
        axes.axvline(bad[0], color=BLACK, linestyle=":", label=f"loss not finite from {bad[0]:.0f}")


def save_lines(
    series: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    path: str | os.PathLike,
    *,
    x_label: str,
    y_label: str,
    title: str = "",
    log_y: bool = False,
    errors: Mapping[str, Sequence[float]] | None = None,
) -> None:
    """Save labelled curves in one panel.

    Colours and dashes both change from curve to curve, so that curves which coincide stay visible.

    Args:
      series: label -> (x [N], y [N]). On a log scale, values <= 0 are gaps.
      path: where; the extension names the format (png, svg, pdf).
      x_label: what x is, with its unit.
      y_label: what y is, with its unit.
      title: a sentence above, or "".
      log_y: a logarithmic y axis.
      errors: label -> half the length of each point's error bar [N], of those curves that have some.

    Raises:
      ValueError: if there is no series, or x and y of one differ in length.
    """
    if not series:
        raise ValueError("a line plot needs at least one series, got none")
    figure = new_figure(7, 4.5)
    axes = figure.subplots()
    style_axes(axes)
    if log_y:
        axes.set_yscale("log", nonpositive="mask")
    for index, (label, (x, y)) in enumerate(series.items()):
        if np.ndim(x) != 1 or np.shape(x) != np.shape(y):
            raise ValueError(f"x and y of {label!r} must be [N], got {np.shape(x)}, {np.shape(y)}")
        style = {"color": CYCLE[index % len(CYCLE)], "linestyle": DASHES[index % len(DASHES)]}
        bars = (errors or {}).get(label)
        axes.errorbar(x, y, yerr=bars, label=label, linewidth=1.8, capsize=3, **style)
    axes.set(xlabel=x_label, ylabel=y_label)
    axes.set_title(title, loc="left", fontsize=11)
    axes.legend(frameon=False, fontsize=9)
    write_figure(figure, path)
