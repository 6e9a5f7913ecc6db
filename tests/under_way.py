"""Tiny games under way: steps compiled once for each game, and states with given weights."""

from collections.abc import Callable
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from tiny import (
    BATCH,
    POINTS,
    busy_game,
    game,
    linear_discriminator,
    normal,
    painting_generator,
    quick_jit,
    recording,
)

from gan_jax.steps import discriminator_step, generator_step, init_state
from gan_jax.types import GAN, Batch, GANState

DATA = Batch(normal(0, 11, 2))
FIRST = Batch(DATA.images[:BATCH])
BUSY = busy_game()
STILL = optax.sgd(0.0)
W = np.float32([0.6, -0.8])
OF_D = {"d_loss", "d_accuracy", "real_logits", "fake_logits", "d_grad_norm"}
OF_G = {"g_loss", "g_accuracy", "g_grad_norm"}


@cache
def compiled(function: Callable, gan: GAN) -> Callable:
    """Bind a game and compile, once."""
    return quick_jit(partial(function, gan))


@cache
def busy_state() -> GANState:
    """Draw a state whose momenta and statistics have moved."""
    state = compiled(init_state, BUSY)(jax.random.key(0), FIRST)
    state, _ = compiled(discriminator_step, BUSY)(state, FIRST, key=jax.random.key(1))
    state, _ = compiled(generator_step, BUSY)(state, FIRST, key=jax.random.key(2))
    return state


def closed_form_game(**options) -> GAN:
    """D is w . x and its gradient is kept; G's paintings are known."""
    paintings = painting_generator(np.zeros(POINTS))
    return game(paintings, linear_discriminator(0.0), d_tx=recording(STILL, 1), **options)


def state_with(gan: GAN, real: Batch, fakes, d_params=None, d_model_state=None) -> GANState:
    """Start a game of paintings with given fakes, and with given weights of D."""
    state = compiled(init_state, gan)(jax.random.key(0), real)
    discriminator = state.discriminator
    if d_params is not None:
        discriminator = discriminator._replace(params=d_params)
    if d_model_state is not None:
        discriminator = discriminator._replace(model_state=d_model_state)
    generator = state.generator._replace(params=fakes)
    return state._replace(generator=generator, discriminator=discriminator, ema_params=fakes)


def start(gan: GAN, real, labels=None, **d_or_g_params) -> GANState:
    """Start a game eagerly, with given weights of a player in place of drawn ones."""
    state = init_state(gan, jax.random.key(0), Batch(jnp.asarray(real), labels))
    for player, params in d_or_g_params.items():
        state = state._replace(**{player: getattr(state, player)._replace(params=params)})
    return state
