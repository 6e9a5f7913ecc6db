"""A whole GAN on one page, on the library's core alone: no flags, no run folder. Read it first, then change it.

    python -m experiments.one_page

Trains on the 1,797 handwritten digits that come with scikit-learn and writes a grid of samples, one_page.png.
"""

from experiments.command import program

if __name__ == "__main__":  # --help, Ctrl-C, and what jaxlib needs before it starts
    program.begin()

from functools import partial

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn

from gan_jax import (
    GAN,
    Batch,
    Penalty,
    alternating,
    data,
    from_linen,
    init_state,
    losses,
    make_chunk,
    penalties,
    plots,
    sample,
    sample_latents,
    sample_real,
)
from gan_jax.layers import Conv, ConvTranspose


class Generator(nn.Module):
    """Latents [B, 64] to images [B, 28, 28, 1] in [-1, 1]."""

    @nn.compact
    def __call__(self, latents: jax.Array, *, train: bool) -> jax.Array:
        """Generate images."""
        x = nn.relu(nn.Dense(256, name="compose")(latents))
        x = nn.relu(nn.Dense(7 * 7 * 32, name="project")(x)).reshape(-1, 7, 7, 32)
        x = nn.relu(ConvTranspose(16, (4, 4), (2, 2), name="up_14")(x))
        return jnp.tanh(ConvTranspose(1, (4, 4), (2, 2), name="up_28")(x))


class Discriminator(nn.Module):
    """Images [B, 28, 28, 1] to logits [B]: real numbers before the sigmoid."""

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
        """Judge images."""
        x = nn.leaky_relu(Conv(32, (4, 4), (2, 2), name="down_14")(images), 0.2)
        x = nn.leaky_relu(Conv(64, (4, 4), (2, 2), name="down_7")(x), 0.2).reshape(len(x), -1)
        x = nn.leaky_relu(nn.Dense(128, name="judge")(x), 0.2)
        return nn.Dense(1, name="logit")(x)[:, 0]


def main(num_chunks: int = 50, path: str = "one_page.png") -> None:
    """Train for `num_chunks` times 100 steps, then draw 64 samples."""
    gan = GAN(
        generator=from_linen(Generator()),
        discriminator=from_linen(Discriminator()),
        g_tx=optax.adam(1e-3, b1=0.0, b2=0.99),
        d_tx=optax.adam(1e-3, b1=0.0, b2=0.99),
        loss=losses.non_saturating(),
        penalties=(Penalty(penalties.r1_penalty, 3.0),),
        latent_dim=64,
        ema_half_life_images=5000,
    )
    digits = Batch(jnp.asarray(data.load("digits").images))  # uint8, on the device
    init_key, train_key, sample_key = jax.random.split(jax.random.key(0), 3)
    shape = Batch(jnp.zeros((1, *digits.images.shape[1:])))
    state = jax.jit(partial(init_state, gan))(init_key, shape)
    chunk = make_chunk(gan, alternating, sample_real, batch_size=32, num_steps=100)
    for _ in range(num_chunks):
        state, metrics = chunk(state, digits, train_key)  # each step draws from (key, step)
        print(f"step {state.step}: d_loss {metrics['d_loss'].mean():.3f}", end="\r")
    images = sample(gan, state, sample_latents(sample_key, 64, gan.latent_dim))
    plots.save_grid(jax.device_get(images), path, columns=8)
    print(f"\nwrote {path}")


if __name__ == "__main__":
    program.run(main)
