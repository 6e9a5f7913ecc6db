"""Time several things in turn, in one process, and report medians with their spread."""

import json
import platform
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np


class Timing(NamedTuple):
    """Seconds of one repetition: median and quartiles over the repetitions."""

    median: float
    low: float
    high: float


def interleave(
    contestants: Mapping[Any, Callable[[], Any]], repetitions: int, warm_up: int = 1
) -> dict[Any, Timing]:
    """Run every contestant in turn, `repetitions` times, so that a noisy machine is noisy for all.

    Args:
      contestants: name -> a function that returns when its work is done.
      repetitions: how many rounds are measured.
      warm_up: rounds before that, which compile and fill caches.

    Returns:
      name -> seconds of one call.
    """
    seconds = interleave_all(contestants, repetitions, warm_up)
    return {name: summarize(values) for name, values in seconds.items()}


def interleave_all(
    contestants: Mapping[Any, Callable[[], Any]], repetitions: int, warm_up: int = 1
) -> dict[Any, list[float]]:
    """Do as `interleave`, but give the seconds of every round, so that rounds can be compared one by one."""
    for _ in range(warm_up):
        for run in contestants.values():
            run()
    seconds: dict[Any, list[float]] = {name: [] for name in contestants}
    for _ in range(repetitions):
        for name, run in contestants.items():
            started = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - started)
    return seconds


def summarize(values: list[float]) -> Timing:
    """Give the median and the quartiles."""
    return Timing(*map(float, np.percentile(values, (50, 25, 75))))


def ratio(seconds: list[float], others: list[float]) -> Timing:
    """Divide round by round, and give the quotients' median and quartiles: what slows a whole round cancels."""
    return summarize([a / b for a, b in zip(seconds, others, strict=True)])


def report(title: str, rows: list[dict[str, Any]], **facts: Any) -> None:
    """Print rows as a table, and everything once more as one line of JSON."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    cells = [[_text(row.get(column)) for column in columns] for row in rows]
    widths = [max(len(line[i]) for line in [columns, *cells]) for i in range(len(columns))]
    print(title)
    for line in [columns, *cells]:
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        )
    print(json.dumps({"title": title, "machine": machine(), **facts, "rows": rows}), flush=True)


def machine() -> dict[str, Any]:
    """Name the machine: processor, cores, versions."""
    import os

    import jax

    return {
        "device": jax.devices()[0].device_kind,
        "processor": _processor(),
        "cores": os.cpu_count(),
        "jax": jax.__version__,
        "python": platform.python_version(),
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            names = [
                line.split(":", 1)[1].strip() for line in file if line.startswith("model name")
            ]
        return names[0]
    except (OSError, IndexError):
        return platform.processor()


def _text(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.3g}" if isinstance(value, float) else str(value)
