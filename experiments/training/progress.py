"""How far a run has come, in plain numbers: exactly what a checkpoint keeps beside the state."""

from typing import Any

import numpy as np


class LogSums:
    """Sums of the metrics over the steps since the last line of the log.

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
        """Give what `LogSums(**...)` takes."""
        return {"count": self.count, "seconds": self.seconds, "sums": self.sums}


class Progress:
    """Where a run stands.

    Attributes:
      step: steps taken.
      seconds: of training, over all processes of the run.
      metrics_length: of metrics.jsonl, bytes.
      since_log: the metrics since its last line.
      rollbacks: how often the run diverged and went back.
    """

    def __init__(self, step: int = 0, saved: dict[str, Any] | None = None) -> None:
        saved = saved or {}
        self.step = step
        self.seconds: float = saved.get("seconds", 0.0)
        self.metrics_length: int = saved.get("metrics_length", 0)
        self.since_log = LogSums(**saved.get("interval", {}))
        self.rollbacks: int = saved.get("rollbacks", 0)

    def add(self, metrics: dict[str, np.ndarray], seconds: float) -> None:
        """Count a chunk with metrics [K] of K steps."""
        self.step += len(next(iter(metrics.values())))
        self.seconds += seconds
        self.since_log.add(metrics, seconds)

    def metadata(self) -> dict[str, Any]:
        """Give what a checkpoint keeps: `Progress(step, metadata)` is this again."""
        return {
            "seconds": self.seconds,
            "metrics_length": self.metrics_length,
            "interval": self.since_log.as_dict(),
            "rollbacks": self.rollbacks,
        }
