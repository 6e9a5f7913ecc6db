"""Refuse, in one clear line, what no measure can be computed from."""

import numpy as np
from numpy.typing import ArrayLike


def as_features(name: str, features: ArrayLike, min_samples: int = 1) -> np.ndarray:
    """Return `features` as a NumPy array after checking it.

    Args:
      name: what to call it in the error.
      features: [N, D], any real type, finite.
      min_samples: the least N the measure needs.

    Raises:
      ValueError: "{name} must have shape [N, D] with N >= 2, got ...", or if a value is NaN or infinite.
    """
    features = np.asarray(features)
    if features.dtype.name == "bfloat16":  # NumPy alone does not know how to promote it
        features = features.astype(np.float32)
    if features.ndim != 2 or len(features) < min_samples or features.shape[1] < 1:
        raise ValueError(
            f"{name} must have shape [N, D] with N >= {min_samples}, D >= 1, got {features.shape}"
        )
    bad = int((~np.isfinite(features)).any(axis=1).sum())
    if bad:
        raise ValueError(f"{name} must be finite, got {bad} of {len(features)} rows that are not")
    return features


def as_feature_pair(
    features: dict[str, ArrayLike], min_samples: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Check two sets of features, {name: [N, D], other name: [M, D]}, and that their widths agree.

    Raises:
      ValueError: as `as_features`, or if the widths differ.
    """
    (name_a, a), (name_b, b) = features.items()
    a, b = as_features(name_a, a, min_samples), as_features(name_b, b, min_samples)
    if a.shape[1] != b.shape[1]:
        raise ValueError(
            f"{name_a} and {name_b} must be of one width D, got {a.shape[1]} and {b.shape[1]}"
        )
    return a, b


def as_probabilities(name: str, probabilities: ArrayLike, ndim: int) -> np.ndarray:
    """Return class probabilities [..., K] as float64 after checking that each row is a distribution.

    Raises:
      ValueError: if the rank differs, the array is empty, or a row is negative, not finite, or does not sum to 1.
    """
    probabilities = np.asarray(probabilities).astype(np.float64)
    if probabilities.ndim != ndim or 0 in probabilities.shape:
        raise ValueError(f"{name} must have {ndim} axes, none empty, got {probabilities.shape}")
    sums = probabilities.sum(axis=-1)
    if not (probabilities.min() >= 0 and np.allclose(sums, 1, rtol=0, atol=1e-3)):
        raise ValueError(
            f"{name} must be >= 0 and sum to 1 over the last axis, got a least value of "
            f"{probabilities.min()} and sums from {sums.min()} to {sums.max()}"
        )
    return probabilities
