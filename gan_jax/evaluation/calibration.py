"""How far a classifier's probabilities can be believed: what a feature network is told by before it tells of others."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

BINS = 10


class Calibration(NamedTuple):
    """What a classifier does on images that it never saw.

    Attributes:
      accuracy: share that it reads rightly.
      balanced_accuracy: the same within each class, averaged over the classes that occur.
      commonest: share of the commonest class: the accuracy of who always says that.
      confidence: its highest probability, on average; above `accuracy` it is too sure of itself.
      calibration_error: mean of |accuracy - confidence| over 10 bins of confidence, weighted by their images.
      log_loss: mean of -log(probability of the right class), nats.
    """

    accuracy: float
    balanced_accuracy: float
    commonest: float
    confidence: float
    calibration_error: float
    log_loss: float


def calibration(probabilities: ArrayLike, labels: ArrayLike) -> Calibration:
    """Hold class probabilities against the right classes.

    Args:
      probabilities: [N, K], N >= 1, each row a distribution.
      labels: whole numbers [N] in 0..K - 1.

    Raises:
      ValueError: shapes or labels do not fit together.

    Reference: Guo et al. 2017, "On Calibration of Modern Neural Networks", arXiv:1706.04599, equation 3.
    """
    p, labels = np.asarray(probabilities, np.float64), np.asarray(labels)
    if p.ndim != 2 or labels.shape != p.shape[:1] or not len(labels):
        raise ValueError(
            f"expected probabilities [N, K] and labels [N], got {p.shape}, {labels.shape}"
        )
    if labels.min() < 0 or labels.max() >= p.shape[1]:
        raise ValueError(
            f"labels must lie in 0..{p.shape[1] - 1}, got {labels.min()} to {labels.max()}"
        )
    right, sure = p.argmax(axis=1) == labels, p.max(axis=1)
    counts = np.bincount(labels)
    of_class = np.bincount(labels, weights=right)[counts > 0] / counts[counts > 0]
    own = p[np.arange(len(labels)), labels]
    return Calibration(
        accuracy=float(right.mean()),
        balanced_accuracy=float(of_class.mean()),
        commonest=float(counts.max() / len(labels)),
        confidence=float(sure.mean()),
        calibration_error=_error(right, sure),
        log_loss=float(-np.log(np.maximum(own, np.finfo(np.float32).tiny)).mean()),
    )


def _error(right: np.ndarray, sure: np.ndarray) -> float:
    places = np.minimum((sure * BINS).astype(int), BINS - 1)
    gaps = np.bincount(places, weights=right - sure, minlength=BINS)
    return float(np.abs(gaps).sum() / len(right))
