"""Precision, recall, density, coverage: do samples lie where real ones lie, and real ones near samples?"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from gan_jax.evaluation.checks import as_feature_pair
from gan_jax.evaluation.pairwise import (
    SLACK,
    centred,
    default_chunk_size,
    nearest,
    padded_chunks,
    squared_distances,
)


class ManifoldScores(NamedTuple):
    """Four shares. The ball of a sample reaches to its k-th nearest neighbour in its own set.

    Attributes:
      precision: share of generated samples inside at least one real ball, in [0, 1].
      recall: share of real samples inside at least one generated ball, in [0, 1].
      density: mean number of real balls around a generated sample, divided by k; >= 0, may exceed 1.
      coverage: share of real balls that hold a generated sample, in [0, 1].
    """

    precision: float
    recall: float
    density: float
    coverage: float


def manifold_scores(
    real: ArrayLike, generated: ArrayLike, *, k: int = 5, chunk_size: int | None = None
) -> ManifoldScores:
    """Return precision, recall, density and coverage of generated features.

    A point on the edge of a ball (up to float32 rounding) is inside, so two identical sets have density
    (k + 1) / k. Perfect scores are below 1: two samples of N(0, I) in 1000 dimensions, 10,000 points each,
    k = 5, have precision 0.477, recall 0.471, density 1.056, coverage 0.974. State N and k beside every value.

    Args:
      real: [N, D], N > k.
      generated: [M, D], M > k.
      k: which neighbour sets a ball's radius. (Kynkaanniemi et al. use 3, Naeem et al. 5.)
      chunk_size: real samples per block; None for blocks of about 128 MiB. The result does not depend on it.

    Returns:
      The four scores.

    Raises:
      ValueError: if a set is not [N, D] with N > k, is not finite, or the widths differ, or k < 1.

    Reference: Kynkaanniemi et al., 2019, eq. 1 and 2, arXiv:1904.06991 (precision, recall); Naeem et al.,
    2020, section 3, arXiv:2002.09797 (density, coverage).
    """
    if k < 1:
        raise ValueError(f"k must be >= 1, got {k}")
    real, generated = as_feature_pair({"real": real, "generated": generated}, min_samples=k + 1)
    real_radii = _radii(real, k, chunk_size)
    generated_radii = _radii(generated, k, chunk_size)
    rows, columns = centred(real, generated)
    columns, generated_radii = jnp.asarray(columns), jnp.asarray(generated_radii)
    balls_around = np.zeros(len(generated), np.int64)
    recalled, covered = np.zeros(len(real), bool), np.zeros(len(real), bool)
    size = chunk_size or default_chunk_size(len(generated))
    for part, block in padded_chunks(np.column_stack([rows, real_radii]), size):
        num = part.stop - part.start
        block[num:, -1] = -1.0  # a padding row has no ball
        held, is_recalled, is_covered = _compare(
            block[:, :-1], columns, block[:, -1], generated_radii
        )
        balls_around += np.asarray(held)
        recalled[part], covered[part] = is_recalled[:num], is_covered[:num]
    return ManifoldScores(
        precision=float((balls_around > 0).mean()),
        recall=float(recalled.mean()),
        density=float(balls_around.mean() / k),
        coverage=float(covered.mean()),
    )


def _radii(features: np.ndarray, k: int, chunk_size: int | None) -> np.ndarray:
    """Distance of every sample to its k-th neighbour: float32[N]."""
    _, distances = nearest(features, features, k, exclude_self=True, chunk_size=chunk_size)
    return distances[:, -1].astype(np.float32)


@jax.jit
def _compare(real, generated, real_radii, generated_radii):
    """Compare a block of real samples with all generated ones.

    Returns:
      (real balls of the block around each generated sample i32[M], is each real sample inside a generated
      ball bool[rows], does each real ball hold a generated sample bool[rows]).
    """
    distances, slack = squared_distances(real, generated)
    has_ball = (real_radii >= 0)[:, None]
    real_squares = ((1 + SLACK) * real_radii**2)[:, None]
    generated_squares = ((1 + SLACK) * generated_radii**2)[None, :]
    in_real_ball = has_ball & (distances - slack <= real_squares)
    in_generated_ball = distances - slack <= generated_squares
    return (
        jnp.sum(in_real_ball, axis=0),
        jnp.any(in_generated_ball, axis=1),
        jnp.any(in_real_ball, axis=1),
    )
