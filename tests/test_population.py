"""Populations: however many members run at once, each is the run that it would be alone."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tiny import conditional_game, quick_jit

from gan_jax import losses, rules
from gan_jax.models.mlp import MLPDiscriminator, MLPGenerator
from gan_jax.networks import from_linen
from gan_jax.population import init_population, run_population
from gan_jax.sampling import sample_real
from gan_jax.steps import init_state, take_steps
from gan_jax.types import GAN, Batch

MEMBERS, BATCH, STEPS = 3, 4, 2
PLAYERS = from_linen(MLPGenerator((2,), (3,))), from_linen(MLPDiscriminator((3,)))
POINTS = jnp.linspace(-1, 1, 20).reshape(10, 2)
DATA = {"points": Batch(POINTS), "labelled points": Batch(POINTS, jnp.arange(10) % 3)}
RATES = jnp.array([0.1, 0.01, 0.001])
SIZES = {"batch_size": BATCH, "num_steps": STEPS}


def drawn_keys():  # anew for each use: a key is used once
    return [jax.random.split(jax.random.key(i), MEMBERS) for i in range(2)]


def plain(rate):
    return GAN(*PLAYERS, optax.sgd(rate), optax.sgd(rate), losses.non_saturating(), latent_dim=2)


def conditional(rate):
    return conditional_game(g_tx=optax.sgd(rate), d_tx=optax.sgd(rate), n_dis=2)


BUILDS = {"points": plain, "labelled points": conditional}


def like(data):
    return jax.tree.map(lambda leaf: leaf[:BATCH], data)


def alone(name, init_key, key, rate):
    gan, data = BUILDS[name](rate), DATA[name]
    state = init_state(gan, init_key, like(data))
    return take_steps(gan, rules.alternating, sample_real, state, data, key=key, **SIZES)


@cache
def compiled_alone(name):
    return quick_jit(partial(alone, name))


@pytest.mark.parametrize("at_once", [None, 1, 2])
@pytest.mark.parametrize("name", DATA)
def test_every_member_is_the_run_that_it_would_be_alone(name, at_once):
    build, data = BUILDS[name], DATA[name]

    @quick_jit
    def together(init_keys, keys):
        states = init_population(build, RATES, init_keys, like(data))
        swept = (build, rules.alternating, sample_real, states, RATES, data)
        return run_population(*swept, **SIZES, keys=keys, at_once=at_once)

    whole, one = together(*drawn_keys()), compiled_alone(name)
    for i in range(MEMBERS):
        single = one(*(keys[i] for keys in drawn_keys()), RATES[i])
        member = jax.tree.map(lambda leaf, i=i: leaf[i], whole)
        jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6), member, single)


def test_every_member_may_have_a_rule_of_its_own_scalars():
    def telling(rate):
        def step(gan, state, batch, *, key):
            state, metrics = rules.alternating.step(gan, state, batch, key=key)
            return state, metrics | {"rate": rate}

        return rules.alternating._replace(step=step)

    @quick_jit
    def together(init_keys, keys):
        states = init_population(plain, RATES, init_keys, like(DATA["points"]))
        swept = (plain, telling, sample_real, states, RATES, DATA["points"])
        return run_population(*swept, **SIZES, keys=keys)[1]["rate"]

    told = together(*drawn_keys())
    np.testing.assert_array_equal(told, np.repeat(RATES[:, None], told.shape[1], axis=1))
    assert len(set(np.asarray(RATES).tolist())) > 1
