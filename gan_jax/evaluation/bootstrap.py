"""How sure is a number? Bootstrap intervals for any statistic, and a summary over seeds.

One run is an anecdote: GANs of one configuration vary between seeds from failure to success. Report the
median over seeds with its spread.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike


class Interval(NamedTuple):
    """A confidence interval; `low <= high`."""

    low: float
    high: float


class SeedSummary(NamedTuple):
    """A measure over seeds.

    Attributes:
      num: of seeds.
      median: over seeds; q1 and q3, its quartiles, span the IQR.
      q1: 25 % quantile over seeds.
      q3: 75 % quantile over seeds.
      median_interval: bootstrap interval of the median.
      mean: over seeds.
      mean_interval: bootstrap interval of the mean.
    """

    num: int
    median: float
    q1: float
    q3: float
    median_interval: Interval
    mean: float
    mean_interval: Interval


def bootstrap_interval(
    statistic: Callable[..., float],
    *arrays: ArrayLike,
    num_resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """Return the percentile bootstrap interval of a statistic.

    Every array is resampled on its own, with replacement, along its first axis; what belongs together must
    be one array. The interval tells what the finite samples leave open. It does not remove bias, and
    resampling repeats samples: statistics that look at nearest neighbours or at covariances of few samples
    change systematically under it, so there trust repeated runs instead.

    Args:
      statistic: maps resampled arrays to a number.
      *arrays: [N, ...], N >= 1 each.
      num_resamples: times the statistic is computed, >= 1; 1,000 is usual.
      seed: of the resampling: the same seed gives the same interval.
      level: share of the bootstrap distribution inside, in (0, 1).

    Returns:
      (low, high).

    Raises:
      ValueError: if there is no array or an empty one, or num_resamples or level is out of range.

    Reference: Efron, 1979, "Bootstrap methods: another look at the jackknife"; percentile method.
    """
    samples = [np.asarray(array) for array in arrays]
    if not samples or any(array.ndim == 0 or len(array) == 0 for array in samples):
        shapes = [array.shape for array in samples]
        raise ValueError(f"bootstrap needs arrays [N, ...] with N >= 1, got shapes {shapes}")
    _check(num_resamples, level)
    rng = np.random.default_rng(seed)
    values = [
        float(statistic(*(array[rng.integers(len(array), size=len(array))] for array in samples)))
        for _ in range(num_resamples)
    ]
    return _percentiles(np.asarray(values), level)


def _check(num_resamples: int, level: float) -> None:
    if num_resamples < 1 or not 0 < level < 1:
        raise ValueError(
            f"num_resamples must be >= 1 and level in (0, 1), got {num_resamples} and {level}"
        )


def _percentiles(values: np.ndarray, level: float) -> Interval:
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


def summarise_seeds(
    values: ArrayLike, *, num_resamples: int = 10_000, seed: int = 0, level: float = 0.95
) -> SeedSummary:
    """Summarise one measure over runs that differ in their seed only.

    With fewer than about ten seeds the intervals are too narrow; with one they have no width.

    Args:
      values: [num_seeds], finite, at least one.
      num_resamples: bootstrap resamples.
      seed: of the resampling.
      level: of the intervals.

    Returns:
      Median, quartiles and mean, with bootstrap intervals of median and mean.

    Raises:
      ValueError: if `values` is not [num_seeds] or holds NaN (a run that diverged must be counted, not
        dropped: give it the worst value), or as `bootstrap_interval`.
    """
    values = np.asarray(values).astype(np.float64)
    if values.ndim != 1 or values.size == 0 or not np.isfinite(values).all():
        raise ValueError(f"values must be [num_seeds], finite, num_seeds >= 1, got {values}")
    _check(num_resamples, level)
    draws = np.random.default_rng(seed).integers(values.size, size=(num_resamples, values.size))
    resampled = values[draws]  # as `bootstrap_interval` draws them, which takes thousands of calls
    q1, median, q3 = np.quantile(values, [0.25, 0.5, 0.75])
    return SeedSummary(
        num=values.size,
        median=float(median),
        q1=float(q1),
        q3=float(q3),
        median_interval=_percentiles(np.median(resampled, axis=1), level),
        mean=float(values.mean()),
        mean_interval=_percentiles(resampled.mean(axis=1), level),
    )
