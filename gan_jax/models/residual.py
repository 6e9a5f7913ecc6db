"""R3GAN's residual players in the small, for images of any even height and width: no normalisation anywhere.

Each size has residual blocks, x + c3(act(c2(act(c1(x))))), with kernels 1x1, 3x3, 1x1. The last kernel starts at zero,
so that every block starts as the identity, and the other two start smaller the more blocks there are (fix-up), which is
what lets a deep network train without normalisation. Sizes change by bilinear interpolation, channels by a 1x1
convolution. R3GAN's 3x3 convolutions are grouped; ours are plain, on as many channels as the block has: docs/design.md
says why.

Meant for the relativistic loss with R1 and R2.

Reference: Huang et al. 2024, "The GAN is dead; long live the GAN!", section 3, arXiv:2501.05441; Zhang et al. 2019,
"Fixup initialization", arXiv:1901.09321.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from gan_jax.layers import Conv, Dense
from gan_jax.models.conditional import beside, projected
from gan_jax.models.options import (
    PlayerOptions,
    image_shape,
    refuse_image_layer,
    scaled,
    stages,
)
from gan_jax.types import Array, Labels, Latents

WIDEST = 16  # times the channels at full size, at most
SLOPE = 0.2
_GAIN = 2.0 / (1.0 + SLOPE**2)  # by which a leaky ReLU shrinks a variance, undone

_plain = nn.initializers.variance_scaling(1.0, "fan_in", "normal")
_active = nn.initializers.variance_scaling(_GAIN, "fan_in", "normal")


class ResidualGenerator(nn.Module):
    """Map latents [B, Z] to images [B, H, W, channels] in [-1, 1].

    Attributes:
      size: (H, W) of the image, pixels; one number for a square.
      channels: of the image.
      base: hidden channels at the image's full size; each halving of the size doubles them, up to 16 times as many.
      dtype: type of the products' operands; parameters and images are float32.
      hidden: widths of dense layers between the latents and the first map.
      num_classes: classes to draw, as its labels say; 0 for a network without labels.
      blocks: residual blocks at each size.
    """

    size: int | tuple[int, int] = 28
    channels: int = 1
    base: int = 16
    dtype: Any = jnp.float32
    hidden: tuple[int, ...] = ()
    num_classes: int = 0
    blocks: int = 1

    @nn.compact
    def __call__(self, latents: Latents, labels: Array | None = None, *, train: bool) -> Array:
        """Generate images."""
        del train  # neither dropout nor statistics
        sizes = stages(self.size)
        widths = _widths(self.base, len(sizes))[::-1]
        x = _dense_layers(beside(latents, labels, self.num_classes), self.hidden, self.dtype)
        x = Dense(widths[0], dtype=self.dtype, kernel_init=_plain, name="project")(x)
        maps = self.param("maps", nn.initializers.normal(1.0), (*sizes[0], widths[0]))
        x = (
            x[:, None, None, :] * maps.astype(x.dtype)[None]
        )  # each channel is a map, turned up or down
        for number, (size, width) in enumerate(zip(sizes, widths, strict=True)):
            x = _resized(_to_width(x, width, f"width_{number}", self.dtype), size)
            x = _residual_blocks(x, number, self.blocks, self.blocks * len(sizes), self.dtype)
        image = Conv(self.channels, (1, 1), dtype=self.dtype, kernel_init=_plain, name="image")
        return jnp.tanh(image(x).astype(jnp.float32))


class ResidualDiscriminator(nn.Module):
    """Map images [B, H, W, C] to logits [B].

    Attributes:
      base: hidden channels at the image's full size; each halving of the size doubles them, up to 16 times as many.
      dtype: type of the products' operands; parameters and logits are float32.
      hidden: widths of dense layers between the last map and the logit.
      num_classes: classes that its labels tell of; 0 for a network without labels.
      blocks: residual blocks at each size.
    """

    base: int = 16
    dtype: Any = jnp.float32
    hidden: tuple[int, ...] = ()
    num_classes: int = 0
    blocks: int = 1

    @nn.compact
    def __call__(self, images: Array, labels: Labels | None = None, *, train: bool) -> Array:
        """Judge images."""
        del train  # neither dropout nor statistics
        sizes = stages(images.shape[1:3])[::-1]
        widths = _widths(self.base, len(sizes))
        x = Conv(widths[0], (1, 1), dtype=self.dtype, kernel_init=_plain, name="pixels")(images)
        for number, (size, width) in enumerate(zip(sizes, widths, strict=True)):
            x = _to_width(_resized(x, size), width, f"width_{number}", self.dtype)
            x = _residual_blocks(x, number, self.blocks, self.blocks * len(sizes), self.dtype)
        spread = nn.initializers.normal((sizes[-1][0] * sizes[-1][1]) ** -0.5)
        maps = self.param("maps", spread, x.shape[1:]).astype(x.dtype)
        x = _dense_layers((x * maps[None]).sum(axis=(1, 2)), self.hidden, self.dtype)
        logit = nn.Dense(1, dtype=jnp.float32, kernel_init=_plain, name="logit")
        return projected(logit(x)[:, 0], x, labels, self.num_classes)


def players(options: PlayerOptions) -> tuple[ResidualGenerator, ResidualDiscriminator]:
    """Build both players.

    Raises:
      ValueError: the samples are no images, or of a size that cannot be halved; or a last layer or spectral norm is
        asked for.
    """
    *size, channels = image_shape(options)
    stages(size)  # refuses here rather than while tracing
    refuse_image_layer(options)
    if options.spectral_norm:
        raise ValueError("normalises nothing, its weights neither; try dcgan or mlp")
    base, d_base = scaled(32, options.width), scaled(32, options.d_width)
    dtype, classes = options.dtype, options.num_classes
    generator = ResidualGenerator(tuple(size), channels, base, dtype, options.g_hidden, classes)
    return generator, ResidualDiscriminator(d_base, dtype, options.d_hidden, classes)


def _widths(base: int, num: int) -> list[int]:
    return [base * min(2**halvings, WIDEST) for halvings in range(num)]


def _activate(x: Array) -> Array:
    return nn.leaky_relu(x, SLOPE)


def _dense_layers(x: Array, widths: tuple[int, ...], dtype: Any) -> Array:
    for number, width in enumerate(widths):
        layer = Dense(width, dtype=dtype, kernel_init=_active, name=f"hidden_{number}")
        x = _activate(layer(x))
    return x


def _to_width(x: Array, width: int, name: str, dtype: Any) -> Array:
    if x.shape[3] == width:
        return x
    conv = Conv(width, (1, 1), use_bias=False, dtype=dtype, kernel_init=_plain, name=name)
    return conv(x)


def _resized(x: Array, size: tuple[int, int]) -> Array:
    if x.shape[1:3] == size:
        return x
    return jax.image.resize(
        x, (x.shape[0], *size, x.shape[3]), "bilinear"
    )  # smoothed on the way down


def _residual_blocks(x: Array, place: int, num: int, total: int, dtype: Any) -> Array:
    scale = nn.initializers.variance_scaling(_GAIN * total**-0.5, "fan_in", "normal")
    for number in range(num):
        conv = _conv_of(f"block_{place}_{number}", x.shape[3], dtype)
        inner = _activate(conv(1, (1, 1), scale)(x))
        inner = _activate(conv(2, (3, 3), scale)(inner))
        x = x + conv(3, (1, 1), nn.initializers.zeros, use_bias=False)(inner)
    return x


def _conv_of(block: str, width: int, dtype: Any) -> Callable[..., Conv]:
    def conv(number: int, kernel: tuple[int, int], init, use_bias: bool = True) -> Conv:
        return Conv(
            width, kernel, use_bias=use_bias, dtype=dtype, kernel_init=init, name=f"{block}_conv_{number}"
        )  # fmt: skip

    return conv
