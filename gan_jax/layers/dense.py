"""Dense layers whose kernels are read as they lie.

For x [B, I], y [B, O] and a kernel k [I, O],

    multiply(x, k)         -> y    the product
    multiply_adjoint(y, k) -> x    its adjoint
    multiply_kernel(x, y)  -> k    its derivative by the kernel, contracted with y

are closed under differentiation, as the maps of `gan_jax.convolution` are. XLA:CPU turns the kernel in memory for
`y k^T`, and hands `x k` to a library that packs it, which for a small batch costs as much as the product. So there the
batch is turned instead, where it is smaller, and barriers keep XLA from turning it back.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.linen.dtypes import promote_dtype
from jax import lax

from gan_jax.types import Array

Initializer = nn.initializers.Initializer


class Dense(nn.Module):
    """Affine map [B, I] -> [B, features], with the parameters of Flax's `Dense`.

    Attributes:
      features: number of outputs.
      dtype: type of the computation; None takes that of the input and the parameters. Parameters are float32.
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
        x, kernel, bias = promote_dtype(x, kernel, bias, dtype=self.dtype)
        return multiply(x, kernel) + bias[None]


@jax.custom_vjp
def multiply(x: Array, k: Array) -> Array:
    """Multiply x [B, I] by k [I, O]."""
    return _lower(_multiply_turned, jnp.matmul, x, k, turned=_batch_is_smaller(x, k))


@jax.custom_vjp
def multiply_adjoint(y: Array, k: Array) -> Array:
    """Multiply y [B, O] by the transpose of k [I, O]."""
    return _lower(_adjoint_turned, _adjoint, y, k, turned=_batch_is_smaller(y, k))


@jax.custom_vjp
def multiply_kernel(x: Array, y: Array) -> Array:
    """Multiply the transpose of x [B, I] by y [B, O]."""
    return lax.dot_general(x, y, (((0,), (0,)), ((), ())))


def _save(function):
    return lambda a, b: (function(a, b), (a, b))


multiply.defvjp(
    _save(multiply),
    lambda saved, dy: (multiply_adjoint(dy, saved[1]), multiply_kernel(saved[0], dy)),
)
multiply_adjoint.defvjp(
    _save(multiply_adjoint),
    lambda saved, dx: (multiply(dx, saved[1]), multiply_kernel(dx, saved[0])),
)
multiply_kernel.defvjp(
    _save(multiply_kernel),
    lambda saved, dk: (multiply_adjoint(saved[1], dk), multiply(saved[0], dk)),
)


def _batch_is_smaller(batch: Array, k: Array) -> bool:
    size = batch.shape[0]  # no number where a program is exported for batches of any size
    return isinstance(size, int) and size * sum(k.shape) < k.size


def _lower(on_cpu, plain, a: Array, k: Array, *, turned: bool) -> Array:
    if not turned:
        return plain(a, k)
    return lax.platform_dependent(a, k, cpu=on_cpu, default=plain)


def _multiply_turned(x: Array, k: Array) -> Array:
    return lax.dot_general(lax.optimization_barrier(x.T), k, (((0,), (0,)), ((), ())))


def _adjoint_turned(y: Array, k: Array) -> Array:
    return lax.optimization_barrier(k @ lax.optimization_barrier(y.T)).T


def _adjoint(y: Array, k: Array) -> Array:
    return lax.dot_general(y, k, (((1,), (1,)), ((), ())))
