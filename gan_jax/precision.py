"""Mixed precision: products of rounded operands with float32 results, and nothing else that is rounded.

A layer's `dtype` is the type to which the operands of its products are rounded, of its own, of their gradients and of
their gradients' gradients. Products are summed in float32 and leave float32. So activations, parameters, statistics,
losses, penalties and optimizers' states are float32, and rounding stands inside the products' own derivatives: a cast
in front of a product would round the gradient by its kernel to bfloat16 once more.

Activations are float32 on every platform. On a GPU or TPU bfloat16 activations would halve the memory that is moved
between products; neither has been measured.

Reference: Micikevicius et al. 2018, "Mixed precision training", section 3, arXiv:1710.03740.
"""

from typing import Any

import jax.numpy as jnp
from flax.linen.dtypes import promote_dtype
from jax import lax

from gan_jax.types import Array

Axes = tuple[tuple[int, ...], tuple[int, ...]]


def rounds(dtype: Any) -> bool:
    """Whether a layer's `dtype` asks for operands of less than 32 bits."""
    return dtype is not None and jnp.finfo(dtype).bits < 32


def of_layer(dtype: Any, *arrays: Array | None) -> tuple[Any, list[Any]]:
    """Read a layer's `dtype`.

    Args:
      dtype: bfloat16 or float16: the type of the products' operands. Wider: the type of the computation. None: that of
        the arrays.
      *arrays: input and parameters, or None.

    Returns:
      The type to which a product is to round its operands, None if it is to take them as they are; and the arrays in
      their common type.
    """
    if rounds(dtype):
        return jnp.dtype(dtype), promote_dtype(*arrays, jnp.float32(0), dtype=None)[:-1]
    return None, promote_dtype(*arrays, dtype=dtype)


def rounded(operands: Any, *arrays: Array) -> tuple[Array, ...]:
    """Round the operands of a product to a type; None leaves them as they are."""
    return arrays if operands is None else tuple(array.astype(operands) for array in arrays)


def wide_dot(a: Array, b: Array, axes: Axes) -> Array:
    """Sum products over axes of a and of b; sums and results are float32 at least."""
    wide = jnp.promote_types(a.dtype, jnp.float32)
    return lax.dot_general(a, b, (axes, ((), ())), preferred_element_type=wide)


def dot(a: Array, b: Array, axes: Axes) -> Array:
    """Compute `wide_dot` in a form that XLA:CPU takes, over one axis of each, its first or its last.

    XLA:CPU multiplies bfloat16 to float32 only by its library, which is called for matrices whose product lies row by
    row. Other products of that kind compile, and fail when they run ("Unsupported element type for DotThunk", jaxlib
    0.10.1). So narrow operands are matrices, and a barrier keeps XLA from turning the result. One case is left: `vmap`
    over b alone.
    """
    if a.dtype.itemsize >= 4:
        return wide_dot(a, b, axes)
    (i,), (j,) = axes
    matrix = wide_dot(_matrix(a, i), _matrix(b, j), ((min(i, 1),), (min(j, 1),)))
    shape = (*_without(a.shape, i), *_without(b.shape, j))
    return lax.optimization_barrier(matrix).reshape(shape)


def _matrix(a: Array, axis: int) -> Array:
    return a.reshape((a.shape[0], -1) if axis == 0 else (-1, a.shape[-1]))


def _without(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return (*shape[:axis], *shape[axis + 1 :])
