"""Gradients apart from moves: a step is both in turn, and other rules are made of them in a few lines."""

from functools import partial

import jax
import numpy as np
import optax
import pytest
from hypothesis import given
from strategies import images, seeds
from tiny import (
    BATCH,
    POINTS,
    assert_close,
    bits,
    game,
    linear_discriminator,
    normal,
    one_in,
    painting_generator,
    quick_jit,
)
from under_way import BUSY, OF_D, OF_G, busy_state, compiled, start

from gan_jax import losses
from gan_jax.gradients import discriminator_gradients, generator_gradients
from gan_jax.rules import one_stage
from gan_jax.sampling import sample_latents, sample_real
from gan_jax.steps import (
    discriminator_step,
    generator_step,
    init_state,
    move_discriminator,
    move_generator,
    take_steps,
)
from gan_jax.types import Batch, Rule


def apart(gan, state, batch, *, key):
    """Take D's step as its gradients and its move."""
    grads, model_state, metrics = discriminator_gradients(gan, state, batch, key=key)
    return move_discriminator(gan, state, grads, model_state), metrics


def g_apart(gan, state, batch, *, key):
    """Take G's step as its latents, its gradients and its move."""
    latent_key, step_key = jax.random.split(key)
    latents = sample_latents(latent_key, batch.images.shape[0], gan.latent_dim)
    grads, model_state, metrics = generator_gradients(gan, state, latents, batch, key=step_key)
    num = batch.images.shape[0]
    return move_generator(gan, state, grads, model_state, num_images=num), metrics


@one_in(5)
@given(seed=seeds(), real=images(POINTS))
@pytest.mark.parametrize(
    ("step", "by_hand"), [(discriminator_step, apart), (generator_step, g_apart)]
)
def test_a_players_step_is_its_gradients_and_its_move_bit_for_bit(step, by_hand, seed, real):
    arguments = busy_state(), Batch(real)
    one, other = (
        compiled(function, BUSY)(*arguments, key=jax.random.key(seed))
        for function in (step, by_hand)
    )
    assert bits(one) == bits(other)


def test_gradients_move_nothing_and_tell_their_norm():
    state, real = busy_state(), Batch(normal(0, *POINTS))
    before = bits(state)
    d_grads, d_model_state, d_metrics = compiled(discriminator_gradients, BUSY)(
        state, real, key=jax.random.key(0)
    )
    g_grads, g_model_state, g_metrics = compiled(generator_gradients, BUSY)(
        state, normal(1, *POINTS), real, key=jax.random.key(1)
    )
    assert bits(state) == before
    for player, grads, model_state in (
        (state.discriminator, d_grads, d_model_state),
        (state.generator, g_grads, g_model_state),
    ):
        assert jax.tree.structure(grads) == jax.tree.structure(player.params)
        assert jax.tree.structure(model_state) == jax.tree.structure(player.model_state)
        assert bits(model_state) != bits(player.model_state)
    assert (d_metrics.keys(), g_metrics.keys()) == (OF_D, OF_G)
    for metrics, name, grads in (
        (d_metrics, "d_grad_norm", d_grads),
        (g_metrics, "g_grad_norm", g_grads),
    ):
        squares = sum(np.sum(np.float64(leaf) ** 2) for leaf in jax.tree.leaves(grads))
        np.testing.assert_allclose(metrics[name], np.sqrt(squares), rtol=1e-5)


# Rules that the library does not know, in a few lines each


def both_gradients(gan, state, batch, *, key):
    """Differentiate both objectives at the same place."""
    latent_key, d_key, g_key = jax.random.split(key, 3)
    latents = sample_latents(latent_key, batch.images.shape[0], gan.latent_dim)
    of_d = discriminator_gradients(gan, state, batch, key=d_key)
    of_g = generator_gradients(gan, state, latents, batch, key=g_key)
    return of_d, of_g


def move_both(gan, state, of_d, of_g, num_images):
    """Move both players along gradients taken elsewhere."""
    state = move_discriminator(gan, state, *of_d[:2])
    state = move_generator(gan, state, *of_g[:2], num_images=num_images)
    return state._replace(step=state.step + 1), of_d[2] | of_g[2]


def simultaneous_step(gan, state, batch, *, key):
    """Move both players at once, each against the other as it was."""
    of_d, of_g = both_gradients(gan, state, batch, key=key)
    return move_both(gan, state, of_d, of_g, batch.images.shape[0])


def extragradient_step(gan, state, batch, *, key):
    """Look a step ahead, and move from here along the gradients found there (Korpelevich 1976)."""
    look_key, move_key = jax.random.split(key)
    ahead, _ = simultaneous_step(gan, state, batch, key=look_key)
    there = state._replace(
        generator=state.generator._replace(params=ahead.generator.params),
        discriminator=state.discriminator._replace(params=ahead.discriminator.params),
    )
    of_d, of_g = both_gradients(gan, there, batch, key=move_key)
    return move_both(gan, state, of_d, of_g, batch.images.shape[0])


def one_batch(gan):
    del gan
    return 1


simultaneous = Rule(simultaneous_step, one_batch)
extragradient = Rule(extragradient_step, one_batch)

PLAIN = game(
    painting_generator(np.zeros(POINTS)),
    linear_discriminator(),
    losses.wasserstein(),
    g_tx=optax.sgd(0.5),
    d_tx=optax.sgd(0.5),
)
ONCE = {
    name: quick_jit(partial(rule.step, PLAIN))
    for name, rule in (
        ("simultaneous", simultaneous), ("extragradient", extragradient), ("one_stage", one_stage)
    )
}  # fmt: skip


@given(real=images(POINTS), fakes=images(POINTS), w=images((2,)))
def test_a_simultaneous_rule_is_one_stage_by_two_passes(real, fakes, w):
    state = start(PLAIN, real, generator=fakes, discriminator=w)
    one, other = (
        ONCE[name](state, Batch(real), key=jax.random.key(0))
        for name in ("simultaneous", "one_stage")
    )
    del one[1]["d_accuracy"], one[1]["g_accuracy"]  # a logit may round to either side of 0
    del other[1]["d_accuracy"], other[1]["g_accuracy"]
    assert_close(one, other, atol=1e-5)


@given(real=images(POINTS), fakes=images(POINTS), w=images((2,)))
def test_an_extragradient_rule_moves_along_the_gradients_a_step_ahead(real, fakes, w):
    state = start(PLAIN, real, generator=fakes, discriminator=w)
    new, _ = ONCE["extragradient"](state, Batch(real), key=jax.random.key(0))
    ahead_fakes = fakes + 0.5 * w / BATCH
    ahead_w = w + 0.5 * (real - fakes).mean(axis=0)
    assert_close(new.discriminator.params, w + 0.5 * (real - ahead_fakes).mean(axis=0), atol=1e-5)
    assert_close(new.generator.params, fakes + 0.5 * ahead_w / BATCH, atol=1e-5)
    assert int(new.step) == 1


def dirac_game():
    """The game of Mescheder et al. 2018, section 2: one real point at 0, G's point theta, D's slope psi."""
    return game(
        painting_generator(np.ones((1, 1))),
        linear_discriminator(1.0),
        losses.wasserstein(),
        g_tx=optax.sgd(0.3),
        d_tx=optax.sgd(0.3),
    )._replace(latent_dim=1)


def distance_after(rule, num_steps):
    gan, data = dirac_game(), Batch(np.zeros((1, 1), np.float32))

    def play(data, key):
        state = init_state(gan, jax.random.key(0), data)
        sizes = {"batch_size": 1, "num_steps": num_steps}
        state, _ = take_steps(gan, rule, sample_real, state, data, key=key, **sizes)
        return state.generator.params, state.discriminator.params

    return float(np.hypot(*map(np.squeeze, quick_jit(play)(data, jax.random.key(1)))))


def test_on_the_dirac_game_simultaneous_moves_spiral_out_and_a_look_ahead_spirals_in():
    # |1 + ih|^2 = 1 + h^2 for each simultaneous step of size h, |1 - h^2 + ih|^2 = 1 - h^2 + h^4 with a look ahead
    start_distance, h = np.sqrt(2), 0.3
    out, inward = (distance_after(rule, 20) for rule in (simultaneous, extragradient))
    assert out == pytest.approx(start_distance * (1 + h**2) ** 10, rel=1e-4)
    assert inward == pytest.approx(start_distance * (1 - h**2 + h**4) ** 10, rel=1e-4)
