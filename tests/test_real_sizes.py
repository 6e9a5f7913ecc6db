"""At the sizes that are trained, gradients agree with float64: compilers sum large arrays otherwise.

The games are those of the presets, run as programs run them: jitted, inside `scan`, by their own update rule. Kinked
activations, whose slope jumps where float32 and float64 differ in sign, are smoothed; latents and images are given.
"""

import dataclasses
from functools import cache, partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from absl import flags
from absl.testing import flagsaver
from flax import linen as nn
from tiny import pinned, recording

from experiments.command import config as configs
from experiments.command import game, shared_flags
from gan_jax.steps import init_state, make_chunk
from gan_jax.types import GAN, AdversarialLoss, Batch, GANState, Metrics

pytestmark = pytest.mark.slow

PRESETS = Path(__file__).parents[1] / "experiments" / "flags"
# fashion_mnist.flags plays the game of mnist.flags on other images, digits.flags has hidden layers besides.
SHAPES = {
    "mnist_article": (28, 28, 1),
    "mnist": (28, 28, 1),
    "stacked_mnist": (28, 28, 3),
    "stacked_mnist_half": (28, 28, 3),
    "stacked_mnist_quarter": (28, 28, 3),
    "gaussians_ring": (2,),
    "gaussians_grid": (2,),
}
PENALISED = ("mnist", "gaussians_ring")
LARGE = 512  # images: at 28x28 pixels far more rows than the 32,768 beyond which jaxlib 0.10 errs
NARROWED = {"mnist_article": ("--width=0.25",)}  # at full width, 512 images in float64 take 8 GB
STEPS = 2  # XLA makes no loop of one
RTOL = 1e-5
QUICK = {
    "xla_backend_optimization_level": 0
}  # for what is not under test: compiles in half the time


# Where this file meets the interface of steps


def play(
    config: configs.Config, gan: GAN, state: GANState, images: np.ndarray, options: dict[str, Any]
) -> tuple[GANState, Metrics]:
    """Take the steps that the programs take, all on the same real images."""
    rule, size = game.choose_rule(config), config.batch_size
    chunk = make_chunk(gan, rule, lambda key, data, num: data, batch_size=size, num_steps=STEPS)
    arguments = (state, Batch(jnp.asarray(images)), jax.random.key(1))
    return jax.device_get(chunk.lower(*arguments).compile(compiler_options=options)(*arguments))


def draw_images(config: configs.Config, gan: GAN, shape: tuple[int, ...]) -> np.ndarray:
    """Draw real images for all turns of one step."""
    num = config.batch_size * game.choose_rule(config).batches(gan)
    return np.random.default_rng(1).uniform(-1, 1, (num, *shape)).astype(np.float32)


@cache
def draw_state(config: configs.Config, shape: tuple[int, ...]) -> GANState:
    """Draw weights; for their shapes any batch will do."""
    init = jax.jit(partial(init_state, watched_game(config, shape, "float32")))
    arguments = (jax.random.key(0), Batch(jnp.zeros((config.batch_size, *shape))))
    return jax.device_get(init.lower(*arguments).compile(compiler_options=QUICK)(*arguments))


# The law


def read_preset(name: str, batch_size: int | None) -> configs.Config:
    """Read a preset's flags, perhaps with another batch."""
    shared_flags.define_flags()
    larger = [f"--batch_size={batch_size}", *NARROWED.get(name, ())] if batch_size else []
    with flagsaver.flagsaver():
        flags.FLAGS(["program", f"--flagfile={PRESETS / name}.flags", *larger])
        config = configs.from_flags()
        flags.FLAGS.unparse_flags()
        flags.FLAGS.mark_as_parsed()
    return config


def watched_game(config: configs.Config, shape: tuple[int, ...], dtype: str) -> GAN:
    """Build a game whose optimizers keep the gradients, and whose latents do not depend on the type of numbers."""
    gan = game.build_gan(dataclasses.replace(config, dtype=dtype), shape)
    latents = np.random.default_rng(0).normal(size=(config.batch_size, config.latent_dim))
    tx = recording(optax.sgd(1e-3), STEPS)
    return gan._replace(
        generator=pinned(gan.generator, x=np.float32(latents).astype(dtype)), g_tx=tx, d_tx=tx
    )


def histories(state: GANState) -> dict[str, Any]:
    """The gradients of both players, step by step, in float64."""
    found = {"D": state.discriminator.opt_state.history, "G": state.generator.opt_state.history}
    return jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), found)


def in_float64(tree: Any) -> Any:
    return jax.tree.map(
        lambda leaf: jnp.asarray(leaf, jnp.float64 if leaf.dtype == np.float32 else leaf.dtype),
        tree,
    )


def both_ways(name: str, batch_size: int | None, **changed: Any):
    """Play a preset's game in float32 and in float64: gradients and metrics of each."""
    config, shape = read_preset(name, batch_size), SHAPES[name]
    gan = watched_game(config, shape, "float32")._replace(**changed)
    images = draw_images(config, gan, shape)
    state = draw_state(dataclasses.replace(config, batch_size=2), shape)
    single = play(config, gan, jax.tree.map(jnp.asarray, state), images, {})
    with jax.enable_x64(True), pytest.MonkeyPatch.context() as patch:
        # Logits, images and slopes are cast to float32 by that name, and would be summed in it here too.
        patch.setattr(jnp, "float32", jnp.float64)
        gan = watched_game(config, shape, "float64")._replace(**changed)
        options = {} if batch_size else QUICK
        double = play(config, gan, in_float64(state), np.float64(images), options)
    return single, double


def relative(actual: Any, desired: Any) -> float:
    """Norm of the difference of two trees over the norm of the second."""
    pairs = zip(jax.tree.leaves(actual), jax.tree.leaves(desired), strict=True)
    squares = [(np.sum((a - b) ** 2), np.sum(b**2)) for a, b in pairs]
    difference, size = np.sum(squares, axis=0)
    return float(np.sqrt(difference / size))


@pytest.fixture(autouse=True)
def smooth_activations(monkeypatch):
    """Let the models bend where they had a kink.

    At 0 the curves are 0, as the kinked ones are: softplus alone lets activations with a mean of many times their
    spread enter batch norms, where E[x^2] - E[x]^2 cancels, and the article's G differs by 2.3e-5.
    """

    def relu(x):
        return (jax.nn.softplus(8.0 * x) - np.float32(np.log(2.0))) / 8.0

    def leaky_relu(x, negative_slope):
        return negative_slope * x + (1.0 - negative_slope) * relu(x)

    monkeypatch.setattr(nn, "relu", relu)
    monkeypatch.setattr(nn, "leaky_relu", leaky_relu)


@pytest.mark.parametrize("batch_size", [None, LARGE])
@pytest.mark.parametrize("name", SHAPES)
def test_gradients_and_losses_agree_with_float64(name, batch_size):
    (state, metrics), (state64, metrics64) = both_ways(name, batch_size)
    ours, theirs = histories(state), histories(state64)
    errors = {player: relative(ours[player], theirs[player]) for player in ours}
    errors |= {
        m: relative(metrics[m], metrics64[m]) for m in metrics if m.endswith(("loss", "penalty"))
    }
    assert max(errors.values()) < RTOL, errors


@pytest.mark.parametrize("name", PENALISED)
def test_penalties_alone_agree_with_float64(name):
    no_loss = AdversarialLoss(
        lambda real, fake: 0.0 * jnp.mean(fake), lambda real, fake: jnp.mean(fake)
    )
    (state, metrics), (state64, metrics64) = both_ways(name, None, loss=no_loss)
    errors = {
        "D": relative(histories(state)["D"], histories(state64)["D"]),
        "penalty": relative(metrics["d_penalty"], metrics64["d_penalty"]),
    }
    assert max(errors.values()) < RTOL, errors
