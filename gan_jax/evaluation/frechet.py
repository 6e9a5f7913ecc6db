"""Frechet distance between two sets of features: the FID formula, for the features of any network."""

import numpy as np
from numpy.typing import ArrayLike

from gan_jax.evaluation.checks import as_feature_pair, as_features

CHUNK = 4096  # rows turned into float64 at a time


def feature_statistics(features: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean and the unbiased covariance (divisor N - 1) of features, in float64.

    Args:
      features: [N, D], N >= 2.

    Returns:
      (mean [D], covariance [D, D]).

    Raises:
      ValueError: if `features` has another shape, fewer than 2 rows, or values that are not finite.
    """
    features = as_features("features", features, min_samples=2)
    mean = features.mean(axis=0, dtype=np.float64)
    scatter = np.zeros((len(mean), len(mean)))
    for start in range(0, len(features), CHUNK):
        centred = features[start : start + CHUNK].astype(np.float64) - mean
        scatter += centred.T @ centred
    return mean, scatter / (len(features) - 1)


def gaussian_frechet_distance(
    mean_a: ArrayLike, covariance_a: ArrayLike, mean_b: ArrayLike, covariance_b: ArrayLike
) -> float:
    """Return the squared 2-Wasserstein distance between two Gaussians.

    |m_a - m_b|^2 + tr(A) + tr(B) - 2 tr((A B)^{1/2}). The last trace is the sum of the singular values of
    A^{1/2} B^{1/2} (its squares are the eigenvalues of A B), which needs no square root of a matrix that is
    not symmetric and stays accurate where the covariances are singular.

    Args:
      mean_a: [D].
      covariance_a: [D, D], symmetric and positive semidefinite.
      mean_b: [D].
      covariance_b: [D, D].

    Returns:
      A number >= 0, up to rounding: the square of a distance, in squared feature units.

    Raises:
      ValueError: if the shapes do not fit together.

    Reference: Dowson and Landau, 1982, "The Frechet distance between multivariate normal distributions".
    """
    mean_a, mean_b, covariance_a, covariance_b = (
        np.asarray(x).astype(np.float64) for x in (mean_a, mean_b, covariance_a, covariance_b)
    )
    shapes = [x.shape for x in (mean_a, covariance_a, mean_b, covariance_b)]
    if shapes != [(mean_a.size,), (mean_a.size,) * 2] * 2:
        raise ValueError(f"means and covariances must be [D], [D, D], [D], [D, D], got {shapes}")
    product = _symmetric_root(covariance_a) @ _symmetric_root(covariance_b)
    cross = np.linalg.svd(product, compute_uv=False).sum()
    shift = np.sum((mean_a - mean_b) ** 2)
    return float(shift + np.trace(covariance_a) + np.trace(covariance_b) - 2 * cross)


def _symmetric_root(covariance: np.ndarray) -> np.ndarray:
    """The symmetric square root; eigenvalues that rounding made negative count as zero."""
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T


def frechet_distance(features_a: ArrayLike, features_b: ArrayLike) -> float:
    """Return the Frechet distance between Gaussians fitted to two sets of features (FID, if from Inception).

    Biased upwards, by about c / N: compare only values with the same N, D and feature network, and always
    state N. Where N <= D the covariances are singular; the number is defined, and mostly bias.

    Args:
      features_a: [N, D], N >= 2.
      features_b: [M, D], M >= 2.

    Returns:
      The squared distance, >= 0 up to rounding; 0 for identical sets.

    Raises:
      ValueError: if a set is not [N, D] with N >= 2, is not finite, or the widths differ.

    Reference: Heusel et al., 2017, eq. 6, arXiv:1706.08500.
    """
    features_a, features_b = as_feature_pair(
        {"features_a": features_a, "features_b": features_b}, min_samples=2
    )
    return gaussian_frechet_distance(
        *feature_statistics(features_a), *feature_statistics(features_b)
    )


def frechet_distance_infinity(
    reference: ArrayLike,
    generated: ArrayLike,
    *,
    num_points: int = 15,
    min_samples: int | None = None,
    seed: int = 0,
) -> float:
    """Return the Frechet distance extrapolated to infinitely many generated samples.

    The distance is measured for `num_points` numbers of generated samples n, evenly spaced, each a fresh
    random subset; a line in 1/n is fitted, and its intercept returned. What remains is the bias from the
    finite reference, the same for all generators compared, so the value may be slightly negative.

    Args:
      reference: [N, D] features of real images, N >= 2.
      generated: [M, D] features of generated ones.
      num_points: numbers of samples to measure at, >= 2.
      min_samples: the smallest of them; None for a tenth of M, as in the paper (5,000 of 50,000).
      seed: of the subsets.

    Returns:
      The intercept, in squared feature units.

    Raises:
      ValueError: as `frechet_distance`, if num_points < 2, or unless 2 <= min_samples < M.

    Reference: Chong and Forsyth, 2020, "Effectively unbiased FID and Inception score", arXiv:1911.07023.
    """
    reference, generated = as_feature_pair(
        {"reference": reference, "generated": generated}, min_samples=2
    )
    most = len(generated)
    least = most // 10 if min_samples is None else min_samples
    if num_points < 2 or not 2 <= least < most:
        raise ValueError(
            f"num_points must be >= 2 and min_samples in [2, {most}), got {num_points} and {least}"
        )
    rng = np.random.default_rng(seed)
    statistics = feature_statistics(reference)
    sizes = np.linspace(least, most, num_points).astype(int)
    subsets = (generated[rng.choice(most, size, replace=False)] for size in sizes)
    distances = [gaussian_frechet_distance(*statistics, *feature_statistics(s)) for s in subsets]
    _, intercept = np.polyfit(1.0 / sizes, distances, 1)
    return float(intercept)
