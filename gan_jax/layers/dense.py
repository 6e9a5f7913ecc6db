"""Dense layers whose kernels are read as they lie.

For x [B, I], y [B, O] and a kernel k [I, O],

    multiply(x, k)         -> y    the product
    multiply_adjoint(y, k) -> x    its adjoint
    multiply_kernel(x, y)  -> k    its derivative by the kernel, contracted with y

are closed under differentiation, as the maps of `gan_jax.convolution` are. XLA:CPU turns the kernel in memory for
`y k^T`, and hands `x k` to a library that packs it, which for a small batch costs as much as the product. So there the
batch is turned instead, where it is smaller, and barriers keep XLA from turning it back.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

from gan_jax.precision import Axes, dot, of_layer, rounded, rounds, wide_dot
from gan_jax.types import Array

Initializer = nn.initializers.Initializer
Product = Callable[[Array, Array], Array]


class Dense(nn.Module):
    """Affine map [B, I] -> [B, features], with the parameters of Flax's `Dense`.

    Attributes:
      features: number of outputs.
      dtype: type of the products' operands, as `gan_jax.precision` says; results and parameters are float32.
      kernel_init: draws the kernel [I, features].
      bias_init: draws the bias [features].

    Raises:
      ValueError: the input is not of shape [B, I].
    """

    features: int
    dtype: Any = None
    kernel_init: Initializer = nn.linear.default_kernel_init
    bias_init: Initializer = nn.initializers.zeros

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Map a batch of vectors."""
        if x.ndim != 2:
            raise ValueError(f"a dense layer takes vectors [B, I], got shape {x.shape}")
        kernel = self.param("kernel", self.kernel_init, (x.shape[1], self.features))
        bias = self.param("bias", self.bias_init, (self.features,))
        operands, (x, kernel, bias) = of_layer(self.dtype, x, kernel, bias)
        return multiply(x, kernel, operands) + bias[None]


def plain_dense(
    features: int,
    *,
    dtype: Any,
    bias_init: Initializer = nn.initializers.zeros,
    name: str | None = None,
) -> nn.Module:
    """Make Flax's `Dense`; where operands are to be rounded, which Flax does not know how to, ours.

    For dense players: of their small kernels XLA's own products are as good, in the bits that they always had.

    Args:
      features: number of outputs.
      dtype: as of `Dense`.
      bias_init: draws the bias [features].
      name: of the module.
    """
    layer = Dense if rounds(dtype) else nn.Dense
    return layer(features, dtype=dtype, bias_init=bias_init, name=name)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def multiply(x: Array, k: Array, operands: Any = None) -> Array:
    """Multiply x [B, I] by k [I, O], rounded to the type of operands if there is one."""
    turned = _multiply_turned if _batch_is_smaller(x, k) else None
    return _lower(((1,), (0,)), turned, x, k, operands)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def multiply_adjoint(y: Array, k: Array, operands: Any = None) -> Array:
    """Multiply y [B, O] by the transpose of k [I, O]."""
    turned = _adjoint_turned if _batch_is_smaller(y, k) else None
    return _lower(((1,), (1,)), turned, y, k, operands)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def multiply_kernel(x: Array, y: Array, operands: Any = None) -> Array:
    """Multiply the transpose of x [B, I] by y [B, O]."""
    return _lower(((0,), (0,)), None, x, y, operands)


def _save(function):
    return lambda a, b, operands: (function(a, b, operands), (a, b))


multiply.defvjp(
    _save(multiply),
    lambda o, saved, dy: (multiply_adjoint(dy, saved[1], o), multiply_kernel(saved[0], dy, o)),
)
multiply_adjoint.defvjp(
    _save(multiply_adjoint),
    lambda o, saved, dx: (multiply(dx, saved[1], o), multiply_kernel(dx, saved[0], o)),
)
multiply_kernel.defvjp(
    _save(multiply_kernel),
    lambda o, saved, dk: (multiply_adjoint(saved[1], dk, o), multiply(saved[0], dk, o)),
)


def _batch_is_smaller(batch: Array, k: Array) -> bool:
    size = batch.shape[0]  # no number where a program is exported for batches of any size
    return isinstance(size, int) and size * sum(k.shape) < k.size


def _lower(axes: Axes, turned: Product | None, a: Array, b: Array, operands: Any) -> Array:
    result = jnp.promote_types(a.dtype, b.dtype)
    a, b = rounded(operands, a, b)
    plain = partial(wide_dot, axes=axes)
    if turned is None and operands is None:
        return plain(a, b).astype(result)
    on_cpu = turned or partial(dot, axes=axes)
    return lax.platform_dependent(a, b, cpu=on_cpu, default=plain).astype(result)


def _multiply_turned(x: Array, k: Array) -> Array:
    return dot(lax.optimization_barrier(x.T), k, ((0,), (0,)))


def _adjoint_turned(y: Array, k: Array) -> Array:
    return lax.optimization_barrier(dot(k, lax.optimization_barrier(y.T), ((1,), (0,)))).T
