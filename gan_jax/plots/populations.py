"""Pictures of many runs at once: their measures as dots, their logs as curves over one another."""

import os
from collections.abc import Mapping, Sequence

import numpy as np

from gan_jax.plots.charts import BLACK, CYCLE, new_figure, style_axes, write_figure

Records = Sequence[Mapping[str, float | None]]


def save_seeds(
    values: Mapping[str, Mapping[str, Sequence[float]]],
    floors: Mapping[str, float],
    path: str | os.PathLike,
) -> None:
    """Save one panel for each measure: a dot for each seed, a bar at the median, a dashed line at the floor.

    Args:
      values: group (what its runs have in common; "" if there is one) -> measure -> values [num_seeds].
      floors: measure -> what real data reach.
      path: where; the extension names the format (png, svg, pdf).

    Raises:
      ValueError: if there is no group, or no measure.
    """
    measures = list(dict.fromkeys(name for group in values.values() for name in group))
    if not measures:
        raise ValueError("a picture of seeds needs at least one group with one measure, got none")
    columns = min(5, len(measures))
    rows = -(-len(measures) // columns)
    figure = new_figure(max(4.0, columns * (1.4 + 0.45 * len(values))), 2.8 * rows)
    panels = figure.subplots(rows, columns, squeeze=False).flat
    for axes, measure in zip(panels, measures, strict=False):
        style_axes(axes)
        axes.set_title(measure.replace("_", " "), loc="left", fontsize=10, fontweight="bold")
        for place, group in enumerate(values.values()):
            _draw_strip(axes, place, np.asarray(group.get(measure, ()), np.float64))
        if measure in floors:
            axes.axhline(floors[measure], color=BLACK, linestyle="--", linewidth=0.9)
        axes.set_xlim(-0.6, len(values) - 0.4)
        axes.set_xticks(
            range(len(values)), values, rotation=30 if len(values) > 1 else 0, fontsize=8
        )
    for axes in list(panels):  # what is left of the grid
        axes.set_axis_off()
    key = "dots: seeds; bar: median" + ("; dashed: real data" if floors else "")
    figure.supxlabel(key, fontsize=8)
    write_figure(figure, path)


def _draw_strip(axes, place: int, values: np.ndarray) -> None:
    if not values.size:
        return
    colour = CYCLE[place % len(CYCLE)]
    spread = np.linspace(-0.18, 0.18, values.size) if values.size > 1 else np.zeros(1)
    axes.plot(place + spread, values, "o", color=colour, markersize=4, alpha=0.8)
    axes.hlines(np.median(values), place - 0.3, place + 0.3, color=colour, linewidth=2)


def save_population_curves(
    runs: Mapping[str, Sequence[Records]], names: Sequence[str], path: str | os.PathLike
) -> None:
    """Save the logs of many runs over one another: pale curves, and each group's median in full colour.

    Args:
      runs: group -> the records of each of its runs, as in metrics.jsonl, with "step".
      names: the quantities to draw, a panel each.
      path: where; the extension names the format (png, svg, pdf).

    Raises:
      ValueError: if there is no run with records, or no name.
    """
    if not names or not any(records for group in runs.values() for records in group):
        raise ValueError("curves of a population need at least one name and one run with records")
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    figure = new_figure(4.2 * columns, 2.9 * rows)
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True).flat
    for axes, name in zip(panels, names, strict=False):
        style_axes(axes)
        axes.set_title(name, loc="left", fontsize=10, fontweight="bold")
        for (label, group), colour in zip(runs.items(), _colours(len(runs)), strict=True):
            _draw_group(axes, name, label, group, colour)
        axes.set_xlabel("step")
        if len(runs) > 1:
            axes.legend(frameon=False, fontsize=7)
    for axes in list(panels):
        axes.set_axis_off()
    write_figure(figure, path)


def _colours(num: int) -> list[str]:
    return [CYCLE[index % len(CYCLE)] for index in range(num)]


def _draw_group(axes, name: str, label: str, group: Sequence[Records], colour: str) -> None:
    by_step: dict[float, list[float]] = {}
    for records in group:
        points = [(r["step"], r[name]) for r in records if r.get(name) is not None]
        if points:
            axes.plot(*zip(*points, strict=True), color=colour, alpha=0.25, linewidth=0.8)
        for step, value in points:
            by_step.setdefault(step, []).append(value)
    steps = sorted(by_step)
    middle = [float(np.median(by_step[step])) for step in steps]
    axes.plot(steps, middle, color=colour, linewidth=1.8, label=label or "median")
