"""Laws of penalties whose weights change along a game: by the formula, in every rule, and nothing else changes."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import assert_close, game, paying, quick_jit
from under_way import DATA, start

from gan_jax.rules import RULES, alternating, falling_penalties, share_at, weighing_less
from gan_jax.types import Batch

STEPS = 10


def played(rule, gan, step):
    """One step of a rule from a given step on: the new state and metrics."""
    state = start(gan, DATA.images)._replace(step=jnp.asarray(step, jnp.int32))
    batch = Batch(DATA.images[: 4 * rule.batches(gan)])
    return quick_jit(partial(rule.step, gan))(state, batch, key=jax.random.key(3))


@pytest.mark.parametrize(
    ("step", "last", "share"),
    [(0, 0.1, 1.0), (5, 0.01, 0.1), (10, 0.1, 0.1), (25, 0.1, 0.1), (5, 4.0, 2.0), (7, 1.0, 1.0)],
)
def test_the_share_goes_by_the_same_factor_in_every_step(step, last, share):
    np.testing.assert_allclose(share_at(jnp.asarray(step), last, STEPS), share, rtol=1e-6)


@pytest.mark.parametrize("name", ["alternating", "one_stage", "simultaneous", "extragradient"])
@pytest.mark.parametrize("step", [0, 5, 30])
def test_a_step_is_that_of_a_game_with_lighter_penalties(name, step):
    rule, weights = RULES[name], {"r1_gamma": 3.0, "r2_gamma": 0.7}
    share = 0.01 ** (min(step, STEPS) / STEPS)
    lighter = paying(**{each: weight * share for each, weight in weights.items()})
    fallen, metrics = played(
        falling_penalties(rule, 0.01, STEPS), rule.equip(game(penalties=paying(**weights))), step
    )
    same, others = played(rule, rule.equip(game(penalties=lighter)), step)
    assert_close((fallen, metrics), (same, others))
    assert int(fallen.step) == step + 1


def test_the_weights_are_the_games_own_at_first_and_lighter_later():
    gan = game(penalties=paying(r1_gamma=3.0))
    falling = falling_penalties(alternating, 0.1, STEPS)
    of_d = {step: played(falling, gan, step)[1]["d_penalty"] for step in (0, 9)}
    plain = played(alternating, gan, 0)[1]["d_penalty"]
    np.testing.assert_allclose(of_d[0], plain, rtol=1e-5)
    np.testing.assert_allclose(of_d[9], plain * 0.1**0.9, rtol=1e-5)


def test_all_but_the_step_is_the_rules_own():
    for rule in RULES.values():
        falling = falling_penalties(rule, 0.1, STEPS)
        assert falling._replace(step=rule.step) == rule


def test_each_penalty_is_lighter_and_nothing_else_of_the_game():
    gan = game(penalties=paying(r1_gamma=3.0, gp_weight=10.0), n_dis=2)
    lighter = weighing_less(gan, 0.5)
    assert [penalty.weight for penalty in lighter.penalties] == [1.5, 5.0]
    assert lighter._replace(penalties=gan.penalties) == gan
