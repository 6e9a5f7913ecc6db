"""The tutorial's game with Flax's own convolutions: what a straightforward port would run."""

import flax.linen as nn
import jax.numpy as jnp

from experiments.benchmarks.article_game import build as build_ours
from gan_jax.networks import from_linen
from gan_jax.types import GAN, Array


class PlainGenerator(nn.Module):
    """The tutorial's generator in plain Flax."""

    couples_batch = True

    @nn.compact
    def __call__(self, latents: Array, *, train: bool) -> Array:
        """Generate images."""
        norm = {"use_running_average": not train, "momentum": 0.99, "epsilon": 1e-3}
        x = nn.relu(nn.Dense(25088)(latents)).reshape(-1, 7, 7, 512)
        x = nn.leaky_relu(nn.BatchNorm(**norm)(x), 0.2)
        x = nn.leaky_relu(nn.ConvTranspose(256, (3, 3), (2, 2), use_bias=False)(x), 0.2)
        x = nn.ConvTranspose(128, (4, 4), (2, 2), use_bias=False)(x)
        x = nn.leaky_relu(nn.BatchNorm(**norm)(x), 0.2)
        return jnp.tanh(nn.Conv(1, (5, 5), use_bias=False)(x))


class PlainDiscriminator(nn.Module):
    """The tutorial's discriminator in plain Flax."""

    @nn.compact
    def __call__(self, images: Array, *, train: bool) -> Array:
        """Judge images."""
        x = nn.leaky_relu(nn.Conv(512, (5, 5), (2, 2))(images), 0.2)
        x = nn.Dropout(0.3, deterministic=not train)(x)
        x = nn.leaky_relu(nn.Conv(256, (3, 3), (2, 2))(x), 0.2)
        x = nn.leaky_relu(nn.Conv(128, (3, 3))(x), 0.2)
        return nn.Dense(1)(x.reshape(images.shape[0], -1))[:, 0]


def build() -> GAN:
    """Build the tutorial's game with Flax's convolutions."""
    return build_ours()._replace(
        generator=from_linen(PlainGenerator()), discriminator=from_linen(PlainDiscriminator())
    )
