"""Penalties as terms of a game: weighted, summed, differentiated, at the right images, each with a key of its own.

|grad D| is |w| everywhere for a plane w . x, and c |x| for the bowl c/2 |x|^2.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import floats, images
from tiny import (
    BATCH,
    DropoutDiscriminator,
    SpectralDiscriminator,
    assert_close,
    game,
    linear_discriminator,
    noisy,
    normal,
    one_in,
    painting_generator,
    paying,
    quick_jit,
    recording,
    stateless,
)
from under_way import FIRST, STILL, W, closed_form_game, state_with

from gan_jax import losses, objectives, penalties, rules
from gan_jax.networks import from_linen
from gan_jax.steps import discriminator_step, init_state
from gan_jax.types import Batch, Penalty

POINTS = (BATCH, 2)
WEIGHTS = tuple(penalties.PENALTIES)


def bowl_discriminator():
    return stateless(lambda key, x: jnp.zeros(()), lambda c, x: 0.5 * c * jnp.sum(x**2, axis=1))


def penalised_step(weights, network, state, real):
    gan = closed_form_game(loss=losses.wasserstein(), penalties=paying(**weights))
    gan = gan._replace(discriminator=network)
    new, metrics = discriminator_step(gan, state, Batch(real), key=jax.random.key(0))
    loss = metrics["fake_logits"] - metrics["real_logits"]
    return metrics["d_penalty"], new.discriminator.opt_state.history[0], metrics["d_loss"] - loss


ON_PLANE = quick_jit(lambda weights, *a: penalised_step(weights, linear_discriminator(), *a))
ON_BOWL = quick_jit(lambda weights, *a: penalised_step(weights, bowl_discriminator(), *a))
NO_WEIGHTS = dict.fromkeys(WEIGHTS, 0.0)
PLANE_GAME = closed_form_game()
BOWL_GAME = closed_form_game()._replace(discriminator=bowl_discriminator())


@one_in(2)
@given(drawn=st.tuples(*[floats(0, 10)] * 4), real=images(POINTS), fakes=images(POINTS))
def test_penalties_are_weighted_summed_and_differentiated(drawn, real, fakes):
    state = state_with(PLANE_GAME, Batch(real), fakes, 3 * W)
    penalty, gradient, besides_loss = ON_PLANE(dict(zip(WEIGHTS, drawn, strict=True)), state, real)
    r1, r2, gp, dragan = np.float64(drawn)
    centred, around_one = (r1 + r2) / 2, gp + dragan
    np.testing.assert_allclose(penalty, 9 * centred + 4 * around_one, rtol=1e-4, atol=1e-4)
    slope = 2 * centred * 3 * W + 2 * around_one * (3 - 1) * W
    expected = slope + fakes.mean(axis=0) - real.mean(axis=0)
    np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-3)
    assert abs(besides_loss) < 1e-5  # d_loss is the loss alone, here mean fake - mean real


@one_in(2)
@given(r1=floats(0, 5), r2=floats(0, 5), real=images(POINTS), fakes=images(POINTS))
def test_r1_is_taken_at_real_and_r2_at_generated_images(r1, r2, real, fakes):
    state = state_with(BOWL_GAME, Batch(real), fakes, np.float32(2))
    penalty, *_ = ON_BOWL(NO_WEIGHTS | {"r1_gamma": r1, "r2_gamma": r2}, state, real)
    squares = [np.mean(np.sum(np.float64(x) ** 2, axis=1)) for x in (real, fakes)]
    expected = 0.5 * 4 * (r1 * squares[0] + r2 * squares[1])
    np.testing.assert_allclose(penalty, expected, rtol=1e-4, atol=1e-5)


@one_in(2)
@given(x=images(POINTS), angle=floats(0, 6))
def test_the_gradient_penalty_lies_between_real_and_fake_and_dragan_at_the_real_images(x, angle):
    # The bowl's slope is 2 |x|. Real and generated images on one ray: mixtures lie between, and so do their slopes.
    ray = np.float32([np.cos(angle), np.sin(angle)])
    inner, outer = (np.broadcast_to(radius * ray, POINTS) for radius in (1.0, 3.0))
    for real, fakes in ((inner, outer), (outer, inner)):
        state = state_with(BOWL_GAME, Batch(real), fakes, np.float32(2))
        penalty, *_ = ON_BOWL(NO_WEIGHTS | {"gp_weight": 1.0}, state, real)
        assert (2 - 1) ** 2 + 1e-3 < penalty < (6 - 1) ** 2 - 1e-3
    # Where all pixels are equal there is no noise.
    constant = np.ones(POINTS, np.float32)
    state = state_with(BOWL_GAME, Batch(constant), x, np.float32(2))
    penalty, *_ = ON_BOWL(NO_WEIGHTS | {"dragan_weight": 1.0}, state, constant)
    np.testing.assert_allclose(penalty, (2 * np.sqrt(2) - 1) ** 2, rtol=1e-5)


@pytest.mark.parametrize("rule", [rules.alternating, rules.one_stage])
@pytest.mark.parametrize("name", WEIGHTS)
def test_a_weight_of_zero_is_a_penalty_and_its_absence_is_not(name, rule):
    def metrics(**weights):
        gan = game(penalties=paying(**weights))
        state = init_state(gan, jax.random.key(0), FIRST)
        return rule.step(gan, state, FIRST, key=jax.random.key(1))[1]

    assert "d_penalty" in jax.eval_shape(lambda: metrics(**{name: 0.0}))
    assert "d_penalty" in jax.eval_shape(lambda weight: metrics(**{name: weight}), 0.0)
    assert "d_penalty" not in jax.eval_shape(metrics)


@pytest.mark.parametrize("rule", [rules.alternating, rules.one_stage])
def test_penalties_meet_d_with_the_model_state_that_it_had_before_the_step(rule):
    network = from_linen(SpectralDiscriminator())  # each pass in training mode renews its vectors
    gan = game(painting_generator(normal(2, *POINTS)), network, penalties=paying(r1_gamma=1.0))

    def both(key):
        state = init_state(gan, key, FIRST)
        params, model_state, _ = state.discriminator

        def logit_fn(x):
            return network.apply(params, model_state, x, train=True)[0]

        _, metrics = rule.step(gan, state, FIRST, key=jax.random.key(1))
        r1 = penalties.r1_penalty(logit_fn, jnp.asarray(FIRST.images), None, key=None)
        return metrics["d_penalty"], jnp.mean(r1)

    found, expected = quick_jit(both)(jax.random.key(0))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


# A penalty that the library does not know


def logit_drift(logit_fn, real, fake, *, key):
    """Penalise logits far from zero (Karras et al. 2018, appendix A.1), at real and at generated images."""
    del key
    return logit_fn(real) ** 2 + logit_fn(fake) ** 2


DRIFTING = closed_form_game(loss=losses.wasserstein(), penalties=(Penalty(logit_drift, 0.5),))


@pytest.mark.parametrize("name", ["alternating", "one_stage", "simultaneous"])
@given(real=images(POINTS), fakes=images(POINTS))
def test_a_penalty_written_elsewhere_works_in_every_rule_that_takes_penalties(name, real, fakes):
    state = state_with(DRIFTING, Batch(real), fakes, W)
    new, metrics = DRIFT[name](state, Batch(real), key=jax.random.key(0))
    on_real, on_fakes = (np.float64(x) @ W for x in (real, fakes))
    assert metrics["d_penalty"] == pytest.approx(
        0.5 * np.mean(on_real**2 + on_fakes**2), rel=1e-4, abs=1e-6
    )
    slope = np.mean(on_real[:, None] * real + on_fakes[:, None] * fakes, axis=0)
    expected = slope + fakes.mean(axis=0) - real.mean(axis=0)
    np.testing.assert_allclose(
        new.discriminator.opt_state.history[0], expected, rtol=1e-4, atol=1e-5
    )


DRIFT = {name: quick_jit(partial(rule.step, DRIFTING)) for name, rule in rules.RULES.items()}


def consistency(logit_fn, real, fake, *, key):
    """Ask D twice for the same images: with its dropout and augmentation bound, it answers alike."""
    del fake, key
    return (logit_fn(real) - logit_fn(real)) ** 2


def test_a_penalty_may_ask_more_than_once_and_meets_the_same_discriminator():
    def shift(key, images):
        return images + jax.random.normal(key, images.shape)

    network = from_linen(DropoutDiscriminator())
    gan = game(None, network, penalties=(Penalty(consistency, 1.0),), augment=shift)
    state = init_state(gan, jax.random.key(0), FIRST)
    step = quick_jit(partial(discriminator_step, gan))
    assert step(state, FIRST, key=jax.random.key(1))[1]["d_penalty"] == 0


# Keys


def drawn_points(logit_fn, real, fake, *, key):
    """Give the first random number that a penalty draws."""
    del logit_fn, fake
    return jax.random.uniform(key, real.shape[:1])


def dropped(logit_fn, real, fake, *, key):
    """Give D's logits, which tell its dropout."""
    del fake, key
    return logit_fn(real)


@pytest.mark.parametrize("function", [drawn_points, dropped])
def test_two_penalties_draw_each_their_own_points_and_dropout(function):
    network = from_linen(DropoutDiscriminator())
    x = normal(0, *POINTS)
    params, _ = network.init(jax.random.key(0), x)

    def term(first, second):
        gan = game(None, network, penalties=(Penalty(function, first), Penalty(function, second)))
        key = jax.random.key(1)
        return objectives.penalties(gan, params, {}, Batch(x), x, key=key)

    weights = ((1.0, 0.0), (0.0, 1.0), (1.0, 1.0))
    first, second, both = (float(quick_jit(term)(*pair)) for pair in weights)
    assert first != pytest.approx(second)
    assert both == pytest.approx(first + second, rel=1e-5)


def test_a_penaltys_points_and_ds_dropout_are_drawn_apart():
    # D is nothing but its noise, and the penalty takes away the noise that its own key would have made
    def difference(logit_fn, real, fake, *, key):
        del fake
        return jnp.abs(logit_fn(real) - jax.random.normal(key, real.shape[:1]))

    gan = game(None, noisy(linear_discriminator()), penalties=(Penalty(difference, 1.0),))
    batch = Batch(jnp.zeros(POINTS))
    term = objectives.penalties(gan, jnp.zeros(2), {}, batch, None, key=jax.random.key(0))
    assert term > 1e-3


def test_a_penalty_more_leaves_the_draws_of_those_before_it_alone():
    x = normal(0, *POINTS)

    def term(*weights):
        terms = tuple(Penalty(drawn_points, weight) for weight in weights)
        gan = game(penalties=terms)
        return objectives.penalties(gan, None, {}, Batch(x), x, key=jax.random.key(1))

    assert term(1.0) == term(1.0, 0.0) == term(1.0, 0.0, 0.0)


# Weights that are traced


@pytest.mark.parametrize("name", WEIGHTS)
def test_mapping_over_a_weight_is_a_game_for_each(name):
    real = normal(1, *POINTS)

    def play(weight):
        gan = game(
            painting_generator(normal(2, *POINTS)),
            linear_discriminator(2.0),
            losses.wasserstein(),
            d_tx=recording(STILL, 1),
            penalties=paying(**{name: weight}),
        )
        state = init_state(gan, jax.random.key(0), Batch(real))
        new, metrics = discriminator_step(gan, state, Batch(real), key=jax.random.key(1))
        return new.discriminator.opt_state.history, metrics

    drawn = np.float32([0.0, 0.3, 5.0])
    together = quick_jit(jax.vmap(play))(drawn)
    for index, weight in enumerate(drawn):
        one = jax.tree.map(lambda leaf, index=index: leaf[index], together)
        assert_close(one, quick_jit(partial(play, float(weight)))())
    assert len(np.unique(together[1]["d_penalty"])) == 3
