"""Points of the plane: real and generated, over what the discriminator thinks of each place."""

import os
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from gan_jax.plots.charts import BLACK, BLUE, VERMILLION, new_figure, write_figure

GENERATED_SHADE, REAL_SHADE = "#F6C9A4", "#A9CFEA"  # pale vermillion and pale blue


def save_scatter(
    real: ArrayLike,
    fake: ArrayLike,
    path: str | os.PathLike,
    *,
    decision: Callable[[np.ndarray], np.ndarray] | np.ndarray | None = None,
    extent: float | Sequence[float],
    title: str = "",
) -> None:
    """Save real and generated points of the plane over what D thinks of each place.

    Args:
      real: [N, 2]; N may be 0.
      fake: [M, 2]. Points outside `extent` are counted in the legend, so that a plot never hides a failure.
      path: where; the extension names the format (png, svg, pdf).
      decision: D's probability that a point is real: a function from points [K, 2] to [K] (called once with
        200 x 200 points), or its values [rows, columns] on an even grid over `extent`, lowest y first. None
        leaves the background white. The shades span its own range, which the bar beside it tells; the line marks
        probability 0.5.
      extent: (x_min, x_max, y_min, y_max), or one number r for the square [-r, r]^2.
      title: a few words above.

    Raises:
      ValueError: if a set of points is not [N, 2], the extent is empty, or `decision` has the wrong shape.
    """
    real, fake = np.asarray(real), np.asarray(fake)
    for name, points in (("real", real), ("fake", fake)):
        if points.ndim != 2 or points.shape[1] != 2:
            raise ValueError(f"{name} must have shape [N, 2], got {points.shape}")
    x_min, x_max, y_min, y_max = (
        (-extent, extent, -extent, extent) if np.ndim(extent) == 0 else extent
    )
    if not (x_min < x_max and y_min < y_max):
        raise ValueError(f"extent must be (x_min, x_max, y_min, y_max), got {extent}")
    figure = new_figure(6.6, 1 + 5.2 * float(np.clip((y_max - y_min) / (x_max - x_min), 0.3, 2)))
    axes = figure.subplots()
    if title:
        figure.suptitle(title, fontsize=10, x=0.02, ha="left")
    if decision is not None:
        _draw_decision(figure, axes, decision, (x_min, x_max, y_min, y_max))
    low, high = np.array([x_min, y_min]), np.array([x_max, y_max])
    outside = len(fake) - int(((fake >= low) & (fake <= high)).all(axis=1).sum())
    note = f", {outside:,} outside" if outside else ""
    size = float(np.clip(5000 / max(len(real), len(fake), 1), 3, 14))
    style = {"alpha": 0.6, "linewidths": 0}
    if len(real):
        axes.scatter(*real.T, s=2 * size, color=BLUE, label=f"real ({len(real):,})", **style)
    label = f"generated ({len(fake):,}{note})"
    axes.scatter(*fake.T, s=size, color=VERMILLION, label=label, **style)
    axes.set(xlim=(x_min, x_max), ylim=(y_min, y_max), aspect="equal", xlabel="x", ylabel="y")
    place = {"loc": "lower left", "bbox_to_anchor": (0, 1), "ncols": 2, "borderaxespad": 0.2}
    legend = axes.legend(fontsize=9, markerscale=2, frameon=False, **place)
    for handle in legend.legend_handles:
        handle.set_alpha(1)
    write_figure(figure, path)


def _draw_decision(figure, axes, decision, extent) -> None:
    """Shade D's probability over the plane and draw the line where it is 0.5."""
    from matplotlib.colors import LinearSegmentedColormap

    x_min, x_max, y_min, y_max = extent
    if callable(decision):
        x, y = np.meshgrid(np.linspace(x_min, x_max, 200), np.linspace(y_min, y_max, 200))
        values = np.asarray(decision(np.stack([x.ravel(), y.ravel()], axis=-1).astype(np.float32)))
        if values.shape != (x.size,):
            raise ValueError(f"decision must map [K, 2] to [K], K = {x.size}, got {values.shape}")
        values = values.reshape(x.shape)
    else:
        values = np.asarray(decision)
        if values.ndim != 2 or min(values.shape) < 2:
            raise ValueError(f"decision must be a grid [rows, columns], got {values.shape}")
        x, y = (
            np.linspace(x_min, x_max, values.shape[1]),
            np.linspace(y_min, y_max, values.shape[0]),
        )
    values = values.astype(np.float64)
    colours = LinearSegmentedColormap.from_list("", [GENERATED_SHADE, "#FFFFFF", REAL_SHADE])
    low, high = float(values.min()), float(values.max())
    if high - low < 0.01:  # a flat surface: no shade of it means anything
        low, high = low - 0.005, high + 0.005
    shades = {"cmap": colours, "vmin": low, "vmax": high, "shading": "gouraud", "rasterized": True}
    mesh = axes.pcolormesh(x, y, values, **shades)
    figure.colorbar(mesh, ax=axes, shrink=0.75, label="D's probability that a point is real")
    if values.min() < 0.5 < values.max():
        axes.contour(x, y, values, levels=[0.5], colors=BLACK, linewidths=1.0)
