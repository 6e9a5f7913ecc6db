"""The moving average of G's weights: it forgets by images, and follows."""

import jax
import jax.numpy as jnp
import pytest
from hypothesis import given
from strategies import floats
from tiny import (
    assert_close,
    bits,
    game,
    linear_discriminator,
    painting_generator,
    quick_jit,
    scaling_generator,
)
from under_way import FIRST, STILL, compiled

from gan_jax.steps import generator_step, init_state
from gan_jax.types import Batch, NetworkState

# The moving average


def follow(half_life, num_steps, batch):
    """Start the average at 1, G's weights at 0, and stay there: what is left of the 1?"""
    gan = game(painting_generator(0.0), g_tx=STILL, ema_half_life_images=half_life)
    gan = gan._replace(discriminator=linear_discriminator(1.0))
    painting = jnp.zeros((batch, 2))
    player = NetworkState(painting, {}, STILL.init(painting))
    real = Batch(painting)
    state = init_state(
        gan._replace(generator=painting_generator(painting)), jax.random.key(0), real
    )
    state = state._replace(generator=player, ema_params=jnp.ones((batch, 2)))
    for number in range(num_steps):
        state, _ = generator_step(gan, state, real, key=jax.random.key(number))
    return state.ema_params[0, 0]


FOLLOW = quick_jit(follow, static_argnums=(1, 2))


def test_after_one_half_life_exactly_half_of_the_old_weights_is_left():
    assert FOLLOW(4.0, 1, 4) == 0.5
    assert FOLLOW(12.0, 1, 4) == pytest.approx(0.5 ** (1 / 3))


@given(half_life=floats(0.5, 1e5))
def test_the_average_forgets_by_images_whatever_the_batch(half_life):
    left = 0.5 ** (24 / half_life)
    assert FOLLOW(half_life, 6, 4) == pytest.approx(left, rel=1e-4, abs=1e-7)
    assert FOLLOW(half_life, 3, 8) == pytest.approx(left, rel=1e-4, abs=1e-7)


def moved_by_g(half_life):
    gan = game(scaling_generator(), linear_discriminator(1.0), ema_half_life_images=half_life)
    state = compiled(init_state, gan)(jax.random.key(0), FIRST)
    new, _ = compiled(generator_step, gan)(state, FIRST, key=jax.random.key(0))
    assert bits(new.generator.params) != bits(state.generator.params)
    return new


def test_the_average_follows_the_new_weights():
    new = moved_by_g(1e-3)
    assert_close(new.ema_params, new.generator.params)


def test_without_a_half_life_the_average_is_the_weights():
    new = moved_by_g(None)
    assert bits(new.ema_params) == bits(new.generator.params)
