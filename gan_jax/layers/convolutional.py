"""Convolution and transposed convolution as Linen layers that are fast on every platform.

Both keep their parameters as Flax does ("kernel", "bias"), with the same shapes under either lowering, so a
checkpoint moves between machines. `gan_jax.convolution` tells how they are computed and why.
"""

from typing import Any

from flax import linen as nn

from gan_jax.convolution import Geometry, Lowering, convolve, convolve_adjoint
from gan_jax.layers.sums import add_bias
from gan_jax.precision import of_layer
from gan_jax.types import Array

Initializer = nn.initializers.Initializer


class Conv(nn.Module):
    """Strided "SAME" convolution, [B, H, W, I] -> [B, ceil(H/s), ceil(W/s), features].

    Attributes:
      features: number of output channels.
      kernel_size: (KH, KW), pixels.
      strides: (SH, SW), pixels.
      use_bias: whether to add a bias for each output channel.
      dtype: type of the products' operands, as `gan_jax.precision` says; results and parameters are float32.
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
        operands, (x, kernel, bias) = of_layer(self.dtype, x, kernel, bias)
        layout = (x.shape[1:3], self.lowering, self.batch_last)
        geometry = Geometry(self.kernel_size, self.strides, *layout, operands)
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
        operands, (x, kernel, bias) = of_layer(self.dtype, x, kernel, bias)
        size = self.size or (x.shape[1] * self.strides[0], x.shape[2] * self.strides[1])
        _check_reached(x.shape[1:3], size, self.strides)
        layout = (size, self.lowering, self.batch_last)
        geometry = Geometry(self.kernel_size, self.strides, *layout, operands)
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
    return y if bias is None else add_bias(y, bias, 0 if batch_last else -1)
