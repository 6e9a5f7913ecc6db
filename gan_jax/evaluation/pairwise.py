"""Distances between many vectors: on the device, in float32, in chunks, with care for cancellation.

Two precautions make float32 enough. Vectors are shifted to a common centre first, and narrow ones are
compared coordinate by coordinate; and a nearest neighbour is only *found* in float32 (with a few spare
candidates): its distance is then computed in float64 on the host, so a copied image is at distance 0.
"""

import functools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

NARROW = 16  # up to this width coordinates are subtracted one by one: nothing cancels, and as fast
SPARE = 8  # candidates beyond k that are ranked again in float64
BLOCK_ENTRIES = 2**25  # distances held at a time: 128 MiB of float32
SLACK = 2e-6  # bound on the rounding of a squared distance, relative to the squares it is a sum of
CAST = 1.5e-7  # bound on what the cast to float32 moves two points by, relative to the root of those squares


def default_chunk_size(num_columns: int) -> int:
    """Rows per chunk that keep a block of distances to `num_columns` vectors below about 128 MiB."""
    return max(1, BLOCK_ENTRIES // num_columns)


def centred(*sets: np.ndarray) -> list[np.ndarray]:
    """Sets of vectors [N, D] in float32, shifted by the mean of the first: distances stay the same."""
    shift = sets[0].mean(axis=0, dtype=np.float64)
    shift = shift.astype(np.promote_types(sets[0].dtype, np.float32))
    return [(vectors - shift).astype(np.float32) for vectors in sets]


def padded_chunks(vectors: np.ndarray, size: int) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield (rows as a slice, those rows padded with zeros to `size`): one shape, one compilation."""
    size = min(size, len(vectors))
    for start in range(0, len(vectors), size):
        block = vectors[start : start + size]
        padding = [(0, size - len(block))] + [(0, 0)] * (vectors.ndim - 1)
        yield slice(start, start + len(block)), np.pad(block, padding)


def squared_distances(x: jax.Array, y: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return squared distances of all pairs, and a bound on their rounding, that of the cast included.

    Args:
      x: f32[N, D], from `centred`.
      y: f32[M, D], from `centred`.

    Returns:
      f32[N, M] >= 0 and f32[N, M].
    """
    norms = jnp.sum(x * x, axis=1)[:, None] + jnp.sum(y * y, axis=1)[None, :]
    if x.shape[1] <= NARROW:
        squares = sum((x[:, i, None] - y[None, :, i]) ** 2 for i in range(x.shape[1]))
        moved = CAST * jnp.sqrt(norms)
        return squares, SLACK * squares + moved * (2 * jnp.sqrt(squares) + moved)
    products = jnp.matmul(x, y.T, precision=jax.lax.Precision.HIGHEST)
    return jnp.maximum(norms - 2 * products, 0), SLACK * norms


@functools.partial(jax.jit, static_argnames=("num", "exclude_self"))
def _candidates(rows, references, first_row, num: int, exclude_self: bool):
    """Indices [rows, num] of the nearest references, roughly in order."""
    distances, _ = squared_distances(rows, references)
    if exclude_self:
        own = first_row + jnp.arange(rows.shape[0])[:, None]
        distances = jnp.where(jnp.arange(references.shape[0])[None, :] == own, jnp.inf, distances)
    return jax.lax.top_k(-distances, num)[1]


def nearest(
    queries: np.ndarray,
    references: np.ndarray,
    k: int,
    *,
    exclude_self: bool = False,
    chunk_size: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the k nearest references of every query, nearest first, ties by index.

    Args:
      queries: [Q, D], finite.
      references: [N, D].
      k: at least 1, at most N (N - 1 with `exclude_self`).
      exclude_self: queries and references are the same set, and no vector is its own neighbour.
      chunk_size: queries per block; None for a block of about 128 MiB. The result does not depend on it.

    Returns:
      (indices int64[Q, k], distances float64[Q, k]).

    Raises:
      ValueError: if k is out of range or chunk_size < 1.
    """
    available = len(references) - exclude_self
    if not 1 <= k <= available:
        raise ValueError(f"k must be in [1, {available}], the neighbours there are, got {k}")
    if chunk_size is not None and chunk_size < 1:
        raise ValueError(f"chunk_size must be >= 1, got {chunk_size}")
    columns, rows = centred(references, queries)
    columns = jnp.asarray(columns)
    num = min(available, k + SPARE)
    indices = np.empty((len(queries), k), np.int64)
    distances = np.empty((len(queries), k))
    for part, block in padded_chunks(rows, chunk_size or default_chunk_size(len(references))):
        found = np.asarray(_candidates(block, columns, part.start, num, exclude_self))
        found = found[: part.stop - part.start]
        exact = [exact_distances(queries[part], references[column]) for column in found.T]
        exact = np.stack(exact, axis=1)
        order = np.lexsort((found, exact), axis=1)[:, :k]
        indices[part] = np.take_along_axis(found, order, axis=1)
        distances[part] = np.take_along_axis(exact, order, axis=1)
    return indices, distances


def exact_distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the distances [N] of paired rows, [N, D] each, in float64."""
    return np.linalg.norm(x.astype(np.float64) - y.astype(np.float64), axis=1)
