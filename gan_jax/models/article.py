"""The tutorial's DCGAN for 28x28 images, layer for layer.

At width 1 the generator has 4,242,304 trainable weights and the discriminator 1,494,529, as in Keras. `width`
multiplies the hidden channels. Kernels are Glorot-uniform, as Keras draws them.
"""

from functools import partial
from typing import Any

import jax.numpy as jnp
from flax import linen as nn

from gan_jax.layers import BatchNorm, Conv, ConvTranspose, Dense, Dropout
from gan_jax.models.conditional import beside, projected
from gan_jax.models.options import PlayerOptions, channels_of_28x28, scaled
from gan_jax.types import Array, Labels, Latents

_glorot = nn.initializers.glorot_uniform()


class ArticleGenerator(nn.Module):
    """Map latents [B, Z] to images [B, 28, 28, channels] in [-1, 1].

    Attributes:
      width: factor on the hidden channels 512, 256, 128.
      channels: of the image.
      dtype: type of the products' operands; parameters, statistics and images are float32.
      num_classes: classes to draw, as its labels say; 0 for a network without labels.
    """

    width: float = 1.0
    channels: int = 1
    dtype: Any = jnp.float32
    num_classes: int = 0
    couples_batch = True

    @nn.compact
    def __call__(self, latents: Latents, labels: Array | None = None, *, train: bool) -> Array:
        """Generate images."""
        top, middle, bottom = (scaled(channels, self.width) for channels in (512, 256, 128))
        norm = partial(BatchNorm, not train, momentum=0.99, epsilon=1e-3)
        conv = {"use_bias": False, "dtype": self.dtype}
        z = beside(latents, labels, self.num_classes)
        x = Dense(49 * top, dtype=self.dtype, kernel_init=_glorot, name="project")(z)
        x = nn.relu(x).reshape(-1, 7, 7, top)
        x = nn.leaky_relu(norm(name="norm_7")(x), 0.2)
        x = ConvTranspose(middle, (3, 3), (2, 2), **conv, name="up_14")(x)
        x = nn.leaky_relu(x, 0.2)
        x = ConvTranspose(bottom, (4, 4), (2, 2), **conv, name="up_28")(x)
        x = nn.leaky_relu(norm(name="norm_28")(x), 0.2)
        x = Conv(self.channels, (5, 5), **conv, name="image")(x)
        return jnp.tanh(x.astype(jnp.float32))


class ArticleDiscriminator(nn.Module):
    """Map images [B, 28, 28, C] to logits [B].

    Attributes:
      width: factor on the hidden channels 512, 256, 128.
      dropout_rate: share of the first layer's activations set to zero in training.
      dtype: type of the products' operands; parameters and logits are float32.
      num_classes: classes that its labels tell of; 0 for a network without labels.
    """

    width: float = 1.0
    dropout_rate: float = 0.3
    dtype: Any = jnp.float32
    num_classes: int = 0

    @nn.compact
    def __call__(self, images: Array, labels: Labels | None = None, *, train: bool) -> Array:
        """Judge images."""
        bottom, middle, top = (scaled(channels, self.width) for channels in (512, 256, 128))
        x = Conv(bottom, (5, 5), (2, 2), dtype=self.dtype, name="down_14")(images)
        x = nn.leaky_relu(x, 0.2)
        x = Dropout(self.dropout_rate, name="dropout")(x, train=train)
        x = Conv(middle, (3, 3), (2, 2), dtype=self.dtype, name="down_7")(x)
        x = nn.leaky_relu(x, 0.2)
        x = Conv(top, (3, 3), dtype=self.dtype, name="mix_7")(x)
        x = nn.leaky_relu(x, 0.2).reshape(images.shape[0], -1)
        logit = nn.Dense(1, dtype=jnp.float32, kernel_init=_glorot, name="logit")
        return projected(logit(x)[:, 0], x, labels, self.num_classes)


def players(options: PlayerOptions) -> tuple[ArticleGenerator, ArticleDiscriminator]:
    """Build both players.

    Raises:
      ValueError: the samples are not 28x28 images, or hidden layers are asked for.
    """
    channels = channels_of_28x28(options)
    kept = {"dtype": options.dtype, "num_classes": options.num_classes}
    generator = ArticleGenerator(options.width, channels, **kept)
    return generator, ArticleDiscriminator(options.d_width, **kept)
