"""Convolutions as matrix products, images [B, H, W, C].

Which side of a convolution is laid out in patches, and how, follows from its channels:

- From few channels (the first layer of D): patches of x, taps first.
- To few channels at stride one (the last layer of G): a patch matrix of x would be as wide as the product is thin.
  Pixels are multiplied first, and the few products shifted and added after; taps first if they are very few.
- Otherwise: patches of x, taps last, so that the larger operand of a product is a plain reshape of what is stored.
"""

import jax.numpy as jnp

from gan_jax.convolution.geometry import Geometry
from gan_jax.convolution.patches import gather_patches, scatter_patches
from gan_jax.precision import dot
from gan_jax.types import Array

FEW = 4  # channels that make a row of pixels shorter in memory than a vector register


def _multiply_first(g: Geometry, inputs: int, outputs: int) -> bool:
    return g.strides == (1, 1) and 4 * outputs <= inputs


def convolve(g: Geometry, x: Array, k: Array) -> Array:
    """Compute `convolution.convolve` by one product of patches and kernel."""
    inputs, outputs = k.shape[2:]
    if _multiply_first(g, inputs, outputs):
        few = outputs <= FEW
        products = (_dot_turned if few else _dot)(x, taps_last(k))
        return scatter_patches(products, g.kernel, g.strides, g.size, mirrored=True, taps_first=few)
    patches = gather_patches(x, g.kernel, g.strides, taps_first=inputs <= FEW)
    k = k.reshape(-1, outputs)
    return _contract_taps(patches, k) if inputs <= FEW else _dot(patches, k)


def adjoint(g: Geometry, y: Array, k: Array) -> Array:
    """Compute `convolution.convolve_adjoint` by one product and shifted sums."""
    inputs, outputs = k.shape[2:]
    if _multiply_first(g, inputs, outputs):
        few = outputs <= FEW
        patches = gather_patches(y, g.kernel, g.strides, mirrored=True, taps_first=few)
        return (_contract_taps if few else _dot)(patches, taps_last(k).T)
    few = inputs <= FEW
    products = (_dot_turned if few else _dot)(y, k.reshape(-1, outputs).T)
    return scatter_patches(products, g.kernel, g.strides, g.size, taps_first=few)


def kernel_gradient(g: Geometry, x: Array, y: Array) -> Array:
    """Compute `convolution.convolve_kernel` by one product of patches and outputs."""
    inputs, outputs = x.shape[3], y.shape[3]
    if _multiply_first(g, inputs, outputs):
        few = outputs <= FEW
        patches = gather_patches(y, g.kernel, g.strides, mirrored=True, taps_first=few)
        if few:  # shaped before it is turned: XLA would turn the operands of a product instead
            return _correlate_taps(patches, x).reshape(*g.kernel, outputs, inputs).swapaxes(2, 3)
        return taps_first(_correlate(x, patches).reshape(inputs, *g.kernel, outputs))
    if inputs <= FEW:
        patches = gather_patches(x, g.kernel, g.strides, taps_first=True)
        return _correlate_taps(patches, y).reshape(*g.kernel, inputs, outputs)
    # XLA copies the left operand of such a product, so the smaller one stands left; and a gradient left turned would
    # be read against the grain by each of the optimizer's loops, so it is laid straight here, tap by tap.
    turned = _correlate(y, gather_patches(x, g.kernel, g.strides))
    taps = [turned[:, first : first + inputs].T for first in range(0, turned.shape[1], inputs)]
    return jnp.concatenate(taps).reshape(*g.kernel, inputs, outputs)


def _dot_turned(images: Array, matrix: Array) -> Array:  # [B, H, W, C], [C, T] -> [T, B, H, W]
    # XLA turns the images before such a product. Where they are wider than what comes out, that is turned instead.
    if images.shape[3] > matrix.shape[1]:
        return _dot(images, matrix).transpose(3, 0, 1, 2)
    return dot(matrix, images, ((0,), (3,)))


def _contract_taps(taps: Array, matrix: Array) -> Array:  # [T, B, H, W], [T, C] -> [B, H, W, C]
    return dot(taps, matrix, ((0,), (0,)))


def _correlate_taps(taps: Array, images: Array) -> Array:  # [T, B, H, W], [B, H, W, C] -> [T, C]
    return dot(taps.reshape(taps.shape[0], -1), images.reshape(-1, images.shape[3]), ((1,), (0,)))


def _dot(images: Array, matrix: Array) -> Array:
    return dot(images, matrix, ((3,), (0,)))


def _correlate(a: Array, b: Array) -> Array:
    a, b = a.reshape(-1, a.shape[3]), b.reshape(-1, b.shape[3])
    return dot(a, b, ((0,), (0,)))


def taps_last(k: Array) -> Array:
    """Lay out a kernel [KH, KW, I, O] as a matrix [I, KH * KW * O]."""
    return k.transpose(2, 0, 1, 3).reshape(k.shape[2], -1)


def taps_first(k: Array) -> Array:
    """Turn [I, KH, KW, O] into a kernel [KH, KW, I, O]."""
    return k.transpose(1, 2, 0, 3)
