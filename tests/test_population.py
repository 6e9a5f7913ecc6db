"""Populations: however many members run at once, each is the run that it would be alone."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gan_jax import losses, rules
from gan_jax.models.mlp import MLPDiscriminator, MLPGenerator
from gan_jax.networks import from_linen
from gan_jax.population import init_population, run_population
from gan_jax.sampling import sample_real
from gan_jax.steps import init_state, run_steps
from gan_jax.types import GAN

MEMBERS, BATCH, STEPS = 3, 4, 2
PLAYERS = from_linen(MLPGenerator((2,), (3,))), from_linen(MLPDiscriminator((3,)))
DATA = jnp.linspace(-1, 1, 20).reshape(10, 2)
DRAW = partial(sample_real, num=BATCH)
RATES = jnp.array([0.1, 0.01, 0.001])
LIKE = jnp.zeros((BATCH, 2))


def drawn_keys():  # anew for each use: a key is used once
    return [jax.random.split(jax.random.key(i), MEMBERS) for i in range(2)]


def build(rate):
    return GAN(*PLAYERS, optax.sgd(rate), optax.sgd(rate), losses.non_saturating(), latent_dim=2)


def alone(init_key, key, rate):
    gan = build(rate)
    state, step = init_state(gan, init_key, LIKE), partial(rules.alternating, gan)
    return run_steps(step, state, lambda k, _: DRAW(k, DATA), STEPS, key=key)


@pytest.mark.parametrize("at_once", [None, 1, 2])
def test_every_member_is_the_run_that_it_would_be_alone(at_once):

    @jax.jit
    def together(init_keys, keys):
        states = init_population(build, RATES, init_keys, LIKE)
        swept = (build, rules.alternating, DRAW, states, RATES, DATA, STEPS)
        return run_population(*swept, keys=keys, at_once=at_once)

    whole = together(*drawn_keys())
    for i in range(MEMBERS):
        single = jax.jit(alone)(*(keys[i] for keys in drawn_keys()), RATES[i])
        member = jax.tree.map(lambda leaf, i=i: leaf[i], whole)
        jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6), member, single)
