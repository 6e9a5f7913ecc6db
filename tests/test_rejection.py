"""Discriminator rejection sampling: the formula by hand, and the law it stands for, on two points."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.rejection import accept, acceptance, raise_bar, set_bar

# F(log 1/2) = log 1/2 - log(1 - 1/2) = 0: with such a burn-in gamma is 0, and the chance is exp(logit - max).
HALF = jnp.log(jnp.array([0.5]))


def test_with_gamma_zero_the_chance_is_the_ratio_to_the_greatest():
    bar = set_bar(HALF)._replace(max_logit=jnp.float32(0))
    chances = acceptance(jnp.log(jnp.array([0.9, 0.5, 0.1, 1.0, 2.0])), bar)
    np.testing.assert_allclose(chances, [0.9, 0.5, 0.1, 1, 1], atol=1e-4)


def test_the_percentile_of_the_burn_in_is_accepted_one_time_in_two():
    burn_in = jnp.arange(101.0) / 10
    for percentile in (0, 25, 80):
        bar = set_bar(burn_in, percentile)
        assert acceptance(burn_in[percentile], bar) == pytest.approx(0.5, abs=1e-5)


def test_a_chance_worked_by_hand():
    """Max 2, gamma of the logit 1: d = -1, F0 = -1 - log(1 - 1/e) = -0.5413; of the logit 0: -2 - log(1 - e^-2)."""
    bar = set_bar(jnp.array([1.0, 1.0, 1.0, 2.0]), 50)
    difference = (-2 - np.log(1 - np.exp(-2))) - (-1 - np.log(1 - np.exp(-1)))
    assert acceptance(jnp.array([0.0]), bar)[0] == pytest.approx(
        1 / (1 + np.exp(-difference)), 1e-4
    )


def test_only_differences_of_logits_count():
    logits = jnp.array([-1.0, 0.5, 3.0])
    near, far = (acceptance(logits + s, set_bar(logits + s, 40)) for s in (0.0, 50.0))
    np.testing.assert_allclose(near, far, rtol=1e-4)


def test_better_samples_are_likelier_and_pickier_bars_accept_less():
    logits = jnp.linspace(-3.0, 2.0, 50)
    easy, picky = (acceptance(logits, set_bar(logits, p)) for p in (20, 90))
    assert np.all(np.diff(easy) > 0) and np.all(picky < easy)
    assert np.all(np.isfinite(easy)) and easy[-1] <= 1


def test_a_bar_is_raised_and_never_lowered():
    bar = set_bar(jnp.array([0.0, 1.0]))
    assert raise_bar(bar, jnp.array([3.0, 2.0])).max_logit == 3
    assert raise_bar(bar, jnp.array([-3.0])).max_logit == 1


def test_an_ideal_d_turns_what_g_draws_into_the_data():
    """G draws heads half of the time, the data are heads 9 times in 10: D's logits are log 1.8 and log 0.2."""
    heads = jax.random.bernoulli(jax.random.key(0), 0.5, (40_000,))
    logits = jnp.where(heads, jnp.log(1.8), jnp.log(0.2))
    bar = set_bar(HALF + jnp.log(1.8))._replace(max_logit=jnp.log(1.8))
    taken = accept(jax.random.key(1), logits, bar)
    assert np.mean(heads[taken]) == pytest.approx(0.9, abs=0.01)
    assert np.mean(taken) == pytest.approx(1 / 1.8, abs=0.01)


@pytest.mark.parametrize(
    ("logits", "percentile", "message"),
    [
        (jnp.zeros((2, 1)), 80, r"shape \[N\], N >= 1, got \(2, 1\)"),
        (jnp.zeros(0), 80, r"got \(0,\)"),
        (jnp.zeros(3), 100, r"in \[0, 100\), got 100"),
    ],
)
def test_what_sets_no_bar_is_refused(logits, percentile, message):
    with pytest.raises(ValueError, match=message):
        set_bar(logits, percentile)
