"""Values with their intervals, one below another: what a comparison found."""

import os
from collections.abc import Sequence
from typing import NamedTuple

from gan_jax.plots.charts import BLUE, GREY, VERMILLION, new_figure, style_axes, write_figure


class Row(NamedTuple):
    """A line of the picture.

    Attributes:
      label: at its left.
      value: the mark; None if there is none, and `note` says why.
      interval: both its ends, or None.
      note: a few words at the right, or "".
    """

    label: str
    value: float | None
    interval: Sequence[float] | None = None
    note: str = ""


def save_intervals(
    panels: dict[str, Sequence[Row]], path: str | os.PathLike, *, x_label: str, title: str = ""
) -> None:
    """Save panels side by side, each with its rows; a line marks zero, and intervals that do not meet it are coloured.

    Args:
      panels: title of the panel -> rows, with the same labels in each.
      path: where; the extension names the format (png, svg, pdf).
      x_label: what the values are.
      title: a sentence above, or "".

    Raises:
      ValueError: there is no panel, or one has no rows.
    """
    if not panels or not all(panels.values()):
        raise ValueError("a picture of intervals needs a panel, and each panel a row")
    most = max(map(len, panels.values()))
    figure = new_figure(2.2 + 3.4 * len(panels), 1.2 + 0.34 * most)
    for axes, (name, rows) in zip(
        figure.subplots(1, len(panels), sharey=True, squeeze=False)[0], panels.items(), strict=True
    ):
        style_axes(axes)
        axes.axvline(0.0, color=GREY, linewidth=1.0)
        for place, row in enumerate(rows):
            _draw_row(axes, place, row)
        axes.set_yticks(range(len(rows)), [row.label for row in rows])
        axes.set(xlabel=x_label, ylim=(most - 0.5, -0.5))
        axes.set_title(name, loc="left", fontsize=10)
    figure.suptitle(title, fontsize=11)
    write_figure(figure, path)


def _draw_row(axes, place: int, row: Row) -> None:
    if row.value is not None:
        low, high = row.interval or (row.value, row.value)
        decided = low * high > 0
        colour = GREY if not decided else BLUE if row.value < 0 else VERMILLION
        axes.plot([low, high], [place, place], color=colour, linewidth=2.0)
        axes.plot([row.value], [place], "o", color=colour, markersize=5)
    if row.note:
        at = (0.99, place + 0.32)
        axes.text(*at, row.note, transform=axes.get_yaxis_transform(), ha="right", fontsize=7)
