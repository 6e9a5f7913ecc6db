"""Strided "SAME" convolution as three bilinear maps, each with two lowerings.

For images x [B, H, W, I], outputs y [B, ceil(H/s), ceil(W/s), O] and a kernel k [KH, KW, I, O],

    convolve(x, k)            -> y    the convolution
    convolve_adjoint(y, k)    -> x    its adjoint, the transposed convolution: <convolve(x, k), y> = <x, ...>
    convolve_kernel(x, y)     -> k    its derivative by the kernel, contracted with y

are closed under differentiation: the gradient of each is made of the other two, so gradients of any order
(penalties differentiate twice) use the same fast code. Only reverse mode is defined.

Why two lowerings: XLA's convolutions are meant for GPU and TPU; on CPU their gradients become many times slower inside
a loop (jax-ml/jax#12868), where matrix products keep their speed. "auto" therefore takes matrix products on CPU and
`lax` convolutions elsewhere. Either rounds its operands inside the maps, as `gan_jax.precision` says.
`experiments.benchmarks.convolutions` measures it; experiments/README.md has the table.
"""

from collections.abc import Callable
from functools import cache, partial

import jax
import jax.numpy as jnp
from jax import lax

from gan_jax.convolution import products, products_batch_last
from gan_jax.convolution.geometry import Geometry, Lowering
from gan_jax.convolution.patches import Pair, padding_before
from gan_jax.precision import rounded
from gan_jax.types import Array

__all__ = ["Geometry", "Lowering", "convolve", "convolve_adjoint", "convolve_kernel"]


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def convolve(geometry: Geometry, x: Array, k: Array) -> Array:
    """Convolve x [B, H, W, I] with k [KH, KW, I, O] to [B, ceil(H/s), ceil(W/s), O]."""
    return _lower(geometry, products.convolve, _convolve_lax, x, k)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def convolve_adjoint(geometry: Geometry, y: Array, k: Array) -> Array:
    """Spread y [B, ceil(H/s), ceil(W/s), O] through k [KH, KW, I, O] to [B, H, W, I]."""
    return _lower(geometry, products.adjoint, _adjoint_lax, y, k)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def convolve_kernel(geometry: Geometry, x: Array, y: Array) -> Array:
    """Correlate x [B, H, W, I] with y [B, ceil(H/s), ceil(W/s), O] to the shape of a kernel [KH, KW, I, O]."""
    return _lower(geometry, products.kernel_gradient, _kernel_lax, x, y)


def _save(function):
    return lambda geometry, a, b: (function(geometry, a, b), (a, b))


convolve.defvjp(
    _save(convolve),
    lambda g, saved, dy: (convolve_adjoint(g, dy, saved[1]), convolve_kernel(g, saved[0], dy)),
)
convolve_adjoint.defvjp(
    _save(convolve_adjoint),
    lambda g, saved, dx: (convolve(g, dx, saved[1]), convolve_kernel(g, dx, saved[0])),
)
convolve_kernel.defvjp(
    _save(convolve_kernel),
    lambda g, saved, dk: (convolve_adjoint(g, saved[1], dk), convolve(g, saved[0], dk)),
)


def _lower(geometry: Geometry, matmul, lax_convolution, a: Array, b: Array) -> Array:
    result = jnp.promote_types(a.dtype, b.dtype)
    a, b = rounded(geometry.operands, a, b)
    matmul = BATCH_LAST[matmul] if geometry.batch_last else matmul
    if geometry.lowering == "matmul":
        return matmul(geometry, a, b).astype(result)
    if geometry.lowering == "lax":
        return lax_convolution(geometry, a, b).astype(result)
    cpu, default = _branch(matmul, geometry), _branch(lax_convolution, geometry)
    return lax.platform_dependent(a, b, cpu=cpu, default=default).astype(result)


@cache
def _branch(function: Callable, geometry: Geometry) -> Callable[[Array, Array], Array]:
    """Give one object for one function and geometry: JAX traces a branch that it knows only once for its shapes."""
    return partial(function, geometry)


BATCH_LAST = {
    products.convolve: products_batch_last.convolve,
    products.adjoint: products_batch_last.adjoint,
    products.kernel_gradient: products_batch_last.kernel_gradient,
}


# lax convolutions. The gradients are those that JAX makes, which would not round what comes back to operands' type.


def _convolve_lax(geometry: Geometry, x: Array, k: Array) -> Array:
    images = "CHWN" if geometry.batch_last else "NHWC"
    return _wide(x, k, geometry.strides, "SAME", (images, "HWIO", images))


def _adjoint_lax(geometry: Geometry, y: Array, k: Array) -> Array:
    images = "CHWN" if geometry.batch_last else "NHWC"
    padding = []
    for size, taps, stride in zip(geometry.size, geometry.kernel, geometry.strides, strict=True):
        before = taps - 1 - padding_before(size, taps, stride)
        padding.append((before, size + taps - 1 - _span(size, stride) - before))
    mirrored = lax.rev(k, (0, 1))
    return _wide(
        y, mirrored, (1, 1), padding, (images, "HWOI", images), lhs_dilation=geometry.strides
    )


def _kernel_lax(geometry: Geometry, x: Array, y: Array) -> Array:
    padding = []
    for size, taps, stride in zip(geometry.size, geometry.kernel, geometry.strides, strict=True):
        before = padding_before(size, taps, stride)
        padding.append((before, _span(size, stride) - size + taps - 1 - before))
    layout = ("NHWC", "OHWI", "HWNC") if geometry.batch_last else ("CHWN", "IHWO", "HWNC")
    return _wide(x, y, (1, 1), padding, layout, rhs_dilation=geometry.strides)


def _span(size: int, stride: int) -> int:
    """Count the pixels from the first that the outputs' strides meet to the last."""
    return (-(-size // stride) - 1) * stride + 1


def _wide(
    a: Array,
    b: Array,
    strides: Pair,
    padding: str | list[Pair],
    layout: tuple[str, str, str],
    lhs_dilation: Pair | None = None,
    rhs_dilation: Pair | None = None,
) -> Array:
    wide = jnp.promote_types(a.dtype, jnp.float32)
    return lax.conv_general_dilated(
        a, b, strides, padding, lhs_dilation, rhs_dilation, layout, preferred_element_type=wide
    )
