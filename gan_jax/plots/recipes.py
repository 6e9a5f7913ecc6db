"""A chart of a search: how good each recipe became in how much time."""

import os
from collections.abc import Sequence

from gan_jax.plots.charts import BLUE, GREY, VERMILLION, new_figure, style_axes, write_figure

NAMED = 3  # of the best recipes at each length, and the worst


def save_recipes(
    names: Sequence[str],
    seconds: Sequence[float],
    distances: Sequence[float],
    lengths: Sequence[float],
    path: str | os.PathLike,
) -> None:
    """Draw the distance of every run against the seconds that it took, both on logarithmic axes.

    The best few runs of each length are named, and its worst; the best one is filled.

    Args:
      names: of the recipes.
      seconds: that each run took.
      distances: of each run to unseen images, lower is better.
      lengths: the seconds that were meant for it: runs of one length are compared.
      path: of the picture.
    """
    figure = new_figure(8, 5)
    axes = figure.add_subplot()
    style_axes(axes)
    axes.set(xscale="log", yscale="log", xlabel="training, seconds of one core")
    axes.set(ylabel="Frechet distance to unseen images", title="Recipes: distance against time")
    for length in sorted(set(lengths)):
        ranked = sorted(
            (i for i, own in enumerate(lengths) if own == length), key=lambda i: distances[i]
        )
        best, named = ranked[0], {*ranked[:NAMED], ranked[-1]}
        for i in ranked:
            colour = VERMILLION if i == best else BLUE if i in named else GREY
            axes.scatter(seconds[i], distances[i], s=26, color=colour, zorder=3)
            if i in named:
                place = {"xytext": (6, 0), "textcoords": "offset points", "va": "center"}
                axes.annotate(
                    names[i], (seconds[i], distances[i]), fontsize=8, color=colour, **place
                )
    axes.margins(x=0.25)
    write_figure(figure, path)
