"""Sums of the metrics since the last line of the log, as plain numbers that a checkpoint can hold."""

from typing import Any

import numpy as np


class Interval:
    """The steps since the last line of the log.

    Attributes:
      count: how many steps.
      seconds: that they took.
      sums: metric -> sum over the steps.
    """

    def __init__(self, count: int = 0, seconds: float = 0.0, sums: dict[str, float] | None = None):
        self.count, self.seconds, self.sums = count, seconds, dict(sums or {})

    def add(self, metrics: dict[str, np.ndarray], seconds: float) -> None:
        """Add the metrics [K] of a chunk of K steps."""
        for name, values in metrics.items():
            self.sums[name] = self.sums.get(name, 0.0) + float(np.sum(values, dtype=np.float64))
        self.count += len(next(iter(metrics.values())))
        self.seconds += seconds

    def means(self) -> dict[str, float]:
        """Average each metric over the steps."""
        return {name: total / self.count for name, total in self.sums.items()}

    def as_dict(self) -> dict[str, Any]:
        """Give what `Interval(**...)` takes."""
        return {"count": self.count, "seconds": self.seconds, "sums": self.sums}
