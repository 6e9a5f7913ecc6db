"""Ways of drawing samples: reproducible, each place with its own class, and D's choice is the data where D is ideal."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.command.program import UserError
from experiments.measuring import drawing
from experiments.measuring.drawing import PLAIN, Way, draw
from experiments.record.restored import RestoredRun
from gan_jax.sampling import sample_latents
from gan_jax.types import GANState, Network, NetworkState


def key():
    return jax.random.key(7)


def shifted(params, model_state, x, labels=None, *, train, key=None):
    """G: the latents, moved by the class."""
    del params, train, key
    return x if labels is None else x + labels[:, None], model_state


def towards_one(params, model_state, x, labels=None, *, train, key=None):
    """D, ideal for data N(1, 1) in the place of G's N(0, 1), or 1 beside the class: log ratio x - 1/2."""
    del params, train, key
    return (x - (0 if labels is None else labels[:, None]) - 0.5)[:, 0], model_state


def run_of(discriminator=towards_one) -> RestoredRun:
    """A run whose G passes latents of one dimension on."""
    gan = SimpleNamespace(
        generator=Network(None, shifted), discriminator=Network(None, discriminator), latent_dim=1
    )
    nothing = NetworkState((), (), ())
    state = GANState(jnp.int32(0), nothing, nothing, ())
    config = SimpleNamespace(latent_dim=1)
    return RestoredRun(config, {}, None, gan, state, 0)


@pytest.fixture(autouse=True)
def short_burn_in(monkeypatch):
    monkeypatch.setattr(drawing, "BURN_IN", 512)


def test_as_g_makes_them_they_are_what_the_latents_give():
    drawn = draw(run_of(), key(), 300)
    np.testing.assert_array_equal(drawn.samples, sample_latents(key(), 300, 1))
    assert (drawn.draws, drawn.accepted) == (300, 300)


def test_truncated_latents_stay_within_their_bound_and_fill_it():
    samples = draw(run_of(), key(), 4000, Way(truncation=0.5)).samples
    assert 0.49 < np.abs(samples).max() <= 0.5
    # Of a normal cut at 0.5, nearly even: variance 0.0804 (an even one has 0.0833).
    assert samples.var() == pytest.approx(0.0804, rel=0.05)


def test_d_moves_samples_towards_the_data_at_a_price():
    """With a low bar little changes; a high one gives what the data have more of."""
    low, high = (draw(run_of(), key(), 1000, Way(rejection=p)) for p in (0, 90))
    assert abs(low.samples.mean()) < 0.15
    assert high.samples.mean() > 0.6
    assert high.draws > 3 * low.draws
    assert high.draws >= high.accepted >= 1000
    assert high.accepted / high.draws < 0.3


def test_the_same_key_draws_the_same_and_another_key_does_not():
    first, again = (draw(run_of(), key(), 50, Way(0.9, 50)).samples for _ in range(2))
    np.testing.assert_array_equal(first, again)
    other = draw(run_of(), jax.random.key(8), 50, Way(0.9, 50)).samples
    assert not np.any(first == other) and np.abs(first).max() <= 0.9


def test_each_place_keeps_its_class_however_d_likes_it():
    """Classes lie 100 apart: 0, 300 and 100 in turn, at every place."""
    labels = jnp.int32(np.resize([0, 300, 100], 700))
    samples = draw(run_of(), key(), 700, Way(rejection=80), labels).samples
    np.testing.assert_array_equal(np.round(samples[:, 0] / 100) * 100, labels)


def test_samples_are_drawn_each_for_itself():
    samples = draw(run_of(), key(), 600, Way(rejection=60)).samples
    assert len(np.unique(samples)) == 600


def test_logits_that_are_no_numbers_are_told():
    def broken(params, model_state, x, labels=None, *, train, key=None):
        return jnp.full(len(x), jnp.nan), model_state

    with pytest.raises(UserError, match="D's logits are not finite: the run has diverged"):
        draw(run_of(broken), key(), 10, Way(rejection=80))


def test_a_d_that_accepts_nothing_ends_in_a_line(monkeypatch):
    monkeypatch.setattr(drawing, "PATIENCE", 2)
    with pytest.raises(UserError, match="choose a lower percentile by --rejection_percentile"):
        draw(run_of(), key(), 500, Way(rejection=99.9))


def test_ways_are_told_in_words():
    assert str(PLAIN) == "as G makes them"
    assert str(Way(0.7, 80)) == "latents truncated at 0.7, chosen by D above its percentile 80"
