"""Precision, recall, density, coverage: do samples lie where real ones lie, and real ones near samples?"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from gan_jax.evaluation.checks import as_feature_pair
from gan_jax.evaluation.pairwise import (
    BLOCK_ENTRIES,
    SLACK,
    centred,
    default_chunk_size,
    exact_distances,
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


class ManifoldMembership(NamedTuple):
    """What the four scores are means of, sample by sample: resample these to see how sure a score is.

    Attributes:
      balls_around: int64[M], real balls around each generated sample.
      recalled: bool[N], is the real sample inside a generated ball.
      covered: bool[N], does the real sample's ball hold a generated sample.
      k: which neighbour sets a ball's radius.
    """

    balls_around: np.ndarray
    recalled: np.ndarray
    covered: np.ndarray
    k: int

    def scores(self) -> ManifoldScores:
        """Average over samples."""
        return ManifoldScores(
            precision=float((self.balls_around > 0).mean()),
            recall=float(self.recalled.mean()),
            density=float(self.balls_around.mean() / self.k),
            coverage=float(self.covered.mean()),
        )


def manifold_scores(
    real: ArrayLike, generated: ArrayLike, *, k: int = 5, chunk_size: int | None = None
) -> ManifoldScores:
    """Return precision, recall, density and coverage of generated features.

    The scores are those of float64: pairs too close to call in float32 are measured again. A point on the
    edge of a ball is inside, so two identical sets have density (k + 1) / k.

    No sampler scores 1. Two samples of one distribution, N points each, have on average density 1 and
    coverage 1 - [(N - 1) ... (N - k)] / [(2 N - 1) ... (2 N - k)], which is 0.969 for k = 5 and large N,
    whatever the distribution; precision and recall fall with the dimension (N(0, I) in 1000 dimensions, N =
    10,000, k = 5: both 0.48). There density still varies by 0.06 between draws. State N and k beside a value.

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
    return manifold_membership(real, generated, k=k, chunk_size=chunk_size).scores()


def manifold_membership(
    real: ArrayLike, generated: ArrayLike, *, k: int = 5, chunk_size: int | None = None
) -> ManifoldMembership:
    """Say of every sample what `manifold_scores` averages; arguments and errors are the same."""
    if k < 1:
        raise ValueError(f"k must be >= 1, got {k}")
    real, generated = as_feature_pair({"real": real, "generated": generated}, min_samples=k + 1)
    real_radii = _radii(real, k, chunk_size)
    generated_radii = _radii(generated, k, chunk_size)
    balls_around = np.zeros(len(generated), np.int64)
    recalled, covered = np.zeros(len(real), bool), np.zeros(len(real), bool)
    rows, columns = centred(real, generated)
    columns, column_radii = jnp.asarray(columns), jnp.asarray(generated_radii.astype(np.float32))
    table = np.column_stack([rows, real_radii.astype(np.float32)])
    for part, block in padded_chunks(table, chunk_size or default_chunk_size(len(generated))):
        num = part.stop - part.start
        sure, in_doubt = _compare(block[:, :-1], columns, block[:, -1], column_radii, num)
        balls_around += np.asarray(sure.balls_around)
        recalled[part] = np.asarray(sure.recalled)[:num]
        covered[part] = np.asarray(sure.covered)[:num]
        for i, j in _pairs(np.asarray(in_doubt)[:num], real.shape[1]):
            i = i + part.start
            distances = exact_distances(real[i], generated[j])
            in_real = distances <= real_radii[i]
            np.add.at(balls_around, j[in_real], 1)
            covered[i[in_real]] = True
            recalled[i[distances <= generated_radii[j]]] = True
    return ManifoldMembership(balls_around, recalled, covered, k)


class _Sure(NamedTuple):
    """What float32 settles about a block of real samples."""

    balls_around: jax.Array  # i32[M], real balls of the block around each generated sample
    recalled: jax.Array  # bool[rows], is the real sample inside a generated ball
    covered: jax.Array  # bool[rows], does the real ball hold a generated sample


@jax.jit
def _compare(real, generated, real_radii, generated_radii, num):
    """Compare the first `num` real samples of a block with all generated ones.

    Returns:
      (what is sure, bool[rows, M]: pairs too close to the edge of a ball for float32. A pair in doubt about
      one ball is left out of what is sure about both.)
    """
    distances, slack = squared_distances(real, generated)
    real_squares, generated_squares = real_radii[:, None] ** 2, generated_radii[None, :] ** 2
    present = (jnp.arange(real.shape[0]) < num)[:, None]
    in_doubt = present & (
        (jnp.abs(distances - real_squares) <= slack + SLACK * real_squares)
        | (jnp.abs(distances - generated_squares) <= slack + SLACK * generated_squares)
    )
    in_real = present & ~in_doubt & (distances <= real_squares)
    in_generated = ~in_doubt & (distances <= generated_squares)
    sure = _Sure(
        balls_around=jnp.sum(in_real, axis=0),
        recalled=jnp.any(in_generated, axis=1),
        covered=jnp.any(in_real, axis=1),
    )
    return sure, in_doubt


def _pairs(mask: np.ndarray, width: int):
    """Yield the indices (i, j) of the true entries, few enough at a time to gather both vectors."""
    i, j = np.divmod(np.flatnonzero(mask), mask.shape[1])
    size = max(1, BLOCK_ENTRIES // 8 // width)
    for start in range(0, len(i), size):
        yield i[start : start + size], j[start : start + size]


def _radii(features: np.ndarray, k: int, chunk_size: int | None) -> np.ndarray:
    """Distance of every sample to its k-th neighbour: float64[N]."""
    _, distances = nearest(features, features, k, exclude_self=True, chunk_size=chunk_size)
    return distances[:, -1]
