"""The small players of the StackedMNIST table: 28x28 images, a generator of 4x4x64, a discriminator far smaller.

Latents arrive standard normal and are mapped exactly to U(-1, 1), as the protocol wants. Four pixels become seven by
the adjoint of the convolution that makes four of seven. Batch norm may be left out of either player: the protocol has
it in both, but penalties and paired losses are statements about single images. Inside, images lie batch last,
[C, H, W, B]: on CPU that makes a step of these few-channel networks two to three times faster.

Reference: Metz et al. 2017, appendix D, arXiv:1611.02163; Lin et al. 2018 (PacGAN), appendix, arXiv:1712.04086.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from gan_jax.layers import BatchNorm, Conv, ConvTranspose, Dense
from gan_jax.models.conditional import beside, projected
from gan_jax.models.options import PlayerOptions, channels_of_28x28, scaled
from gan_jax.types import Array, Labels, Latents

TO_BATCH_LAST, TO_BATCH_FIRST = (3, 1, 2, 0), (3, 1, 2, 0)  # [B, H, W, C] <-> [C, H, W, B]
STAGES = (
    (4, 7),
    (2, 14),
    (1, 28),
)  # G's channels, in units of the last, and its size after each doubling


class UnrolledGenerator(nn.Module):
    """Map latents [B, Z] to images [B, 28, 28, channels] in [-1, 1].

    Attributes:
      channels: of the image.
      base: hidden channels at the image's full size; 64-32-16-8 channels in the protocol.
      batch_norm: normalise each hidden layer.
      dtype: type of the products' operands; parameters, statistics and images are float32.
      num_classes: classes to draw, as its labels say; 0 for a network without labels.
    """

    channels: int = 3
    base: int = 8
    batch_norm: bool = True
    dtype: Any = jnp.float32
    num_classes: int = 0

    @property
    def couples_batch(self) -> bool:
        """Whether batch norm makes the samples of a batch depend on one another."""
        return self.batch_norm

    @nn.compact
    def __call__(self, latents: Latents, labels: Array | None = None, *, train: bool) -> Array:
        """Generate images."""
        z = beside(to_uniform(latents), labels, self.num_classes)
        x = Dense(4 * 4 * 8 * self.base, dtype=self.dtype, name="project")(z)
        x = self._activate(x.reshape(-1, 4, 4, 8 * self.base).transpose(TO_BATCH_LAST), 4, train)
        layout = {"dtype": self.dtype, "batch_last": True}
        for factor, size in STAGES:
            up = ConvTranspose(
                factor * self.base, (3, 3), (2, 2), size=(size, size), name=f"up_{size}", **layout
            )
            x = self._activate(up(x), size, train)
        x = Conv(self.channels, (3, 3), name="image", **layout)(x)
        return jnp.tanh(x.astype(jnp.float32)).transpose(TO_BATCH_FIRST)

    def _activate(self, x: Array, size: int, train: bool) -> Array:
        if self.batch_norm:
            x = _batch_norm(f"norm_{size}", train)(x)
        return nn.relu(x)


class UnrolledDiscriminator(nn.Module):
    """Map images [B, H, W, C] to logits [B].

    Attributes:
      base: channels after the first of three halvings, each of which doubles them: 2 for the protocol's D of 1/4 of
        G's channels (2-4-8), 4 for 1/2 (4-8-16).
      batch_norm: normalise each hidden layer, in training by the batch's own statistics.
      dtype: type of the products' operands; parameters, statistics and logits are float32.
      num_classes: classes that its labels tell of; 0 for a network without labels.
    """

    base: int = 2
    batch_norm: bool = False
    dtype: Any = jnp.float32
    num_classes: int = 0

    @property
    def couples_batch(self) -> bool:
        """Whether batch norm makes the samples of a batch depend on one another."""
        return self.batch_norm

    @nn.compact
    def __call__(self, images: Array, labels: Labels | None = None, *, train: bool) -> Array:
        """Judge images."""
        x = images.transpose(TO_BATCH_LAST)
        for stage in range(3):
            width = self.base * 2**stage
            down = Conv(
                width, (3, 3), (2, 2), dtype=self.dtype, batch_last=True, name=f"down_{stage}"
            )
            x = down(x)
            if self.batch_norm:
                x = _batch_norm(f"norm_{stage}", train)(x)
            x = nn.leaky_relu(x, 0.3)
        x = x.transpose(TO_BATCH_FIRST).reshape(images.shape[0], -1)
        logits = nn.Dense(1, dtype=jnp.float32, name="logit")(x)[:, 0]
        return projected(logits, x, labels, self.num_classes)


def players(options: PlayerOptions) -> tuple[UnrolledGenerator, UnrolledDiscriminator]:
    """Build both players, with the protocol's batch norm in each where nothing speaks against it.

    Raises:
      ValueError: the samples are not 28x28 images, or hidden layers are asked for.
    """
    channels, dtype = channels_of_28x28(options), options.dtype
    coupled = not (options.paired or options.uncoupled)
    base, d_base = scaled(8, options.width), scaled(8, options.d_width)
    classes = options.num_classes
    generator = UnrolledGenerator(channels, base, not options.paired, dtype, classes)
    return generator, UnrolledDiscriminator(d_base, coupled, dtype, classes)


def _batch_norm(name: str, train: bool) -> BatchNorm:
    return BatchNorm(not train, axis=0, momentum=0.99, name=name)


def to_uniform(latents: Array) -> Array:
    """Map standard normal numbers to uniform ones on (-1, 1), by their distribution function."""
    return jax.lax.erf(latents / jnp.sqrt(2.0).astype(latents.dtype))
