"""Convolutions as matrix products, images [C, H, W, B], for networks of few channels throughout.

A pixel's values lie side by side over the batch, so shifts move whole rows and every product is (few x few) times
(few x many), with nothing turned before or after.
"""

from gan_jax.convolution.geometry import Geometry
from gan_jax.convolution.patches import gather_patches, scatter_patches
from gan_jax.convolution.products import taps_first, taps_last
from gan_jax.precision import dot
from gan_jax.types import Array


def convolve(g: Geometry, x: Array, k: Array) -> Array:
    """Compute `convolution.convolve` of [C, H, W, B]."""
    inputs, outputs = k.shape[2:]
    if _multiply_first(g, inputs, outputs):
        products = _contract_first(taps_last(k), x)
        return scatter_patches(
            products, g.kernel, g.strides, g.size, mirrored=True, batch_last=True
        )
    patches = gather_patches(x, g.kernel, g.strides, batch_last=True)
    return _contract_first(k.reshape(-1, outputs), patches)


def adjoint(g: Geometry, y: Array, k: Array) -> Array:
    """Compute `convolution.convolve_adjoint` of [C, H, W, B]."""
    inputs, outputs = k.shape[2:]
    if _multiply_first(g, inputs, outputs):
        patches = gather_patches(y, g.kernel, g.strides, mirrored=True, batch_last=True)
        return dot(taps_last(k), patches, ((1,), (0,)))
    products = dot(k.reshape(-1, outputs), y, ((1,), (0,)))
    return scatter_patches(products, g.kernel, g.strides, g.size, batch_last=True)


def kernel_gradient(g: Geometry, x: Array, y: Array) -> Array:
    """Compute `convolution.convolve_kernel` of [C, H, W, B]."""
    inputs, outputs = x.shape[0], y.shape[0]
    if _multiply_first(g, inputs, outputs):
        patches = gather_patches(y, g.kernel, g.strides, mirrored=True, batch_last=True)
        return taps_first(_correlate_last(x, patches).reshape(inputs, *g.kernel, outputs))
    patches = gather_patches(x, g.kernel, g.strides, batch_last=True)
    return _correlate_last(patches, y).reshape(*g.kernel, inputs, outputs)


def _multiply_first(g: Geometry, inputs: int, outputs: int) -> bool:
    return g.strides == (1, 1) and 2 * outputs <= inputs


def _contract_first(matrix: Array, images: Array) -> Array:  # [C, T], [C, H, W, B] -> [T, H, W, B]
    return dot(matrix, images, ((0,), (0,)))


def _correlate_last(a: Array, b: Array) -> Array:  # [S, H, W, B], [T, H, W, B] -> [S, T]
    a, b = a.reshape(a.shape[0], -1), b.reshape(b.shape[0], -1)
    return dot(a, b, ((1,), (1,)))
