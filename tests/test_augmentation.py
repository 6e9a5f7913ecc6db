"""Laws of the augmentation: between images and D in each of its passes, once, and behind all that is differentiated."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from strategies import floats, images, seeds
from tiny import (
    BATCH,
    POINTS,
    BatchNormDiscriminator,
    DropoutDiscriminator,
    assert_close,
    game,
    linear_discriminator,
    normal,
    one_in,
    painting_generator,
    paying,
    quick_jit,
    recording,
    scaling_generator,
    spied,
    stateless,
)
from under_way import STILL, W, start

from gan_jax import losses, objectives, penalties
from gan_jax.networks import from_linen
from gan_jax.rules import RULES, alternating, article, one_stage
from gan_jax.sampling import sample
from gan_jax.steps import discriminator_step, init_state
from gan_jax.types import Batch

REAL = normal(0, *POINTS)
every_rule = pytest.mark.parametrize(
    "name", ["alternating", "article", "one_stage", "simultaneous"]
)


def halve(key, images):
    """Make every image half as bright: an augmentation whose slope is known."""
    del key
    return 0.5 * images


def shift(key, images):
    """Move each image to a place of its own."""
    return images + jax.random.normal(key, images.shape)


def counted(augment, seen):
    """Note the number of images of every call while it is traced."""

    def spy(key, images):
        seen.append(images.shape[0])
        return augment(key, images)

    return spy


# In each pass, once


PASSES = [
    # D's turn over both kinds at once, and G's
    (alternating, from_linen(DropoutDiscriminator()), {}, [2 * BATCH, BATCH]),
    (alternating, from_linen(BatchNormDiscriminator()), {}, [BATCH] * 3),
    # besides them, a pass for each penalty, and first one that is traced and never computed: does it draw anything?
    (
        alternating,
        from_linen(DropoutDiscriminator()),
        {"penalties": paying(r1_gamma=1.0, gp_weight=1.0)},
        [BATCH, 2 * BATCH, BATCH, BATCH, BATCH],
    ),
    # a relativistic G shows D its own real images too
    (alternating, from_linen(DropoutDiscriminator()), {"loss": losses.relativistic()},
     [2 * BATCH, BATCH, BATCH]),
    (article, from_linen(DropoutDiscriminator()), {}, [BATCH] * 3),
    (one_stage, from_linen(DropoutDiscriminator()), {"penalties": paying(r2_gamma=1.0)},
     [BATCH, 2 * BATCH, BATCH]),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "discriminator", "options", "passes"), PASSES)
def test_every_pass_of_d_is_augmented_once_and_no_other_network(
    rule, discriminator, options, passes
):
    calls, seen = [], []
    gan = game(scaling_generator(), spied(discriminator, calls), **options)
    gan = gan._replace(augment=counted(halve, seen))
    real = Batch(jnp.zeros((rule.batches(gan) * BATCH, 2)))

    def run(key):
        state = init_state(gan, key, real)
        return rule.step(gan, state, real, key=jax.random.key(1))

    jax.eval_shape(run, jax.random.key(0))
    assert seen == passes == [call.samples for call in calls]


# Closed forms: D is w . x behind the halving, so everything it says and every slope is half


def linear(**options):
    return game(
        painting_generator(np.zeros(POINTS)),
        linear_discriminator(W),
        losses.wasserstein(),
        g_tx=recording(STILL, 1),
        d_tx=recording(STILL, 2),
        **options,
    )


@cache
def halved_step(name):
    return quick_jit(partial(RULES[name].step, linear(augment=halve)))


@every_rule
@one_in(2)
@given(real=images(POINTS), fakes=images(POINTS))
def test_d_sees_halved_images_and_gs_gradient_flows_through_the_halving(name, real, fakes):
    state = start(linear(), real, generator=fakes)
    new, metrics = halved_step(name)(state, Batch(real), key=jax.random.key(0))
    by_d = new.discriminator.opt_state.history.sum(axis=0)
    np.testing.assert_allclose(by_d, 0.5 * (fakes - real).mean(axis=0), atol=1e-5)
    by_g = new.generator.opt_state.history[0]
    np.testing.assert_allclose(by_g, np.tile(-0.5 * W / BATCH, (BATCH, 1)), rtol=1e-5)
    np.testing.assert_allclose(metrics["real_logits"], 0.5 * np.mean(real @ W), atol=1e-5)
    np.testing.assert_allclose(metrics["fake_logits"], 0.5 * np.mean(fakes @ W), atol=1e-5)
    np.testing.assert_allclose(metrics["g_loss"], -0.5 * np.mean(fakes @ W), atol=1e-5)


def test_the_images_that_g_draws_and_a_sample_of_it_are_not_augmented():
    gan = linear(augment=halve)
    state = start(gan, REAL)
    state = state._replace(ema_params=jnp.asarray(REAL))
    np.testing.assert_array_equal(sample(gan, state, jnp.zeros((BATCH, 2))), REAL)


@pytest.mark.parametrize("name", penalties.PENALTIES)
@one_in(2)
@given(w=images((2,)), scale=floats(-2, 2))
def test_penalties_differentiate_by_the_image_before_the_augmentation(name, w, scale):
    # |grad of w . (s x)| by x is |s| |w|: halving takes R1 to a quarter
    norm = abs(scale) * np.linalg.norm(np.float64(w))
    expected = norm**2 / 2 if name in ("r1_gamma", "r2_gamma") else (norm - 1) ** 2
    np.testing.assert_allclose(SCALED_PENALTY[name](w, scale), expected, rtol=1e-4, atol=1e-5)


def scaled_penalty(name, w, scale):
    gan = game(
        None,
        linear_discriminator(),
        penalties=paying(**{name: 1.0}),
        augment=lambda key, images: scale * images,
    )
    fake = jnp.asarray(normal(1, *POINTS))
    return objectives.penalties(gan, w, {}, Batch(REAL), fake, key=jax.random.key(0))


SCALED_PENALTY = {name: quick_jit(partial(scaled_penalty, name)) for name in penalties.PENALTIES}


def test_a_quarter_of_r1_by_hand():
    # |w|^2 / 2 is 12.5 at w = (3, 4)
    found = [SCALED_PENALTY["r1_gamma"](np.float32([3, 4]), scale) for scale in (1.0, 0.5)]
    assert found == [12.5, 3.125]


# No augmentation, and the one that does nothing


def bowl_game(augment):
    bowl = stateless(lambda key, x: jnp.ones(()), lambda c, x: 0.5 * c * jnp.sum(x**2, axis=1))
    return game(painting_generator(normal(1, *POINTS)), bowl, augment=augment)


@every_rule
def test_an_augmentation_that_does_nothing_changes_no_number_of_a_game_without_dropout(name):
    def played(augment):
        gan = RULES[name].equip(bowl_game(augment))
        if name != "article":
            gan = gan._replace(penalties=paying(r1_gamma=1.0, gp_weight=1.0))
        step = quick_jit(partial(RULES[name].step, gan))
        return step(start(gan, REAL), Batch(REAL), key=jax.random.key(2))

    assert_close(played(None), played(lambda key, images: images))


# Keys


@one_in(5)
@given(seed=seeds())
def test_each_image_is_moved_to_a_place_of_its_own_anew_in_every_pass(seed):
    # D's logit is the image itself, so its mean over real and fakes is that of the shifts
    gan = linear(augment=shift, n_dis=2)
    zeros = np.zeros((2 * BATCH, 2), np.float32)
    state = start(gan, zeros, generator=jnp.zeros(POINTS))
    new, _ = SHIFTED(state, Batch(zeros), key=jax.random.key(seed))
    turns = np.asarray(new.discriminator.opt_state.history)
    assert len(np.unique(turns.round(5))) == turns.size
    again, _ = SHIFTED(state, Batch(zeros), key=jax.random.key(seed))
    np.testing.assert_array_equal(again.discriminator.opt_state.history, turns)


SHIFTED = quick_jit(partial(alternating.step, linear(augment=shift, n_dis=2)))


def test_the_augmentation_and_ds_dropout_draw_from_keys_of_their_own():
    """With dropout's own key in its hands, an augmentation could foresee what is dropped."""
    keys = []

    def note(key, images):
        keys.append(("augment", key))
        return images

    def apply(params, model_state, x, labels=None, *, train, key):
        keys.append(("D", key))
        return jnp.sum(x * params[None], axis=1), model_state

    gan = linear(augment=note)
    gan = gan._replace(discriminator=gan.discriminator._replace(apply=apply))
    discriminator_step(gan, start(gan, REAL), Batch(REAL), key=jax.random.key(0))
    (first, a), (second, b) = keys
    assert (first, second) == ("augment", "D")
    assert not (jax.random.key_data(a) == jax.random.key_data(b)).all()
