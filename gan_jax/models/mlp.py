"""Players made of dense layers, for points and for small images."""

import math
from functools import partial
from typing import Any

import jax.numpy as jnp
from flax import linen as nn

from gan_jax.layers import normed, plain_dense
from gan_jax.models.conditional import beside, projected
from gan_jax.models.options import PlayerOptions, refuse_image_layer, scaled
from gan_jax.types import Array, Labels, Latents


class MLPGenerator(nn.Module):
    """Map latents [B, Z] to samples [B, *output_shape].

    Attributes:
      output_shape: (2,) for points in the plane, (H, W, C) for images.
      hidden: widths of the hidden layers.
      bounded: end with tanh, for images in [-1, 1]; points stay unbounded.
      batch_norm: normalise each hidden layer before its ReLU.
      bias_std: standard deviation of the hidden biases at the start, drawn from a normal distribution. At 0 the kinks
        of all first-layer units pass through the origin, and a plane's detail far from it is learned late.
      dtype: type of the products' operands; parameters, statistics and the output are float32.
      num_classes: classes to draw, as its labels say; 0 for a network without labels.
    """

    output_shape: tuple[int, ...]
    hidden: tuple[int, ...] = (128, 128, 128)
    bounded: bool = False
    batch_norm: bool = False
    dtype: Any = jnp.float32
    bias_std: float = 0.0
    num_classes: int = 0

    @property
    def couples_batch(self) -> bool:
        """Whether batch norm makes the samples of a batch depend on one another."""
        return self.batch_norm

    @nn.compact
    def __call__(self, latents: Latents, labels: Array | None = None, *, train: bool) -> Array:
        """Generate samples."""
        x = beside(latents, labels, self.num_classes)
        for i, width in enumerate(self.hidden):
            biases = nn.initializers.normal(self.bias_std)
            x = plain_dense(width, dtype=self.dtype, bias_init=biases, name=f"dense_{i}")(x)
            if self.batch_norm:
                x = nn.BatchNorm(not train, momentum=0.99, name=f"norm_{i}")(x)
            x = nn.relu(x)
        x = plain_dense(math.prod(self.output_shape), dtype=self.dtype, name="output")(x)
        x = x.astype(jnp.float32).reshape(-1, *self.output_shape)
        return jnp.tanh(x) if self.bounded else x


class MLPDiscriminator(nn.Module):
    """Map samples [B, ...] to logits [B].

    Attributes:
      hidden: widths of the hidden layers.
      maxout_pieces: linear pieces of each hidden unit; 1 is a leaky ReLU of slope 0.2 instead.
      dtype: type of the products' operands; parameters and logits are float32.
      bias_std: standard deviation of the hidden biases at the start, as in `MLPGenerator`.
      num_classes: classes that its labels tell of; 0 for a network without labels.
      spectral_norm: divide each dense layer by its largest singular value.
    """

    hidden: tuple[int, ...] = (128, 128, 128)
    maxout_pieces: int = 1
    dtype: Any = jnp.float32
    bias_std: float = 0.0
    num_classes: int = 0
    spectral_norm: bool = False

    @nn.compact
    def __call__(self, samples: Array, labels: Labels | None = None, *, train: bool) -> Array:
        """Judge samples."""
        dense = partial(normed, on=self.spectral_norm, train=train)
        x = samples.reshape(samples.shape[0], -1)
        for i, width in enumerate(self.hidden):
            units, biases = width * self.maxout_pieces, nn.initializers.normal(self.bias_std)
            x = dense(plain_dense(units, dtype=self.dtype, bias_init=biases, name=f"dense_{i}"))(x)
            if self.maxout_pieces > 1:
                x = x.reshape(-1, width, self.maxout_pieces).max(axis=-1)
            else:
                x = nn.leaky_relu(x, 0.2)
        logits = dense(nn.Dense(1, dtype=jnp.float32, name="logit"))(x)[:, 0]
        return projected(logits, x, labels, self.num_classes)


def players(options: PlayerOptions) -> tuple[MLPGenerator, MLPDiscriminator]:
    """Build both players: three hidden layers of 128 units each, unless others are asked for.

    Raises:
      ValueError: a last layer is asked for that dense players lack.
    """
    refuse_image_layer(options)
    g_hidden = options.g_hidden or (scaled(128, options.width),) * 3
    d_hidden = options.d_hidden or (scaled(128, options.d_width),) * 3
    shape, start = options.sample_shape, {"dtype": options.dtype, "bias_std": options.bias_std}
    start["num_classes"] = options.num_classes
    generator = MLPGenerator(shape, g_hidden, bounded=len(shape) == 3, **start)
    return generator, MLPDiscriminator(d_hidden, **start, spectral_norm=options.spectral_norm)
