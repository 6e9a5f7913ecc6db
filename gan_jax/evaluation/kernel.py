"""Kernel distance: the unbiased squared maximum mean discrepancy with KID's polynomial kernel."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from gan_jax.evaluation.checks import as_feature_pair


class KernelDistance(NamedTuple):
    """A mean over random subsets and how sure it is.

    Attributes:
      mean: of the subsets' unbiased estimates; may be negative.
      standard_error: of that mean (standard deviation over subsets / sqrt(subsets)). The subsets share
        samples, so it is somewhat too small when they are many.
    """

    mean: float
    standard_error: float


def kernel_distance(
    features_a: ArrayLike, features_b: ArrayLike, *, chunk_size: int = 2048
) -> float:
    """Return the unbiased estimate of MMD^2 with the kernel k(x, y) = (x . y / D + 1)^3.

    mean over i != j of k(a_i, a_j) + the same for b - 2 mean over all i, j of k(a_i, b_j). Unlike the
    Frechet distance it has no bias, so sets of different sizes compare; for two sets from one distribution
    it scatters around 0. All in float64: the three means nearly cancel.

    Args:
      features_a: [N, D], N >= 2.
      features_b: [M, D], M >= 2.
      chunk_size: rows per block; memory is 16 * chunk_size^2 bytes. The result does not depend on it.

    Returns:
      The estimate; may be negative. Published tables often show 1,000 times it.

    Raises:
      ValueError: if a set is not [N, D] with N >= 2, is not finite, or the widths differ, or chunk_size < 1.

    Reference: Binkowski et al., 2018, section 4, arXiv:1801.01401; Gretton et al., 2012, eq. 3.
    """
    if chunk_size < 1:
        raise ValueError(f"chunk_size must be >= 1, got {chunk_size}")
    a, b = as_feature_pair({"features_a": features_a, "features_b": features_b}, min_samples=2)
    within = _mean_within(a, chunk_size) + _mean_within(b, chunk_size)
    between = sum(
        _kernel_sum(rows, columns)
        for rows in _chunks(a, chunk_size)
        for columns in _chunks(b, chunk_size)
    )
    return within - 2 * between / (len(a) * len(b))


def kernel_distance_over_subsets(
    features_a: ArrayLike,
    features_b: ArrayLike,
    *,
    num_subsets: int = 100,
    subset_size: int = 1000,
    seed: int = 0,
) -> KernelDistance:
    """Return the mean of `kernel_distance` over random subsets, as KID is usually reported.

    Args:
      features_a: [N, D], N >= 2.
      features_b: [M, D], M >= 2.
      num_subsets: at least 2.
      subset_size: samples drawn, without replacement, from each set; capped at the smaller set's size.
      seed: of the subsets.

    Returns:
      The mean and its standard error.

    Raises:
      ValueError: as `kernel_distance`, or if num_subsets or subset_size is below 2.

    Reference: Binkowski et al., 2018, section 4, arXiv:1801.01401.
    """
    if num_subsets < 2 or subset_size < 2:
        raise ValueError(
            f"num_subsets and subset_size must be >= 2, got {num_subsets} and {subset_size}"
        )
    a, b = as_feature_pair({"features_a": features_a, "features_b": features_b}, min_samples=2)
    size = min(subset_size, len(a), len(b))
    rng = np.random.default_rng(seed)
    estimates = [
        kernel_distance(
            a[rng.choice(len(a), size, replace=False)], b[rng.choice(len(b), size, replace=False)]
        )
        for _ in range(num_subsets)
    ]
    error = np.std(estimates, ddof=1) / np.sqrt(num_subsets)
    return KernelDistance(float(np.mean(estimates)), float(error))


def _chunks(features: np.ndarray, size: int):
    """Blocks of rows, in float64."""
    for start in range(0, len(features), size):
        yield features[start : start + size].astype(np.float64)


def _kernel_sum(rows: np.ndarray, columns: np.ndarray) -> float:
    """Sum of k over all pairs of two blocks."""
    values = rows @ columns.T
    values /= rows.shape[1]
    values += 1
    return float(np.vdot(values * values, values))


def _mean_within(features: np.ndarray, size: int) -> float:
    """Mean of k over ordered pairs of different rows, from the blocks on and above the diagonal."""
    total = 0.0
    for i, rows in enumerate(_chunks(features, size)):
        self_pairs = (np.einsum("nd,nd->n", rows, rows) / rows.shape[1] + 1) ** 3
        total += _kernel_sum(rows, rows) - self_pairs.sum()
        for columns in _chunks(features[(i + 1) * size :], size):
            total += 2 * _kernel_sum(rows, columns)
    return total / (len(features) * (len(features) - 1))
