"""DCGAN players for square images of any even size and any number of channels.

The generator starts from the smallest size that halving the image reaches above 3 pixels (28 -> 7, 32 -> 4, 64 -> 4)
and doubles it; the discriminator mirrors it. Kernels are 4x4, which the stride 2 divides, so that every pixel
is reached by equally many taps. The discriminator has no batch norm, so penalties and the one-stage update apply.

Reference: Radford et al. 2016, section 3, arXiv:1511.06434; kernel size: Odena et al. 2016, "Deconvolution and
checkerboard artifacts".
"""

from typing import Any

import jax.numpy as jnp
from flax import linen as nn

from gan_jax.layers import Conv, ConvTranspose
from gan_jax.models.options import PlayerOptions, image_shape, scaled
from gan_jax.types import Array


class DCGANGenerator(nn.Module):
    """Map latents [B, Z] to images [B, size, size, channels] in [-1, 1].

    Attributes:
      size: of the image, pixels.
      channels: of the image.
      base: hidden channels at the image's full size; each halving of the size doubles them.
      batch_norm: normalise each hidden layer. Leave it out for relativistic losses with penalties.
      dtype: type of the computation; parameters, statistics and images are float32.
      hidden: widths of dense layers between the latents and the first map: with them G composes a whole image before
        it draws its parts, without them it is linear up to its smallest map.
    """

    size: int = 28
    channels: int = 1
    base: int = 32
    batch_norm: bool = True
    dtype: Any = jnp.float32
    hidden: tuple[int, ...] = ()

    @property
    def couples_batch(self) -> bool:
        """Whether batch norm makes the samples of a batch depend on one another."""
        return self.batch_norm

    @nn.compact
    def __call__(self, latents: Array, *, train: bool) -> Array:
        """Generate images."""
        sizes = stage_sizes(self.size)
        width, x = self.base * 2 ** (len(sizes) - 1), latents
        for number, units in enumerate(self.hidden):
            x = nn.Dense(units, dtype=self.dtype, name=f"hidden_{number}")(x)
            x = self._activate(x, f"hidden_{number}", train)
        x = nn.Dense(sizes[0] ** 2 * width, dtype=self.dtype, name="project")(x)
        x = self._activate(x.reshape(-1, sizes[0], sizes[0], width), f"{sizes[0]}", train)
        for size in sizes[1:]:
            width //= 2
            x = ConvTranspose(width, (4, 4), (2, 2), dtype=self.dtype, name=f"up_{size}")(x)
            x = self._activate(x, f"{size}", train)
        x = Conv(self.channels, (5, 5), dtype=self.dtype, name="image")(x)
        return jnp.tanh(x.astype(jnp.float32))

    def _activate(self, x: Array, layer: str, train: bool) -> Array:
        if self.batch_norm:
            norm = nn.BatchNorm(not train, momentum=0.99, dtype=self.dtype, name=f"norm_{layer}")
            x = norm(x)
        return nn.leaky_relu(x, 0.2)


class DCGANDiscriminator(nn.Module):
    """Map images [B, size, size, C] to logits [B].

    Attributes:
      base: hidden channels after the first halving of the size; each further halving doubles them.
      dtype: type of the computation; parameters and logits are float32.
      hidden: widths of dense layers between the last map and the logit: with them D judges a whole image, without
        them it is linear in features of a few pixels.
    """

    base: int = 64
    dtype: Any = jnp.float32
    hidden: tuple[int, ...] = ()

    @nn.compact
    def __call__(self, images: Array, *, train: bool) -> Array:
        """Judge images."""
        del train  # neither dropout nor statistics
        x, width = images, self.base
        for size in reversed(stage_sizes(images.shape[1])[:-1]):
            x = Conv(width, (4, 4), (2, 2), dtype=self.dtype, name=f"down_{size}")(x)
            x = nn.leaky_relu(x, 0.2)
            width *= 2
        x = x.reshape(images.shape[0], -1)
        for number, units in enumerate(self.hidden):
            x = nn.leaky_relu(nn.Dense(units, dtype=self.dtype, name=f"hidden_{number}")(x), 0.2)
        return nn.Dense(1, dtype=self.dtype, name="logit")(x)[:, 0].astype(jnp.float32)


def players(options: PlayerOptions) -> tuple[DCGANGenerator, DCGANDiscriminator]:
    """Build both players; G has no batch norm where the loss is paired.

    Raises:
      ValueError: the samples are not square images.
    """
    height, width, channels = image_shape(options)
    if height != width:
        raise ValueError(f"needs square images, got {height}x{width}; try mlp")
    stage_sizes(height)  # refuses here rather than while tracing
    dtype = options.dtype
    base, d_base = scaled(32, options.width), scaled(64, options.d_width)
    normed = not options.paired
    generator = DCGANGenerator(height, channels, base, normed, dtype, options.g_hidden)
    return generator, DCGANDiscriminator(d_base, dtype, options.d_hidden)


def stage_sizes(size: int) -> list[int]:
    """List the sizes from the smallest stage to the image: 28 -> [7, 14, 28].

    Raises:
      ValueError: the size cannot be halved once and stay above 3 pixels.
    """
    sizes = [size]
    while sizes[0] % 2 == 0 and sizes[0] >= 8:
        sizes.insert(0, sizes[0] // 2)
    if len(sizes) == 1:
        raise ValueError(f"a DCGAN needs an even image size of at least 8 pixels, got {size}")
    return sizes
