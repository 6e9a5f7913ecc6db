"""DCGAN players for images of any even height and width and any number of channels.

The generator starts from the smallest map that halving both sides reaches above 3 pixels (28x28 -> 7x7, 64x48 -> 8x6)
and doubles it; the discriminator mirrors it. Kernels are 4x4, which the stride 2 divides, so that every pixel
is reached by equally many taps. The discriminator has no batch norm, so penalties and the one-stage update apply.

Reference: Radford et al. 2016, section 3, arXiv:1511.06434; kernel size: Odena et al. 2016, "Deconvolution and
checkerboard artifacts".
"""

import math
from functools import partial
from typing import Any

import jax.numpy as jnp
from flax import linen as nn

from gan_jax.layers import BatchNorm, Conv, ConvTranspose, Dense, SmoothTranspose, normed
from gan_jax.models.conditional import beside, projected
from gan_jax.models.options import PlayerOptions, image_shape, scaled, stages
from gan_jax.types import Array, Labels, Latents

IMAGE_LAYERS: dict[str, partial[nn.Module]] = {
    "conv": partial(Conv, kernel_size=(5, 5)),
    "conv_transpose": partial(ConvTranspose, kernel_size=(4, 4), strides=(2, 2)),
    "smooth_transpose": partial(SmoothTranspose, kernel_size=(4, 4), strides=(2, 2)),
}
# Those that draw from the map of half the size.
HALF_SIZE = tuple(name for name, layer in IMAGE_LAYERS.items() if "strides" in layer.keywords)


class DCGANGenerator(nn.Module):
    """Map latents [B, Z] to images [B, H, W, channels] in [-1, 1].

    Attributes:
      size: (H, W) of the image, pixels; one number for a square.
      channels: of the image.
      base: hidden channels at the image's full size; each halving of the size doubles them.
      batch_norm: normalise each hidden layer. Leave it out for relativistic losses with penalties.
      dtype: type of the products' operands; parameters, statistics and images are float32.
      hidden: widths of dense layers between the latents and the first map: with them G composes a whole image before
        it draws its parts, without them it is linear up to its smallest map.
      image_layer: "conv", 5x5 on a hidden map of full size; or "conv_transpose", 4x4 straight from the map of half
        the size, without a hidden map of full size, which at 64x64 costs a third of a step; or "smooth_transpose", the
        same without its checkerboard.
      num_classes: classes to draw, as its labels say; 0 for a network without labels.
    """

    size: int | tuple[int, int] = 28
    channels: int = 1
    base: int = 32
    batch_norm: bool = True
    dtype: Any = jnp.float32
    hidden: tuple[int, ...] = ()
    image_layer: str = "conv"
    num_classes: int = 0

    @property
    def couples_batch(self) -> bool:
        """Whether batch norm makes the samples of a batch depend on one another."""
        return self.batch_norm

    @nn.compact
    def __call__(self, latents: Latents, labels: Array | None = None, *, train: bool) -> Array:
        """Generate images."""
        first, *others = stages(self.size)
        width = self.base * 2 ** len(others)
        x = beside(latents, labels, self.num_classes)
        for number, units in enumerate(self.hidden):
            x = Dense(units, dtype=self.dtype, name=f"hidden_{number}")(x)
            x = self._activate(x, f"hidden_{number}", train)
        x = Dense(math.prod(first) * width, dtype=self.dtype, name="project")(x)
        x = self._activate(x.reshape(-1, *first, width), _name(first), train)
        if self.image_layer in HALF_SIZE:
            others = others[:-1]
        for size in others:
            width //= 2
            x = ConvTranspose(width, (4, 4), (2, 2), dtype=self.dtype, name=f"up_{_name(size)}")(x)
            x = self._activate(x, _name(size), train)
        image = IMAGE_LAYERS[self.image_layer](self.channels, dtype=self.dtype, name="image")
        return jnp.tanh(image(x).astype(jnp.float32))

    def _activate(self, x: Array, layer: str, train: bool) -> Array:
        if self.batch_norm:
            norm = BatchNorm(not train, momentum=0.99, name=f"norm_{layer}")
            x = norm(x)
        return nn.leaky_relu(x, 0.2)


class DCGANDiscriminator(nn.Module):
    """Map images [B, H, W, C] to logits [B].

    Attributes:
      base: hidden channels after the first halving of the size; each further halving doubles them.
      dtype: type of the products' operands; parameters and logits are float32.
      hidden: widths of dense layers between the last map and the logit: with them D judges a whole image, without
        them it is linear in features of a few pixels.
      num_classes: classes that its labels tell of; 0 for a network without labels.
      spectral_norm: divide each layer by its largest singular value, a convolution's kernel read as [KH * KW * I, O].
    """

    base: int = 64
    dtype: Any = jnp.float32
    hidden: tuple[int, ...] = ()
    num_classes: int = 0
    spectral_norm: bool = False

    @nn.compact
    def __call__(self, images: Array, labels: Labels | None = None, *, train: bool) -> Array:
        """Judge images."""
        layer = partial(normed, on=self.spectral_norm, train=train)
        x, width = images, self.base
        for size in reversed(stages(images.shape[1:3])[:-1]):
            x = layer(Conv(width, (4, 4), (2, 2), dtype=self.dtype, name=f"down_{_name(size)}"))(x)
            x = nn.leaky_relu(x, 0.2)
            width *= 2
        x = x.reshape(images.shape[0], -1)
        for number, units in enumerate(self.hidden):
            x = layer(Dense(units, dtype=self.dtype, name=f"hidden_{number}"))(x)
            x = nn.leaky_relu(x, 0.2)
        logits = layer(nn.Dense(1, dtype=jnp.float32, name="logit"))(x)[:, 0]
        return projected(logits, x, labels, self.num_classes)


def players(options: PlayerOptions) -> tuple[DCGANGenerator, DCGANDiscriminator]:
    """Build both players; G has no batch norm where the loss is paired.

    Raises:
      ValueError: the samples are no images, or of a size that cannot be halved.
    """
    *size, channels = image_shape(options)
    stages(size)  # refuses here rather than while tracing
    dtype = options.dtype
    base, d_base = scaled(32, options.width), scaled(64, options.d_width)
    generator = DCGANGenerator(
        *(tuple(size), channels, base, not options.paired, dtype, options.g_hidden),
        image_layer=options.image_layer,
        num_classes=options.num_classes,
    )
    judged = (d_base, dtype, options.d_hidden, options.num_classes, options.spectral_norm)
    return generator, DCGANDiscriminator(*judged)


def _name(size: tuple[int, int]) -> str:
    height, width = size
    return f"{height}" if height == width else f"{height}x{width}"
