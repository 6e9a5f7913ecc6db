"""Eigenvalues in the complex plane."""

import os
from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from gan_jax.plots.charts import BLUE, GREY, VERMILLION, new_figure, style_axes, write_figure


def save_spectra(
    panels: Mapping[str, ArrayLike], path: str | os.PathLike, columns: int = 3
) -> None:
    """Save sets of eigenvalues, a panel with a scale of its own for each; those right of zero have another colour.

    The axes are linear near zero and logarithmic beyond a thousandth of the largest, so that small ones are told apart.

    Args:
      panels: title -> complex values [N].
      path: where; the extension names the format (png, svg, pdf).
      columns: panels in a row.

    Raises:
      ValueError: there is no panel, or one has no values.
    """
    if not panels or not all(np.size(values) for values in panels.values()):
        raise ValueError("a picture of eigenvalues needs a panel, and each panel a value")
    rows = -(-len(panels) // columns)
    figure = new_figure(3.4 * min(columns, len(panels)), 3.2 * rows)
    grid = figure.subplots(rows, min(columns, len(panels)), squeeze=False).flat
    for axes, (title, values) in zip(grid, panels.items(), strict=False):
        _draw(axes, title, np.asarray(values, complex))
    for axes in list(grid)[len(panels) :]:
        axes.set_axis_off()
    write_figure(figure, path)


def _draw(axes, title: str, values: np.ndarray) -> None:
    style_axes(axes)
    scale = max(float(np.abs(values).max()), 1e-30)
    for set_scale in (axes.set_xscale, axes.set_yscale):
        set_scale("symlog", linthresh=1e-3 * scale)
    axes.axvline(0.0, color=GREY, linewidth=0.8)
    axes.axhline(0.0, color=GREY, linewidth=0.8)
    for chosen, colour in ((values.real <= 0, BLUE), (values.real > 0, VERMILLION)):
        axes.plot(values.real[chosen], values.imag[chosen], "o", markersize=3.5, color=colour)
    limit = (-1.6 * scale, 1.6 * scale)
    axes.set(xlim=limit, ylim=limit, xlabel="real part", ylabel="imaginary part")
    ticks = [-scale, -0.01 * scale, 0.0, 0.01 * scale, scale]
    labels = [f"{tick:.1g}" for tick in ticks]
    axes.set_xticks(ticks, labels, fontsize=7)
    axes.set_yticks(ticks, labels, fontsize=7)
    axes.minorticks_off()
    axes.set_title(title, fontsize=9)
