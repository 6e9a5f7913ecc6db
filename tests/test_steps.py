"""Laws of one step of each player, and of what is watched on the way."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import floats, images, seeds
from tiny import (
    BATCH,
    POINTS,
    BatchNormDiscriminator,
    BatchNormGenerator,
    Call,
    DropoutDiscriminator,
    assert_close,
    bits,
    drawn_variables,
    game,
    linear_discriminator,
    normal,
    one_in,
    painting_generator,
    paying,
    quick_jit,
    recording,
    scaling_generator,
    shapes_of,
    spied,
    stateless,
)
from under_way import BUSY, FIRST, STILL, W, busy_state, closed_form_game, compiled, state_with

from gan_jax import losses
from gan_jax.networks import from_linen
from gan_jax.steps import discriminator_step, generator_step, init_state
from gan_jax.types import Batch, NetworkState

# The initial state


@one_in(5)
@given(seed=seeds(), first=images(POINTS), second=images(POINTS))
def test_a_game_starts_at_step_zero_whatever_the_images_show(seed, first, second):
    init = compiled(init_state, BUSY)
    first, second = Batch(first), Batch(second)
    state = init(jax.random.key(seed), first)
    assert (state.step.dtype, state.step.shape, int(state.step)) == (jnp.int32, (), 0)
    assert bits(state.ema_params) == bits(state.generator.params)
    assert bits(init(jax.random.key(seed), second)) == bits(state)
    assert bits(init(jax.random.key(seed ^ 1), first)) != bits(state)


@one_in(5)
@given(batch=st.integers(1, 100))
def test_the_initial_state_does_not_depend_on_the_size_of_the_batch(batch):
    key = jax.random.key(0)
    sizes = (batch, 7)
    first, second = (
        shapes_of(
            jax.eval_shape(
                partial(init_state, BUSY), jax.random.clone(key), Batch(jnp.ones((n, 2)))
            )
        )
        for n in sizes
    )
    assert first == second


@pytest.mark.parametrize("transform", [lambda f: f, quick_jit], ids=["eager", "jitted"])
def test_no_two_leaves_of_a_fresh_state_share_memory(transform):
    # Shared memory cannot be donated twice.
    gan = game(scaling_generator(), linear_discriminator(1.0), ema_half_life_images=10.0)
    state = transform(partial(init_state, gan))(jax.random.key(0), FIRST)
    leaves = jax.tree.leaves((state.generator, state.discriminator, state.ema_params))
    addresses = [leaf.unsafe_buffer_pointer() for leaf in leaves]
    assert len(set(addresses)) == len(addresses)


# One player's step


@one_in(2)
@given(real=images(POINTS), seed=seeds())
def test_each_player_moves_alone(real, seed):
    old = busy_state()
    for step, mover, others in (
        (discriminator_step, "discriminator", ("generator", "ema_params", "step")),
        (generator_step, "generator", ("discriminator", "step")),
    ):
        new, _ = compiled(step, BUSY)(old, Batch(real), key=jax.random.key(seed))
        for part in others:
            assert bits(getattr(new, part)) == bits(getattr(old, part)), (mover, part)
        for part in NetworkState._fields:
            before, after = (getattr(getattr(state, mover), part) for state in (old, new))
            assert bits(after) != bits(before), (mover, part)
    assert bits(new.ema_params) != bits(old.ema_params)


@one_in(5)
@given(seed=seeds(), real=images(POINTS))
@pytest.mark.parametrize("step", [discriminator_step, generator_step])
def test_a_step_is_a_function_of_its_key(step, seed, real):
    run = compiled(step, BUSY)
    first, again, other = (
        bits(run(busy_state(), Batch(real), key=jax.random.key(s))) for s in (seed, seed, seed ^ 1)
    )
    assert first == again
    assert first != other


COUPLED = from_linen(BatchNormDiscriminator())
UNCOUPLED = from_linen(DropoutDiscriminator())
IN_TRAINING = Call(BATCH, train=True, keyed=True)
BOTH_AT_ONCE = Call(2 * BATCH, train=True, keyed=True)
LOOK = IN_TRAINING  # traced and never computed: does the pass draw anything, or may penalties share it?


PAIRED = losses.relativistic()


@pytest.mark.parametrize(
    ("step", "discriminator", "options", "d_calls"),
    [
        (discriminator_step, UNCOUPLED, {}, [BOTH_AT_ONCE]),
        (
            discriminator_step,
            UNCOUPLED,
            {"penalties": paying(r1_gamma=1.0)},
            [LOOK, BOTH_AT_ONCE, IN_TRAINING],
        ),
        (discriminator_step, COUPLED, {}, [IN_TRAINING] * 2),
        (generator_step, UNCOUPLED, {}, [IN_TRAINING]),
        (generator_step, COUPLED, {}, [IN_TRAINING]),
        (generator_step, UNCOUPLED, {"loss": PAIRED}, [IN_TRAINING] * 2),
    ],
)
def test_a_step_runs_each_network_in_training_mode_and_no_more_often_than_needed(
    step, discriminator, options, d_calls
):
    g_seen, d_seen = [], []
    generator = spied(from_linen(BatchNormGenerator()), g_seen)
    gan = game(generator, spied(discriminator, d_seen), **options)

    def run(key):
        state = init_state(gan, key, FIRST)
        return step(gan, state, FIRST, key=jax.random.key(1))

    jax.eval_shape(run, jax.random.key(0))
    assert (g_seen, d_seen) == ([IN_TRAINING], d_calls)


def batch_norm_logits(params, x):
    """BatchNormDiscriminator without dropout, in training mode; and the hidden values it normalises."""
    dense, norm, logit = (
        {name: np.float64(leaf) for name, leaf in params[layer].items()}
        for layer in ("dense", "norm", "logit")
    )
    hidden = np.float64(x) @ dense["kernel"] + dense["bias"]
    normalised = (hidden - hidden.mean(axis=0)) / np.sqrt(hidden.var(axis=0) + 1e-5)
    normalised = normalised * norm["scale"] + norm["bias"]
    activated = np.where(normalised > 0, normalised, 0.2 * normalised)
    return (activated @ logit["kernel"] + logit["bias"])[:, 0], hidden


NORMED = from_linen(BatchNormDiscriminator(rate=0.0))
NORMED_GAME = game(painting_generator(np.zeros(POINTS)), NORMED, d_tx=STILL)


@one_in(2)
@given(seed=st.integers(0, 1000), shift=floats(-2, 2))
def test_a_coupled_discriminator_normalises_real_and_generated_images_apart(seed, shift):
    real, fakes = normal(seed, *POINTS) + np.float32(shift), normal(seed + 1, *POINTS)
    params, model_state = drawn_variables(NORMED, real)
    state = state_with(NORMED_GAME, Batch(real), fakes, params, model_state)
    step = compiled(discriminator_step, NORMED_GAME)
    new, metrics = step(state, Batch(real), key=jax.random.key(0))
    (real_logits, real_hidden), (fake_logits, fake_hidden) = (
        batch_norm_logits(params, x) for x in (real, fakes)
    )
    np.testing.assert_allclose(metrics["real_logits"], real_logits.mean(), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(metrics["fake_logits"], fake_logits.mean(), rtol=1e-3, atol=1e-4)
    for name, statistic in (("mean", np.mean), ("var", np.var)):
        expected = np.float64(model_state["batch_stats"]["norm"][name])
        for hidden in (real_hidden, fake_hidden):
            expected = 0.9 * expected + 0.1 * statistic(hidden, axis=0)
        heard = new.discriminator.model_state["batch_stats"]["norm"][name]
        np.testing.assert_allclose(heard, expected, rtol=1e-3, atol=1e-4)


def test_latents_are_as_many_as_real_images_and_fresh_in_every_step():
    # theta * z, judged by w = 1, gives G the gradient -mean z; D's gradient by w is mean theta z - mean real.
    gan = game(
        scaling_generator(),
        linear_discriminator(1.0),
        losses.wasserstein(),
        g_tx=recording(STILL, 1),
        d_tx=recording(STILL, 1),
    )

    def seen(g_key, d_key, real):
        state = init_state(gan, jax.random.key(0), real)
        state, _ = generator_step(gan, state, real, key=g_key)
        state, _ = discriminator_step(gan, state, real, key=d_key)
        g_seen = -state.generator.opt_state.history[0]
        return g_seen, state.discriminator.opt_state.history[0]

    one = Batch(np.zeros((1, 2), np.float32))
    means = quick_jit(seen)(jax.random.key(1), jax.random.key(2), one)
    assert (np.abs(np.subtract(*means)) > 1e-3).all()
    many = Batch(np.zeros((10_000, 2), np.float32))
    assert np.abs(quick_jit(seen)(jax.random.key(1), jax.random.key(2), many)).max() < 0.06


# What is watched


WATCHED = closed_form_game(loss=losses.least_squares())


@given(real=images(POINTS), fakes=images(POINTS))
def test_the_metrics_of_d_are_those_of_its_logits(real, fakes):
    state = state_with(WATCHED, Batch(real), fakes, W)
    new, metrics = compiled(discriminator_step, WATCHED)(state, Batch(real), key=jax.random.key(0))
    real_logits, fake_logits = (np.sum(np.float64(x) * W, axis=1) for x in (real, fakes))
    right = np.mean(np.float32(real_logits) > 0) + np.mean(np.float32(fake_logits) < 0)
    gradient = (real_logits - 1) @ np.float64(real) + fake_logits @ np.float64(fakes)
    expected = {
        "d_loss": 0.5 * np.mean((real_logits - 1) ** 2) + 0.5 * np.mean(fake_logits**2),
        "d_accuracy": right / 2,
        "real_logits": real_logits.mean(),
        "fake_logits": fake_logits.mean(),
        "d_grad_norm": np.linalg.norm(gradient / BATCH),
    }
    # a logit within rounding of 0 may be counted on either side
    if min(np.abs(real_logits).min(), np.abs(fake_logits).min()) < 1e-6:
        del expected["d_accuracy"], metrics["d_accuracy"]
    assert_close(metrics, expected, rtol=1e-4, atol=1e-5)
    assert_close(new.discriminator.opt_state.history[0], gradient / BATCH, rtol=1e-4, atol=1e-5)


@given(real=images(POINTS), fakes=images(POINTS))
def test_the_metrics_of_g_are_those_of_its_own_logits(real, fakes):
    state = state_with(WATCHED, Batch(real), fakes, W)
    _, metrics = compiled(generator_step, WATCHED)(state, Batch(real), key=jax.random.key(0))
    logits = np.sum(np.float64(fakes) * W, axis=1)
    gradient = (logits - 1)[:, None] * W / BATCH
    expected = {
        "g_loss": 0.5 * np.mean((logits - 1) ** 2),
        "g_accuracy": np.mean(logits > 0),
        "g_grad_norm": np.linalg.norm(gradient),
    }
    if np.abs(logits).min() < 1e-6:
        del expected["g_accuracy"], metrics["g_accuracy"]
    assert_close(metrics, expected, rtol=1e-4, atol=1e-5)


def test_a_logit_of_zero_is_right_for_neither_player():
    zeros = np.zeros(POINTS, np.float32)
    batch = Batch(zeros)
    state = state_with(WATCHED, batch, zeros, W)
    _, d_metrics = compiled(discriminator_step, WATCHED)(state, batch, key=jax.random.key(0))
    _, g_metrics = compiled(generator_step, WATCHED)(state, batch, key=jax.random.key(0))
    assert (d_metrics["d_accuracy"], g_metrics["g_accuracy"]) == (0, 0)


# Why the non-saturating loss


SURE = stateless(lambda key, x: jnp.zeros(()), lambda b, x: b - 30.0 + 0.1 * jnp.sum(x, axis=1))


def generator_slope(loss):
    gan = game(painting_generator(np.ones(POINTS)), SURE, loss)
    state = compiled(init_state, gan)(jax.random.key(0), FIRST)
    _, metrics = compiled(generator_step, gan)(state, FIRST, key=jax.random.key(1))
    assert metrics["g_accuracy"] == 0
    return float(metrics["g_grad_norm"])


def test_a_sure_discriminator_stops_the_minimax_generator_and_not_the_non_saturating_one():
    steep, flat = (generator_slope(loss) for loss in (losses.non_saturating(), losses.minimax()))
    assert steep > 0.1 * np.sqrt(2 / BATCH) * 0.99
    assert steep > 1e3 * flat
