"""WaveGAN's players for sounds as waves: a DCGAN along time, kernels of 25 samples, strides of 4.

A wave is an image one pixel high, [B, 1, T, C], so the layers are those of images. The generator starts from the
shortest map that dividing by 4 reaches at 4 samples or more (6144 -> 6), and makes it four times as long layer by
layer; the discriminator mirrors it. A transposed convolution of stride 4 leaves a tone of a quarter of the rate, always
in the same phase, by which D could tell its output; phase shuffle moves D's maps by a few samples at random, so that it
cannot.

Differences from the paper: leaky ReLU and, unless the loss pairs samples, batch norm in G too; dense layers between
latents and map, and map and logit, where they are asked for; any length that 16 divides.

Reference: Donahue et al. 2019, section 3 and appendix D, arXiv:1802.04208.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from gan_jax.layers import normed, plain_dense
from gan_jax.models.conditional import beside, projected
from gan_jax.models.options import PlayerOptions, image_shape, refuse_image_layer, scaled
from gan_jax.types import Array, Key, Labels, Latents
from gan_jax.wave_layers import WaveConv, WaveConvTranspose

SHORTEST = 4  # samples of a map
SLOPE = 0.2  # of leaky ReLU


class WaveGenerator(nn.Module):
    """Map latents [B, Z] to waves [B, 1, T, channels] in [-1, 1].

    Attributes:
      num_samples: T.
      channels: of a wave, 1 for mono.
      base: hidden channels a quarter as long as the wave; each division by 4 doubles them.
      batch_norm: normalise each hidden layer. Leave it out for relativistic losses with penalties.
      dtype: type of the products' operands; parameters, statistics and waves are float32.
      hidden: widths of dense layers between the latents and the first map.
      num_classes: classes to draw, as its labels say; 0 for a network without labels.
    """

    num_samples: int = 16_384
    channels: int = 1
    base: int = 64
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
        """Generate waves."""
        first, *others = stages(self.num_samples)
        width = self.base * 2 ** (len(others) - 1)
        x = beside(latents, labels, self.num_classes)
        for number, units in enumerate(self.hidden):
            x = plain_dense(units, dtype=self.dtype, name=f"hidden_{number}")(x)
            x = self._activate(x, f"hidden_{number}", train)
        x = plain_dense(first * width, dtype=self.dtype, name="project")(x)
        x = self._activate(x.reshape(-1, 1, first, width), f"{first}", train)
        for length in others[:-1]:
            width //= 2
            x = WaveConvTranspose(width, dtype=self.dtype, name=f"up_{length}")(x)
            x = self._activate(x, f"{length}", train)
        wave = WaveConvTranspose(self.channels, dtype=self.dtype, name="wave")(x)
        return jnp.tanh(wave.astype(jnp.float32))

    def _activate(self, x: Array, layer: str, train: bool) -> Array:
        if self.batch_norm:
            norm = nn.BatchNorm(not train, momentum=0.99, name=f"norm_{layer}")
            x = norm(x)
        return nn.leaky_relu(x, SLOPE)


class WaveDiscriminator(nn.Module):
    """Map waves [B, 1, T, C] to logits [B].

    Attributes:
      base: hidden channels after the first division of the length; each further one doubles them.
      dtype: type of the products' operands; parameters and logits are float32.
      hidden: widths of dense layers between the last map and the logit.
      num_classes: classes that its labels tell of; 0 for a network without labels.
      spectral_norm: divide each layer by its largest singular value.
      phase_shuffle: samples by which each map but the last is moved in training, at most, to either side.
    """

    base: int = 64
    dtype: Any = jnp.float32
    hidden: tuple[int, ...] = ()
    num_classes: int = 0
    spectral_norm: bool = False
    phase_shuffle: int = 0

    @nn.compact
    def __call__(self, waves: Array, labels: Labels | None = None, *, train: bool) -> Array:
        """Judge waves."""
        layer = partial(normed, on=self.spectral_norm, train=train)
        x, width = waves, self.base
        for length in reversed(stages(waves.shape[2])[:-1]):
            x = layer(WaveConv(width, dtype=self.dtype, name=f"down_{length}"))(x)
            x = nn.leaky_relu(x, SLOPE)
            width *= 2
            if train and self.phase_shuffle and length > stages(waves.shape[2])[0]:
                x = shuffle_phase(self.make_rng("dropout"), x, self.phase_shuffle)
        x = x.reshape(waves.shape[0], -1)
        for number, units in enumerate(self.hidden):
            x = layer(plain_dense(units, dtype=self.dtype, name=f"hidden_{number}"))(x)
            x = nn.leaky_relu(x, SLOPE)
        logits = layer(nn.Dense(1, dtype=jnp.float32, name="logit"))(x)[:, 0]
        return projected(logits, x, labels, self.num_classes)


def shuffle_phase(key: Key, x: Array, most: int) -> Array:
    """Move each map of x [B, 1, T, C] by -most..most samples at random; what is missing at an end is mirrored there.

    The shift is a sum over all of them, one of which counts: XLA:CPU would scatter a slice's gradient one by one.

    Raises:
      ValueError: maps are too short to be mirrored.
    """
    length = x.shape[2]
    if not 0 < most < length:
        raise ValueError(f"phase shuffle by {most} needs maps longer than that, got {length}")
    shifts = jax.random.randint(key, (len(x),), 0, 2 * most + 1)
    padded = jnp.pad(x, ((0, 0), (0, 0), (most, most), (0, 0)), mode="reflect")
    moved = [
        jnp.where((shifts == shift)[:, None, None, None], padded[:, :, shift : shift + length], 0)
        for shift in range(2 * most + 1)
    ]
    return sum(moved[1:], start=moved[0])


def stages(num_samples: int) -> list[int]:
    """List the lengths from the shortest map to the wave: 6144 -> [6, 24, 96, 384, 1536, 6144].

    Raises:
      ValueError: 16 does not divide the length, or leaves less than 4.
    """
    if num_samples % 16 or num_samples < 16 * SHORTEST:
        raise ValueError(
            f"needs waves whose length 16 divides, of at least {16 * SHORTEST} samples, got {num_samples}"
        )
    lengths = [num_samples]
    while lengths[0] % 4 == 0 and lengths[0] // 4 >= SHORTEST:
        lengths.insert(0, lengths[0] // 4)
    return lengths


def players(options: PlayerOptions) -> tuple[WaveGenerator, WaveDiscriminator]:
    """Build both players; G has no batch norm where the loss is paired.

    Raises:
      ValueError: the samples are no waves, or of a length that cannot be divided.
    """
    height, num_samples, channels = image_shape(options)
    if height != 1:
        raise ValueError(
            f"makes waves [1, T, C], got samples of shape {options.sample_shape}; try dcgan or mlp"
        )
    refuse_image_layer(options)
    stages(num_samples)  # refuses here rather than while tracing
    base, d_base = scaled(64, options.width), scaled(64, options.d_width)
    generator = WaveGenerator(
        *(num_samples, channels, base, not options.paired, options.dtype, options.g_hidden),
        num_classes=options.num_classes,
    )
    judged = (d_base, options.dtype, options.d_hidden, options.num_classes, options.spectral_norm)
    return generator, WaveDiscriminator(*judged, options.phase_shuffle)
