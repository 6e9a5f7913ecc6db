"""The game that the speed benchmarks play: the tutorial's networks and optimizer, and their arithmetic."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax

from gan_jax import losses
from gan_jax.models.article import ArticleDiscriminator, ArticleGenerator
from gan_jax.networks import from_linen
from gan_jax.rules import RULES
from gan_jax.sampling import sample_real
from gan_jax.steps import init_state, make_chunk
from gan_jax.types import GAN, Batch

# Multiply-adds of one sample's forward pass at width 1, layer by layer: output pixels x taps x channels in x out.
G_LAYERS = (100 * 25088, 49 * 9 * 512 * 256, 196 * 16 * 256 * 128, 784 * 25 * 128)
D_LAYERS = (196 * 25 * 512, 49 * 9 * 512 * 256, 49 * 9 * 256 * 128, 6272)
D_INPUT_LAYER = D_LAYERS[0]

# How often each network runs, in passes over one batch; a backward pass costs two forward ones.
#   G forward, G backward, D forward, D backward for weights, D backward for images
PASSES = {"article": (2, 1, 3, 2, 1), "alternating": (2, 1, 3, 2, 1), "one_stage": (1, 1, 2, 2, 1)}


def build(width: float = 1.0, dtype=jnp.float32) -> GAN:
    """Build the tutorial's game."""
    adam = optax.adam(1e-4, b1=0.3, b2=0.999, eps=1e-7)
    return GAN(
        from_linen(ArticleGenerator(width, dtype=dtype)),
        from_linen(ArticleDiscriminator(width, dtype=dtype)),
        adam,
        adam,
        losses.non_saturating(0.9, 0.1),
        latent_dim=100,
    )


def flops_per_step(rule: str, batch: int) -> float:
    """Count the floating-point operations of the products in one step at width 1 that no algorithm here can avoid.

    The first layer's gradient by its input is not needed for G, nor for D's own update, and is not counted there.
    """
    g_forward, g_backward, d_forward, d_weights, d_images = PASSES[rule]
    g, d = sum(G_LAYERS), sum(D_LAYERS)
    generator = g_forward * g + g_backward * (2 * g - G_LAYERS[0])
    discriminator = d_forward * d + d_weights * (2 * d - D_INPUT_LAYER)
    if (
        rule == "one_stage"
    ):  # images of G's half come out of D's own backward pass: one more product, of one layer
        discriminator += D_INPUT_LAYER
    else:
        discriminator += d_images * d
    return 2.0 * batch * (generator + discriminator)


def gemm_peak(size: int = 2048, repetitions: int = 7) -> float:
    """Measure the machine's best rate of a square float32 matrix product, FLOP/s."""
    import time

    a = jnp.ones((size, size))
    product = jax.jit(jnp.matmul)
    product(a, a).block_until_ready()
    best = float("inf")
    for _ in range(repetitions):
        started = time.perf_counter()
        product(a, a).block_until_ready()
        best = min(best, time.perf_counter() - started)
    return 2.0 * size**3 / best


def make_runner(gan: GAN, rule: str, batch: int, num_steps: int):
    """Give a function that takes `num_steps` steps in one call and waits for them."""
    pixels = np.random.default_rng(0).integers(0, 256, (1000, 28, 28, 1), dtype=np.uint8)
    data, key = Batch(jnp.asarray(pixels)), jax.random.key(0)
    images = Batch(jnp.zeros((batch, 28, 28, 1)))
    chunk = make_chunk(gan, RULES[rule], sample_real, batch_size=batch, num_steps=num_steps)
    held = {"state": jax.jit(partial(init_state, gan))(key, images)}

    def run() -> None:
        held["state"], metrics = chunk(held["state"], data, key)
        jax.block_until_ready((held["state"], metrics))

    return run
