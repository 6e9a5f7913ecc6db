"""Convolutions along waves with kernels of 25 samples and strides of 4, as WaveGAN has them, without strides.

Four samples lie side by side as channels while a convolution goes over them: seven steps of one block, in which the
kernel stands between 2 and 1 taps of zero, in the place of 25 taps with a stride of 4. The numbers are the same, with a
quarter of the moves and of the operations that a compiler sees. Parameters are those of `layers.Conv` and
`layers.ConvTranspose`.
"""

from typing import Any

import jax.numpy as jnp
from flax import linen as nn

from gan_jax.convolution import Geometry, convolve, convolve_adjoint
from gan_jax.precision import of_layer
from gan_jax.types import Array

KERNEL, STRIDE = 25, 4
BLOCKS, AROUND = 7, (2, 1)  # of a kernel, and the zeros before and behind it


class WaveConv(nn.Module):
    """`layers.Conv` of 25 samples and stride 4, [B, 1, T, I] -> [B, 1, T / 4, features], 4 divides T.

    Attributes are those of `Conv`.
    """

    features: int
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Convolve waves."""
        batch, _, length, inputs = x.shape
        kernel = self.param("kernel", _init(-2, -1), (1, KERNEL, inputs, self.features))
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        operands, (x, kernel, bias) = of_layer(self.dtype, x, kernel, bias)
        x = x.reshape(batch, 1, length // STRIDE, STRIDE * inputs)
        return convolve(_geometry(x.shape[2], operands), x, _blocks(kernel)) + bias.reshape(
            1, 1, 1, -1
        )


class WaveConvTranspose(nn.Module):
    """Adjoint of `WaveConv`, [B, 1, T, I] -> [B, 1, 4 T, features]: `layers.ConvTranspose` likewise."""

    features: int
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Make waves four times as long."""
        batch, _, length, inputs = x.shape
        kernel = self.param("kernel", _init(-1, -2), (1, KERNEL, self.features, inputs))
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        operands, (x, kernel, bias) = of_layer(self.dtype, x, kernel, bias)
        y = convolve_adjoint(_geometry(length, operands), x, _blocks(kernel))
        return y.reshape(batch, 1, STRIDE * length, self.features) + bias.reshape(1, 1, 1, -1)


def _init(inputs: int, outputs: int) -> nn.initializers.Initializer:
    return nn.initializers.glorot_uniform(in_axis=inputs, out_axis=outputs)


def _geometry(blocks: int, operands: Any) -> Geometry:
    return Geometry((1, BLOCKS), (1, 1), (1, blocks), operands=operands)


def _blocks(kernel: Array) -> Array:
    """Lay a kernel [1, 25, I, O] out over blocks, [1, 7, 4 I, O]."""
    padded = jnp.pad(kernel, ((0, 0), AROUND, (0, 0), (0, 0)))
    return padded.reshape(1, BLOCKS, STRIDE * kernel.shape[2], kernel.shape[3])
