"""Convolution and transposed convolution as Linen layers that are fast on every platform.

Both keep their parameters as Flax does ("kernel", "bias"), with the same shapes under either lowering, so a
checkpoint moves between machines. `gan_jax.convolution` tells how they are computed and why.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax.linen.dtypes import promote_dtype

from gan_jax.convolution import Geometry, Lowering, convolve, convolve_adjoint
from gan_jax.types import Array, Key

Initializer = nn.initializers.Initializer


class Conv(nn.Module):
    """Strided "SAME" convolution, [B, H, W, I] -> [B, ceil(H/s), ceil(W/s), features].

    Attributes:
      features: number of output channels.
      kernel_size: (KH, KW), pixels.
      strides: (SH, SW), pixels.
      use_bias: whether to add a bias for each output channel.
      dtype: type of the computation; None takes that of the input and the parameters. Parameters are float32.
      kernel_init: draws the kernel [KH, KW, I, features].
      lowering: "matmul", "lax", or "auto" (matmul on CPU).
      batch_last: images and outputs are [C, H, W, B]: faster on CPU for networks that have few channels throughout.

    Raises:
      ValueError: the input is not of shape [B, H, W, I].
    """

    features: int
    kernel_size: tuple[int, int]
    strides: tuple[int, int] = (1, 1)
    use_bias: bool = True
    dtype: Any = None
    kernel_init: Initializer = nn.initializers.glorot_uniform()
    lowering: Lowering = "auto"
    batch_last: bool = False

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Convolve a batch of images."""
        _check_images(x)
        kernel = self.param(
            "kernel",
            self.kernel_init,
            (*self.kernel_size, _channels(x, self.batch_last), self.features),
        )
        bias = (
            self.param("bias", nn.initializers.zeros, (self.features,)) if self.use_bias else None
        )
        x, kernel, bias = promote_dtype(x, kernel, bias, dtype=self.dtype)
        geometry = Geometry(
            self.kernel_size, self.strides, x.shape[1:3], self.lowering, self.batch_last
        )
        return _add_bias(convolve(geometry, x, kernel), bias, self.batch_last)


class ConvTranspose(nn.Module):
    """Adjoint of `Conv`, [B, H, W, I] -> [B, *size, features].

    The kernel has the shape of the convolution whose adjoint this is, [KH, KW, features, I], as in Keras and
    as in Flax with `transpose_kernel=True`: with one kernel, <Conv x, y> = <x, ConvTranspose y>.

    Attributes and errors are those of `Conv`; strides count output pixels per input pixel, and

    Attributes:
      size: (H, W) of the output, pixels: any that `Conv` maps to the input's, as both 7 and 8 go to 4 by stride 2;
        None for the largest, (H * SH, W * SW).

    Raises:
      ValueError: no image of that size is mapped to the input's by `Conv`.
    """

    features: int
    kernel_size: tuple[int, int]
    strides: tuple[int, int] = (1, 1)
    use_bias: bool = True
    dtype: Any = None
    kernel_init: Initializer = nn.initializers.glorot_uniform(in_axis=-1, out_axis=-2)
    lowering: Lowering = "auto"
    batch_last: bool = False
    size: tuple[int, int] | None = None

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Upsample a batch of images."""
        _check_images(x)
        kernel = self.param(
            "kernel",
            self.kernel_init,
            (*self.kernel_size, self.features, _channels(x, self.batch_last)),
        )
        bias = (
            self.param("bias", nn.initializers.zeros, (self.features,)) if self.use_bias else None
        )
        x, kernel, bias = promote_dtype(x, kernel, bias, dtype=self.dtype)
        size = self.size or (x.shape[1] * self.strides[0], x.shape[2] * self.strides[1])
        _check_reached(x.shape[1:3], size, self.strides)
        geometry = Geometry(self.kernel_size, self.strides, size, self.lowering, self.batch_last)
        return _add_bias(convolve_adjoint(geometry, x, kernel), bias, self.batch_last)


def _check_images(x: Array) -> None:
    if x.ndim != 4:
        raise ValueError(f"a convolution takes images [B, H, W, C], got shape {x.shape}")


def _check_reached(
    small: tuple[int, int], large: tuple[int, int], strides: tuple[int, int]
) -> None:
    found = tuple(-(-n // s) for n, s in zip(large, strides, strict=True))
    if found != tuple(small):
        raise ValueError(
            f"a convolution of strides {strides} maps images of size {large} to {found}, not to {tuple(small)}"
        )


def _channels(x: Array, batch_last: bool) -> int:
    return x.shape[0 if batch_last else 3]


def _add_bias(y: Array, bias: Array | None, batch_last: bool) -> Array:
    if bias is None:
        return y
    return y + jnp.reshape(bias, (-1, 1, 1, 1) if batch_last else (1, 1, 1, -1))


class Dropout(nn.Module):
    """Set a share of the activations to zero in training and scale the others up to keep the mean.

    The mask hashes each activation's index with two random words drawn from the key, a dozen integer operations that
    fuse with what reads the mask: no mask is stored, and the backward pass computes it again. The rate is rounded to a
    multiple of 2^-32.

    Attributes:
      rate: share set to zero, in [0, 1).
    """

    rate: float

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Drop activations if `train`; otherwise return them as they are."""
        dropped = round(self.rate * 2**32)
        if not train or dropped == 0:
            return x
        bits = _hashed_bits(self.make_rng("dropout"), x.shape)
        return jnp.where(bits >= np.uint32(dropped), x * (2**32 / (2**32 - dropped)), 0)


def _hashed_bits(key: Key, shape: tuple[int, ...]) -> Array:
    first, second = jax.random.bits(key, (2,), jnp.uint32)
    index = jax.lax.iota(jnp.uint32, math.prod(shape)).reshape(shape)
    return _mix(_mix(index ^ first) + second)


def _mix(
    words: Array,
) -> Array:  # Wellons 2018, "Prospecting for Hash Functions": lowbias32, a bijection
    words = (words ^ (words >> 16)) * np.uint32(0x7FEB352D)
    words = (words ^ (words >> 15)) * np.uint32(0x846CA68B)
    return words ^ (words >> 16)


def normed(layer: nn.Module, *, on: bool, train: bool) -> Callable[[Array], Array]:
    """Divide a layer's kernel by an estimate of its largest singular value, if that is asked for.

    The estimate is one step of the power method in each training pass, from where the last one ended; its vectors are
    the module's model state. Parameters keep their names.

    Args:
      layer: with parameters of its own.
      on: whether to divide.
      train: whether to renew the estimate.

    Reference: Miyato et al. 2018, section 2.1 and appendix A, arXiv:1802.05957.
    """
    if not on:
        return layer
    return partial(nn.SpectralNorm(layer, name=f"{layer.name}_spectrum"), update_stats=train)
