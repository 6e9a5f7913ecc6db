"""The games of the benchmarks that vary size and number: a DCGAN or dense layers, alternating updates, R1 left out."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax

from gan_jax import losses, rules
from gan_jax.models.dcgan import DCGANDiscriminator, DCGANGenerator
from gan_jax.models.mlp import MLPDiscriminator, MLPGenerator
from gan_jax.networks import from_linen
from gan_jax.population import init_population, run_population
from gan_jax.sampling import sample_real
from gan_jax.steps import init_state, make_chunk
from gan_jax.types import GAN, Batch, Key


def build(network: str, width: float = 1.0, size: int = 28) -> GAN:
    """Build a DCGAN of a width (32 and 64 channels at width 1), or "mlp": three layers of 128 for points."""
    if network == "mlp":
        players = MLPGenerator((2,)), MLPDiscriminator()
    else:
        bases = (max(1, round(channels * width)) for channels in (32, 64))
        players = DCGANGenerator(size, base=next(bases)), DCGANDiscriminator(next(bases))
    adam = optax.adam(2e-4, b1=0.5)
    return GAN(*map(from_linen, players), adam, adam, losses.non_saturating(), latent_dim=64)


def draw_data(network: str, size: int = 28, num: int = 1000) -> Batch:
    """Draw pixels uint8 [num, size, size, 1] or points f32[num, 2]; speed does not depend on what they show."""
    rng = np.random.default_rng(0)
    if network == "mlp":
        return Batch(jnp.asarray(rng.standard_normal((num, 2), dtype=np.float32)))
    return Batch(jnp.asarray(rng.integers(0, 256, (num, size, size, 1), dtype=np.uint8)))


def make_runner(gan: GAN, data: Batch, batch: int, num_steps: int, seed: int = 0):
    """Give a function that takes `num_steps` steps in one call and waits for them."""
    sizes = {"batch_size": batch, "num_steps": num_steps}
    chunk = make_chunk(gan, rules.alternating, sample_real, **sizes)
    return _keep_going(jax.jit(partial(init_state, gan)), chunk, data, jax.random.key(seed), batch)


def make_population_runner(
    gan: GAN, data: Batch, batch: int, num_steps: int, members: int, at_once: int | None
):
    """Give a function that takes `num_steps` steps with every member in one call, `at_once` of them by `vmap`."""
    sizes = {"batch_size": batch, "num_steps": num_steps}

    def init(keys: Key, images: Batch):
        return init_population(lambda _: gan, None, keys, images)

    def chunk(states, data: Batch, keys: Key):
        swept = (lambda _: gan, rules.alternating, sample_real, states, None, data)
        return run_population(*swept, **sizes, keys=keys, at_once=at_once)

    keys = jax.random.split(jax.random.key(0), members)
    return _keep_going(jax.jit(init), jax.jit(chunk, donate_argnums=0), data, keys, batch)


def _keep_going(init, chunk, data: Batch, key: Key, batch: int) -> Callable[[], None]:
    held = {"state": init(key, Batch(jnp.zeros((batch, *data.images.shape[1:]))))}

    def run() -> None:
        held["state"], metrics = chunk(held["state"], data, key)
        jax.block_until_ready((held["state"], metrics))

    return run
