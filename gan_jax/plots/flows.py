"""Ways of a point through a field of the plane, a panel for each: as a picture, and as an animation."""

import os
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from gan_jax.plots.charts import BLACK, BLUE, GREY, VERMILLION, new_figure, write_figure
from gan_jax.plots.pixels import save_animation

PANEL = 1.7  # inches


class Flow(NamedTuple):
    """One panel.

    Attributes:
      title: above it.
      way: points [N, 2] in the order in which they were passed; N may be 0.
      field: vectors [rows, columns, 2] on an even grid over the extent, lowest y first; only their directions are
        drawn. None: no arrows.
    """

    title: str
    way: ArrayLike
    field: ArrayLike | None = None


def save_flows(
    flows: Sequence[Sequence[Flow]],
    path: str | os.PathLike,
    *,
    extent: float,
    x_label: str,
    y_label: str,
    title: str = "",
) -> None:
    """Save panels in rows. The first point of each way is a ring, the last one a dot.

    Args:
      flows: rows of panels, of one length.
      path: where; the extension names the format (png, svg, pdf).
      extent: each panel shows [-extent, extent]^2; what lies outside is cut off.
      x_label: what x is.
      y_label: what y is.
      title: a sentence above, or "".

    Raises:
      ValueError: there is no panel, or rows differ in length.
    """
    figure, _ = _panels(flows, extent, x_label, y_label, title, upto=None)
    write_figure(figure, path)


def save_flow_animation(
    flows: Sequence[Sequence[Flow]],
    path: str | os.PathLike,
    *,
    extent: float,
    x_label: str,
    y_label: str,
    title: str = "",
    num_frames: int = 24,
) -> None:
    """Save a GIF in which the points go their ways; arguments and errors as `save_flows`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure, artists = _panels(flows, extent, x_label, y_label, title, upto=1)
    canvas, frames = FigureCanvasAgg(figure), []
    for share in np.linspace(0.0, 1.0, num_frames) ** 1.5:  # the beginning is the fast part
        for way, line, dot in artists:
            until = 1 + round(share * (len(way) - 1))
            line.set_data(*way[:until].T)
            dot.set_data(*way[until - 1 : until].T)
        canvas.draw()
        frames.append(np.asarray(canvas.buffer_rgba())[..., :3].copy())
    save_animation(frames, path, seconds_per_frame=0.12)


def _panels(flows, extent, x_label, y_label, title, upto):
    """Draw the panels; return the figure, and of each way its points with the line and the dot that show them."""
    if not flows or not flows[0] or len({len(row) for row in flows}) > 1:
        raise ValueError("flows must be rows of panels, all of one length")
    rows, columns = len(flows), len(flows[0])
    figure = new_figure(0.6 + PANEL * columns, 0.7 + (PANEL + 0.2) * rows)
    artists = []
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for axes, flow in zip(grid.flat, (flow for row in flows for flow in row), strict=True):
        _draw_field(axes, flow.field, extent)
        axes.set(
            xlim=(-extent, extent), ylim=(-extent, extent), aspect="equal", xticks=[0], yticks=[0]
        )
        axes.set_title(flow.title, fontsize=7.5)
        way = np.asarray(flow.way, np.float64).reshape(-1, 2)
        if not len(way):
            continue
        shown = way[:upto]
        axes.plot(*way[:1].T, "o", markersize=5, markerfacecolor="none", color=BLACK)
        (line,) = axes.plot(*shown.T, color=BLUE, linewidth=1.0)
        (dot,) = axes.plot(*shown[-1:].T, "o", markersize=4, color=VERMILLION)
        artists.append((way, line, dot))
    figure.supxlabel(x_label, fontsize=9)
    figure.supylabel(y_label, fontsize=9)
    figure.suptitle(title, fontsize=10)
    return figure, artists


def _draw_field(axes, field, extent) -> None:
    if field is None:
        return
    field = np.asarray(field, np.float64)
    length = np.linalg.norm(field, axis=2, keepdims=True)
    unit = np.divide(field, length, out=np.zeros_like(field), where=length > 0)
    x = np.linspace(-extent, extent, field.shape[1])
    y = np.linspace(-extent, extent, field.shape[0])
    axes.quiver(x, y, unit[..., 0], unit[..., 1], color=GREY, alpha=0.8, width=0.008, pivot="mid")
