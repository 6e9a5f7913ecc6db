"""Strided "SAME" convolution as three bilinear maps, each with two lowerings.

For images x [B, H, W, I], outputs y [B, ceil(H/s), ceil(W/s), O] and a kernel k [KH, KW, I, O],

    convolve(x, k)            -> y    the convolution
    convolve_adjoint(y, k)    -> x    its adjoint, the transposed convolution: <convolve(x, k), y> = <x, ...>
    convolve_kernel(x, y)     -> k    its derivative by the kernel, contracted with y

are closed under differentiation: the gradient of each is made of the other two, so gradients of any order
(penalties differentiate twice) use the same fast code. Only reverse mode is defined.

Why two lowerings: XLA's convolutions are meant for GPU and TPU; on CPU their gradients become many times slower inside
a loop (jax-ml/jax#12868), where matrix products keep their speed. "auto" therefore takes matrix products on CPU and
`lax` convolutions elsewhere. `experiments.benchmarks.convolutions` measures it; experiments/README.md has the table.
"""

from functools import partial
from typing import Literal, NamedTuple

import jax
from jax import lax

from gan_jax.shifts import gather_patches, scatter_patches
from gan_jax.types import Array

Lowering = Literal["auto", "matmul", "lax"]


class Geometry(NamedTuple):
    """The static part of a convolution: hashable, so that it can be a non-differentiated argument.

    Attributes:
      kernel: (KH, KW), pixels.
      strides: pixels between neighbouring outputs, along height and width.
      size: (H, W) of the side that is larger, pixels.
      lowering: "matmul", "lax", or "auto" (matmul on CPU, lax elsewhere).
      batch_last: images and outputs are [C, H, W, B] instead of [B, H, W, C].
    """

    kernel: tuple[int, int]
    strides: tuple[int, int]
    size: tuple[int, int]
    lowering: Lowering = "auto"
    batch_last: bool = False


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def convolve(geometry: Geometry, x: Array, k: Array) -> Array:
    """Convolve x [B, H, W, I] with k [KH, KW, I, O] to [B, ceil(H/s), ceil(W/s), O]."""
    return _lower(geometry, _convolve_matmul, _convolve_lax, x, k)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def convolve_adjoint(geometry: Geometry, y: Array, k: Array) -> Array:
    """Spread y [B, ceil(H/s), ceil(W/s), O] through k [KH, KW, I, O] to [B, H, W, I]."""
    return _lower(geometry, _adjoint_matmul, _adjoint_lax, y, k)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def convolve_kernel(geometry: Geometry, x: Array, y: Array) -> Array:
    """Correlate x [B, H, W, I] with y [B, ceil(H/s), ceil(W/s), O] to the shape of a kernel [KH, KW, I, O]."""
    return _lower(geometry, _kernel_matmul, _kernel_lax, x, y)


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
    matmul = BATCH_LAST[matmul] if geometry.batch_last else matmul
    if geometry.lowering == "matmul":
        return matmul(geometry, a, b)
    if geometry.lowering == "lax":
        return lax_convolution(geometry, a, b)
    return lax.platform_dependent(
        a, b, cpu=partial(matmul, geometry), default=partial(lax_convolution, geometry)
    )


# Matrix products. Which side of a convolution is laid out in patches, and how, follows from its channels:
#
# - From few channels (the first layer of D): patches of x, taps first.
# - To few channels at stride one (the last layer of G): a patch matrix of x would be as wide as the product is thin.
#   Pixels are multiplied first, and the few products shifted and added after; taps first if they are very few.
# - Otherwise: patches of x, taps last, so that the larger operand of a product is a plain reshape of what is stored.

FEW = 4  # channels that make a row of pixels shorter in memory than a vector register


def _multiply_first(g: Geometry, inputs: int, outputs: int) -> bool:
    return g.strides == (1, 1) and 4 * outputs <= inputs


def _convolve_matmul(g: Geometry, x: Array, k: Array) -> Array:
    inputs, outputs = k.shape[2:]
    if _multiply_first(g, inputs, outputs):
        few = outputs <= FEW
        products = _dot_taps(_taps_last(k), x) if few else _dot(x, _taps_last(k))
        return scatter_patches(products, g.kernel, g.strides, g.size, mirrored=True, taps_first=few)
    patches = gather_patches(x, g.kernel, g.strides, taps_first=inputs <= FEW)
    k = k.reshape(-1, outputs)
    return _contract_taps(patches, k) if inputs <= FEW else _dot(patches, k)


def _adjoint_matmul(g: Geometry, y: Array, k: Array) -> Array:
    inputs, outputs = k.shape[2:]
    if _multiply_first(g, inputs, outputs):
        few = outputs <= FEW
        patches = gather_patches(y, g.kernel, g.strides, mirrored=True, taps_first=few)
        return (_contract_taps if few else _dot)(patches, _taps_last(k).T)
    products = lax.dot_general(y, k.reshape(-1, outputs), (((3,), (1,)), ((), ())))
    if inputs <= FEW:  # so few that turning them is cheaper than a product that gives them turned
        products = products.transpose(3, 0, 1, 2)
    return scatter_patches(products, g.kernel, g.strides, g.size, taps_first=inputs <= FEW)


def _kernel_matmul(g: Geometry, x: Array, y: Array) -> Array:
    inputs, outputs = x.shape[3], y.shape[3]
    if _multiply_first(g, inputs, outputs):
        few = outputs <= FEW
        patches = gather_patches(y, g.kernel, g.strides, mirrored=True, taps_first=few)
        if few:  # shaped before it is turned: XLA would turn the operands of a product instead
            return _correlate_taps(patches, x).reshape(*g.kernel, outputs, inputs).swapaxes(2, 3)
        return _taps_first(_correlate(x, patches).reshape(inputs, *g.kernel, outputs))
    few = inputs <= FEW
    patches = gather_patches(x, g.kernel, g.strides, taps_first=few)
    taps = (_correlate_taps if few else _correlate)(patches, y)
    return taps.reshape(*g.kernel, inputs, outputs)


def _dot_taps(matrix: Array, images: Array) -> Array:  # [C, T], [B, H, W, C] -> [T, B, H, W]
    return lax.dot_general(matrix, images, (((0,), (3,)), ((), ())))


def _contract_taps(taps: Array, matrix: Array) -> Array:  # [T, B, H, W], [T, C] -> [B, H, W, C]
    return lax.dot_general(taps, matrix, (((0,), (0,)), ((), ())))


def _correlate_taps(taps: Array, images: Array) -> Array:  # [T, B, H, W], [B, H, W, C] -> [T, C]
    return taps.reshape(taps.shape[0], -1) @ images.reshape(-1, images.shape[3])


def _dot(images: Array, matrix: Array) -> Array:
    return lax.dot_general(images, matrix, (((3,), (0,)), ((), ())))


def _correlate(a: Array, b: Array) -> Array:
    return lax.dot_general(a, b, (((0, 1, 2), (0, 1, 2)), ((), ())))


def _taps_last(k: Array) -> Array:
    return k.transpose(2, 0, 1, 3).reshape(k.shape[2], -1)


def _taps_first(k: Array) -> Array:
    return k.transpose(1, 2, 0, 3)


# Batch last, for networks of few channels throughout: a pixel's values lie side by side over the batch, so shifts move
# whole rows and every product is (few x few) times (few x many), with nothing turned before or after.


def _convolve_batch_last(g: Geometry, x: Array, k: Array) -> Array:
    inputs, outputs = k.shape[2:]
    if _multiply_first_batch_last(g, inputs, outputs):
        products = _contract_first(_taps_last(k), x)
        return scatter_patches(
            products, g.kernel, g.strides, g.size, mirrored=True, batch_last=True
        )
    patches = gather_patches(x, g.kernel, g.strides, batch_last=True)
    return _contract_first(k.reshape(-1, outputs), patches)


def _adjoint_batch_last(g: Geometry, y: Array, k: Array) -> Array:
    inputs, outputs = k.shape[2:]
    if _multiply_first_batch_last(g, inputs, outputs):
        patches = gather_patches(y, g.kernel, g.strides, mirrored=True, batch_last=True)
        return lax.dot_general(_taps_last(k), patches, (((1,), (0,)), ((), ())))
    products = lax.dot_general(k.reshape(-1, outputs), y, (((1,), (0,)), ((), ())))
    return scatter_patches(products, g.kernel, g.strides, g.size, batch_last=True)


def _kernel_batch_last(g: Geometry, x: Array, y: Array) -> Array:
    inputs, outputs = x.shape[0], y.shape[0]
    if _multiply_first_batch_last(g, inputs, outputs):
        patches = gather_patches(y, g.kernel, g.strides, mirrored=True, batch_last=True)
        return _taps_first(_correlate_last(x, patches).reshape(inputs, *g.kernel, outputs))
    patches = gather_patches(x, g.kernel, g.strides, batch_last=True)
    return _correlate_last(patches, y).reshape(*g.kernel, inputs, outputs)


BATCH_LAST = {
    _convolve_matmul: _convolve_batch_last,
    _adjoint_matmul: _adjoint_batch_last,
    _kernel_matmul: _kernel_batch_last,
}


def _multiply_first_batch_last(g: Geometry, inputs: int, outputs: int) -> bool:
    return g.strides == (1, 1) and 2 * outputs <= inputs


def _contract_first(matrix: Array, images: Array) -> Array:  # [C, T], [C, H, W, B] -> [T, H, W, B]
    return lax.dot_general(matrix, images, (((0,), (0,)), ((), ())))


def _correlate_last(a: Array, b: Array) -> Array:  # [S, H, W, B], [T, H, W, B] -> [S, T]
    a, b = a.reshape(a.shape[0], -1), b.reshape(b.shape[0], -1)
    return lax.dot_general(a, b, (((1,), (1,)), ((), ())))


# lax convolutions


def _convolve_lax(geometry: Geometry, x: Array, k: Array) -> Array:
    images = "CHWN" if geometry.batch_last else "NHWC"
    return lax.conv_general_dilated(
        x, k, geometry.strides, "SAME", dimension_numbers=(images, "HWIO", images)
    )


def _adjoint_lax(geometry: Geometry, y: Array, k: Array) -> Array:
    shape = (y.shape[0], *geometry.size, k.shape[2])
    if geometry.batch_last:
        shape = (k.shape[2], *geometry.size, y.shape[3])
    x = jax.ShapeDtypeStruct(shape, y.dtype)
    (result,) = jax.linear_transpose(lambda x: _convolve_lax(geometry, x, k), x)(y)
    return result


def _kernel_lax(geometry: Geometry, x: Array, y: Array) -> Array:
    axis = 0 if geometry.batch_last else 3
    k = jax.ShapeDtypeStruct((*geometry.kernel, x.shape[axis], y.shape[axis]), x.dtype)
    (result,) = jax.linear_transpose(lambda k: _convolve_lax(geometry, x, k), k)(y)
    return result
