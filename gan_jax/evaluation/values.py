"""A number, and how sure it is: values with bootstrap intervals over the samples of one run."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from gan_jax.evaluation.bootstrap import Interval, bootstrap_interval

Statistic = Callable[[Any], float]
RESAMPLES = 200  # of a bootstrap interval


class Value(NamedTuple):
    """A number and its 95 % interval over the samples of this one run."""

    value: float
    interval: Interval | None = None


Values = dict[str, Value]


def with_interval(value: float, statistic: Statistic, samples: np.ndarray, resamples: int) -> Value:
    """Give a value its bootstrap interval; without resamples it has none."""
    if not resamples:
        return Value(float(value))
    return Value(float(value), bootstrap_interval(statistic, samples, num_resamples=resamples))


def with_centred_interval(
    value: float, statistic: Statistic, samples: np.ndarray, resamples: int
) -> Value:
    """Give a value its bootstrap interval, moved back around it.

    Resampled sets repeat samples, which raises distances and loses modes.
    """
    value, interval = with_interval(value, statistic, samples, resamples)
    if interval is None:
        return Value(value)
    shift = value - 0.5 * (interval.low + interval.high)
    return Value(value, Interval(interval.low + shift, interval.high + shift))
