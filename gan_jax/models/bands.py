"""Players for spectrograms: a DCGAN along time alone, to which a column of frequency bands is one vector.

A picture moved up by three rows is not the same sound, so nothing here is shared between frequencies: a picture
[B, H, T, C] is read as a row of T columns with H * C channels each, and kernels of 4 columns reach over all bands. The
generator starts from the shortest row that halving reaches above 3 columns (64 -> 4) and doubles it; the discriminator
mirrors it. The harmonics of a voice, which a narrow DCGAN must draw with a few kernels shared by all bands, are here a
choice among as many spectra as a layer is wide.

Reference: convolutions along time over mel bands as channels are those of speech synthesis, as in Kumar et al. 2019,
section 2, arXiv:1910.06711; the rest is Radford et al. 2016, arXiv:1511.06434.
"""

from functools import partial
from typing import Any

import jax.numpy as jnp
from flax import linen as nn

from gan_jax.layers import BatchNorm, Conv, ConvTranspose, Dense, normed
from gan_jax.models.conditional import beside, projected
from gan_jax.models.options import PlayerOptions, image_shape, refuse_image_layer, scaled
from gan_jax.types import Array, Labels, Latents

KERNEL, STRIDE = (1, 4), (1, 2)  # columns
SHORTEST = 4  # columns of a row
SLOPE = 0.2  # of leaky ReLU


class BandsGenerator(nn.Module):
    """Map latents [B, Z] to spectrograms [B, H, T, channels] in [-1, 1].

    Attributes:
      bands: H.
      columns: T.
      channels: of a picture, 1 for mono.
      base: channels of each hidden row.
      batch_norm: normalise each hidden layer. Leave it out for relativistic losses with penalties.
      dtype: type of the products' operands; parameters, statistics and pictures are float32.
      hidden: widths of dense layers between the latents and the first row.
      num_classes: classes to draw, as its labels say; 0 for a network without labels.
    """

    bands: int = 64
    columns: int = 64
    channels: int = 1
    base: int = 256
    batch_norm: bool = True
    dtype: Any = jnp.float32
    hidden: tuple[int, ...] = ()
    num_classes: int = 0

    @property
    def couples_batch(self) -> bool:
        """Whether batch norm makes the samples of a batch depend on one another."""
        return self.batch_norm

    @nn.compact
    def __call__(self, latents: Latents, labels: Array | None = None, *, train: bool) -> Array:
        """Generate spectrograms."""
        first, *others = stages(self.columns)
        x = beside(latents, labels, self.num_classes)
        for number, units in enumerate(self.hidden):
            x = Dense(units, dtype=self.dtype, name=f"hidden_{number}")(x)
            x = self._activate(x, f"hidden_{number}", train)
        x = Dense(first * self.base, dtype=self.dtype, name="project")(x)
        x = self._activate(x.reshape(-1, 1, first, self.base), f"{first}", train)
        for length in others[:-1]:
            x = ConvTranspose(self.base, KERNEL, STRIDE, dtype=self.dtype, name=f"up_{length}")(x)
            x = self._activate(x, f"{length}", train)
        vectors = ConvTranspose(
            self.bands * self.channels, KERNEL, STRIDE, dtype=self.dtype, name="bands"
        )
        x = vectors(x).reshape(-1, self.columns, self.bands, self.channels)
        return jnp.tanh(x.astype(jnp.float32)).transpose(0, 2, 1, 3)

    def _activate(self, x: Array, layer: str, train: bool) -> Array:
        if self.batch_norm:
            norm = BatchNorm(not train, momentum=0.99, name=f"norm_{layer}")
            x = norm(x)
        return nn.leaky_relu(x, SLOPE)


class BandsDiscriminator(nn.Module):
    """Map spectrograms [B, H, T, C] to logits [B].

    Attributes:
      base: channels of each hidden row.
      dtype: type of the products' operands; parameters and logits are float32.
      hidden: widths of dense layers between the last row and the logit.
      num_classes: classes that its labels tell of; 0 for a network without labels.
      spectral_norm: divide each layer by its largest singular value.
    """

    base: int = 256
    dtype: Any = jnp.float32
    hidden: tuple[int, ...] = ()
    num_classes: int = 0
    spectral_norm: bool = False

    @nn.compact
    def __call__(self, pictures: Array, labels: Labels | None = None, *, train: bool) -> Array:
        """Judge spectrograms."""
        layer = partial(normed, on=self.spectral_norm, train=train)
        num, _, columns, _ = pictures.shape
        x = pictures.transpose(0, 2, 1, 3).reshape(num, 1, columns, -1)
        for length in reversed(stages(columns)[:-1]):
            conv = Conv(self.base, KERNEL, STRIDE, dtype=self.dtype, name=f"down_{length}")
            x = nn.leaky_relu(layer(conv)(x), SLOPE)
        x = x.reshape(num, -1)
        for number, units in enumerate(self.hidden):
            x = layer(Dense(units, dtype=self.dtype, name=f"hidden_{number}"))(x)
            x = nn.leaky_relu(x, SLOPE)
        logits = layer(nn.Dense(1, dtype=jnp.float32, name="logit"))(x)[:, 0]
        return projected(logits, x, labels, self.num_classes)


def stages(columns: int) -> list[int]:
    """List the lengths from the shortest row to the picture's: 64 -> [4, 8, 16, 32, 64].

    Raises:
      ValueError: 4 does not divide the number of columns, or they are fewer than 16.
    """
    if columns % 4 or columns < 4 * SHORTEST:
        raise ValueError(
            f"needs spectrograms whose columns 4 divides, at least {4 * SHORTEST} of them, got {columns}"
        )
    lengths = [columns]
    while lengths[0] % 2 == 0 and lengths[0] // 2 >= SHORTEST:
        lengths.insert(0, lengths[0] // 2)
    return lengths


def players(options: PlayerOptions) -> tuple[BandsGenerator, BandsDiscriminator]:
    """Build both players; G has no batch norm where the loss is paired.

    Raises:
      ValueError: the samples are no pictures, or of a width that cannot be halved.
    """
    bands, columns, channels = image_shape(options)
    refuse_image_layer(options)
    stages(columns)  # refuses here rather than while tracing
    base, d_base = scaled(256, options.width), scaled(256, options.d_width)
    generator = BandsGenerator(
        *(bands, columns, channels, base, not options.paired, options.dtype, options.g_hidden),
        num_classes=options.num_classes,
    )
    judged = (d_base, options.dtype, options.d_hidden, options.num_classes, options.spectral_norm)
    return generator, BandsDiscriminator(*judged)
