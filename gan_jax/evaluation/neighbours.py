"""Nearest training neighbours: has the generator learnt, or copied?"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from gan_jax.evaluation.checks import as_feature_pair
from gan_jax.evaluation.pairwise import nearest


class Memorisation(NamedTuple):
    """How close generated samples come to training ones, against how close unseen real ones come.

    Attributes:
      ratio: median distance of a generated sample to its nearest training sample, divided by the same median
        for test samples. About 1 for a sampler as good as reality; 0 for one that copies; well above 1 for
        samples unlike the data.
      copied: share of generated samples closer to a training sample than 99 % of the test samples are;
        0.01 for a perfect sampler.
      indices: int64[N], the nearest training sample of each generated one.
      distances: float64[N], its distance.
    """

    ratio: float
    copied: float
    indices: np.ndarray
    distances: np.ndarray


def nearest_neighbours(
    queries: ArrayLike, references: ArrayLike, *, k: int = 1, chunk_size: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the k nearest references of every query, by Euclidean distance, nearest first.

    Found on the device in float32 with spare candidates, then measured in float64. Images are compared
    pixel by pixel, in the units they come in.

    Args:
      queries: [Q, ...]: features, or images of any type.
      references: [N, ...], of the same shape per sample.
      k: in [1, N].
      chunk_size: queries per block; None for blocks of about 128 MiB. The result does not depend on it.

    Returns:
      (indices int64[Q, k] into `references`, distances float64[Q, k]).

    Raises:
      ValueError: if the sets are empty, not finite, or differ in shape per sample; if k is out of range.
    """
    if np.shape(queries)[1:] != np.shape(references)[1:]:
        raise ValueError(
            "queries and references must agree in shape per sample, "
            f"got {np.shape(queries)} and {np.shape(references)}"
        )
    flat = {"queries": _flatten(queries), "references": _flatten(references)}
    return nearest(*as_feature_pair(flat), k, chunk_size=chunk_size)


def memorisation(
    generated: ArrayLike, train: ArrayLike, test: ArrayLike, *, chunk_size: int | None = None
) -> Memorisation:
    """Compare the distances of generated and of unseen real samples to the training set.

    Args:
      generated: [N, ...]: features or images.
      train: [T, ...], what the generator was trained on.
      test: [M, ...], real samples it was not trained on.
      chunk_size: as in `nearest_neighbours`.

    Returns:
      The ratio, the share copied, and the neighbours to look at.

    Raises:
      ValueError: as `nearest_neighbours`, or if most test samples are themselves in the training set.
    """
    indices, distances = nearest_neighbours(generated, train, chunk_size=chunk_size)
    _, usual = nearest_neighbours(test, train, chunk_size=chunk_size)
    if np.median(usual) == 0:
        raise ValueError("test must hold unseen samples, got a median distance of 0 to train")
    return Memorisation(
        ratio=float(np.median(distances) / np.median(usual)),
        copied=float((distances < np.quantile(usual, 0.01)).mean()),
        indices=indices[:, 0],
        distances=distances[:, 0],
    )


def neighbour_agreement(
    generated: ArrayLike,
    labels: ArrayLike,
    train: ArrayLike,
    train_labels: ArrayLike,
    *,
    chunk_size: int | None = None,
) -> np.ndarray:
    """Say of each sample whether the training sample nearest to it bears the same label.

    A classifier may be sure of a shape that no picture has; a nearest neighbour in a space that the classifier does
    not know calls its bluff. Real samples that were not trained on do not reach 1 either.

    Args:
      generated: [N, ...]: pixels, or coordinates that stand for them.
      labels: int[N], theirs, as a classifier reads them.
      train: [T, ...].
      train_labels: int[T].
      chunk_size: as in `nearest_neighbours`.

    Returns:
      bool[N].

    Raises:
      ValueError: as `nearest_neighbours`, or there are not as many labels as samples.
    """
    labels, train_labels = np.asarray(labels), np.asarray(train_labels)
    if labels.shape != (len(generated),) or train_labels.shape != (len(train),):
        raise ValueError(
            f"labels must be one for each of {len(generated)} samples and {len(train)} training samples, "
            f"got {labels.shape} and {train_labels.shape}"
        )
    indices, _ = nearest_neighbours(generated, train, chunk_size=chunk_size)
    return train_labels[indices[:, 0]] == labels


def _flatten(samples) -> np.ndarray:
    """Samples [N, ...] as rows [N, D], in their own type."""
    samples = np.asarray(samples)
    if samples.ndim < 2:
        raise ValueError(f"samples must have shape [N, ...] with N >= 1, got {samples.shape}")
    return samples.reshape(len(samples), math.prod(samples.shape[1:]))
