"""Hypothesis strategies shared by the tests.

Values are NumPy arrays of a fixed shape, so a function jitted once serves all examples. Shapes are for
`jax.eval_shape` only: drawn under `jit` they would compile anew for every example.

Floats are never subnormal: XLA flushes those to zero.
"""

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

BATCH = 4  # of every drawn batch, unless a test says otherwise
POINTS = (BATCH, 2)
GREY = (BATCH, 4, 4, 1)
COLOUR = (BATCH, 4, 4, 3)
IMAGE_SHAPES = (POINTS, GREY, COLOUR)  # one of each kind that a discriminator meets


def floats(low: float, high: float) -> st.SearchStrategy[float]:
    """float32 numbers in [low, high], both included."""
    low, high = float(np.float32(low)), float(np.float32(high))
    return st.floats(low, high, width=32, allow_subnormal=False)


def arrays(shape: tuple[int, ...], low: float, high: float) -> st.SearchStrategy[np.ndarray]:
    """float32 arrays with all elements in [low, high]; often with repeated ones."""
    return npst.arrays(np.float32, shape, elements=floats(low, high))


def logits(batch: int = BATCH, limit: float = 10.0) -> st.SearchStrategy[np.ndarray]:
    """Logits [batch] in [-limit, limit]; a sigmoid of 10 is 4.5e-5 away from 1."""
    return arrays((batch,), -limit, limit)


def images(shape: tuple[int, ...] = GREY) -> st.SearchStrategy[np.ndarray]:
    """A batch of images in [-1, 1], or of points for `shape` [B, 2]."""
    return arrays(shape, -1.0, 1.0)


def latents(batch: int = BATCH, dim: int = 2) -> st.SearchStrategy[np.ndarray]:
    """Latents [batch, dim], within three standard deviations of a normal."""
    return arrays((batch, dim), -3.0, 3.0)


def seeds() -> st.SearchStrategy[int]:
    """Seeds of `jax.random.key`."""
    return st.integers(0, 2**32 - 1)


def keys() -> st.SearchStrategy[jax.Array]:
    """Fresh typed keys. A key may be used once; `jax.random.clone` it to use it again on purpose."""
    return seeds().map(jax.random.key)


def permutations(batch: int = BATCH) -> st.SearchStrategy[np.ndarray]:
    """Orders of a batch, as an index array."""
    return st.permutations(range(batch)).map(np.array)


def labels() -> st.SearchStrategy[float]:
    """Targets of the cross-entropy, in [0, 1]."""
    return floats(0.0, 1.0)


def probabilities() -> st.SearchStrategy[float]:
    """Probabilities that keep clear of 0 and 1, so that their logit is moderate."""
    return floats(0.01, 0.99)


def batch_sizes() -> st.SearchStrategy[int]:
    """Batch sizes, for `jax.eval_shape`."""
    return st.integers(1, 256)


def float_dtypes() -> st.SearchStrategy[np.dtype]:
    """The two types that networks compute in."""
    return st.sampled_from([jnp.dtype(jnp.float32), jnp.dtype(jnp.bfloat16)])


def image_shapes() -> st.SearchStrategy[tuple[int, ...]]:
    """Shapes of batches of points [B, 2] and of images [B, H, W, C], for `jax.eval_shape`."""
    sides = st.integers(1, 64)
    points = st.tuples(batch_sizes(), st.just(2))
    pictures = st.tuples(batch_sizes(), sides, sides, st.sampled_from([1, 3]))
    return points | pictures


def not_a_batch_of_logits() -> st.SearchStrategy[tuple[int, ...]]:
    """Shapes of any rank but one, for `jax.eval_shape`."""
    return npst.array_shapes(min_dims=0, max_dims=4, max_side=8).filter(lambda s: len(s) != 1)
