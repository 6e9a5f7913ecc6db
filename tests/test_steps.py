"""Laws of one step of each player, of scanning steps, and of what is kept between them."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import floats, images, seeds
from tiny import (
    BATCH,
    IMAGES,
    POINTS,
    BatchNormDiscriminator,
    BatchNormGenerator,
    Call,
    ConvDiscriminator,
    ConvGenerator,
    DropoutDiscriminator,
    SpectralDiscriminator,
    assert_close,
    bits,
    busy_game,
    drawn_variables,
    game,
    linear_discriminator,
    noisy,
    normal,
    one_in,
    painting_generator,
    quick_jit,
    recording,
    scaling_generator,
    shapes_of,
    spied,
    stateless,
)

from gan_jax import losses, rules
from gan_jax.models.mlp import MLPDiscriminator, MLPGenerator
from gan_jax.networks import from_linen
from gan_jax.sampling import sample_real
from gan_jax.steps import discriminator_step, generator_step, init_state, make_chunk, run_steps
from gan_jax.types import NetworkState

DATA = normal(0, 11, 2)
BUSY = busy_game()
STILL = optax.sgd(0.0)


@cache
def compiled(function, gan):
    """Bind a game and compile, once."""
    return quick_jit(partial(function, gan))


@cache
def busy_state():
    """Draw a state whose momenta and statistics have moved."""
    state = compiled(init_state, BUSY)(jax.random.key(0), DATA[:BATCH])
    state, _ = compiled(discriminator_step, BUSY)(state, DATA[:BATCH], key=jax.random.key(1))
    state, _ = compiled(generator_step, BUSY)(state, DATA[:BATCH], key=jax.random.key(2))
    return state


# The initial state


@one_in(5)
@given(seed=seeds(), first=images(POINTS), second=images(POINTS))
def test_a_game_starts_at_step_zero_whatever_the_images_show(seed, first, second):
    init = compiled(init_state, BUSY)
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
            jax.eval_shape(partial(init_state, BUSY), jax.random.clone(key), jnp.ones((n, 2)))
        )
        for n in sizes
    )
    assert first == second


@pytest.mark.parametrize("transform", [lambda f: f, quick_jit], ids=["eager", "jitted"])
def test_no_two_leaves_of_a_fresh_state_share_memory(transform):
    # Shared memory cannot be donated twice.
    gan = game(scaling_generator(), linear_discriminator(1.0), ema_half_life_images=10.0)
    state = transform(partial(init_state, gan))(jax.random.key(0), DATA[:BATCH])
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
        new, _ = compiled(step, BUSY)(old, real, key=jax.random.key(seed))
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
        bits(run(busy_state(), real, key=jax.random.key(s))) for s in (seed, seed, seed ^ 1)
    )
    assert first == again
    assert first != other


COUPLED = from_linen(BatchNormDiscriminator())
UNCOUPLED = from_linen(DropoutDiscriminator())
IN_TRAINING = Call(BATCH, train=True, keyed=True)
BOTH_AT_ONCE = Call(2 * BATCH, train=True, keyed=True)


PAIRED = losses.relativistic()


@pytest.mark.parametrize(
    ("step", "discriminator", "options", "d_calls"),
    [
        (discriminator_step, UNCOUPLED, {}, [BOTH_AT_ONCE]),
        (discriminator_step, UNCOUPLED, {"r1_gamma": 1.0}, [BOTH_AT_ONCE, IN_TRAINING]),
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
        state = init_state(gan, key, DATA[:BATCH])
        return step(gan, state, DATA[:BATCH], key=jax.random.key(1))

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


def state_with(gan, real, fakes, d_params=None, d_model_state=None):
    """Start a game of paintings with given fakes, and with given weights of D."""
    state = compiled(init_state, gan)(jax.random.key(0), real)
    discriminator = state.discriminator
    if d_params is not None:
        discriminator = discriminator._replace(params=d_params)
    if d_model_state is not None:
        discriminator = discriminator._replace(model_state=d_model_state)
    generator = state.generator._replace(params=fakes)
    return state._replace(generator=generator, discriminator=discriminator, ema_params=fakes)


@one_in(2)
@given(seed=st.integers(0, 1000), shift=floats(-2, 2))
def test_a_coupled_discriminator_normalises_real_and_generated_images_apart(seed, shift):
    real, fakes = normal(seed, *POINTS) + np.float32(shift), normal(seed + 1, *POINTS)
    params, model_state = drawn_variables(NORMED, real)
    state = state_with(NORMED_GAME, real, fakes, params, model_state)
    new, metrics = compiled(discriminator_step, NORMED_GAME)(state, real, key=jax.random.key(0))
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

    means = quick_jit(seen)(jax.random.key(1), jax.random.key(2), np.zeros((1, 2), np.float32))
    assert (np.abs(np.subtract(*means)) > 1e-3).all()
    many = np.zeros((10_000, 2), np.float32)
    assert np.abs(quick_jit(seen)(jax.random.key(1), jax.random.key(2), many)).max() < 0.06


# What is watched


def closed_form_game(**options):
    """D is w . x and its gradient is kept; G's paintings are known."""
    paintings = painting_generator(np.zeros(POINTS))
    return game(paintings, linear_discriminator(0.0), d_tx=recording(STILL, 1), **options)


WATCHED = closed_form_game(loss=losses.least_squares())
W = np.float32([0.6, -0.8])


@given(real=images(POINTS), fakes=images(POINTS))
def test_the_metrics_of_d_are_those_of_its_logits(real, fakes):
    state = state_with(WATCHED, real, fakes, W)
    new, metrics = compiled(discriminator_step, WATCHED)(state, real, key=jax.random.key(0))
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
    state = state_with(WATCHED, real, fakes, W)
    _, metrics = compiled(generator_step, WATCHED)(state, real, key=jax.random.key(0))
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
    state = state_with(WATCHED, zeros, zeros, W)
    _, d_metrics = compiled(discriminator_step, WATCHED)(state, zeros, key=jax.random.key(0))
    _, g_metrics = compiled(generator_step, WATCHED)(state, zeros, key=jax.random.key(0))
    assert (d_metrics["d_accuracy"], g_metrics["g_accuracy"]) == (0, 0)


# Penalties: |grad D| is |w| everywhere, and c |x| for the bowl c/2 |x|^2

WEIGHTS = ("r1_gamma", "r2_gamma", "gp_weight", "dragan_weight")


def bowl_discriminator():
    return stateless(lambda key, x: jnp.zeros(()), lambda c, x: 0.5 * c * jnp.sum(x**2, axis=1))


def penalised_step(weights, network, state, real):
    gan = closed_form_game(loss=losses.wasserstein())._replace(discriminator=network, **weights)
    new, metrics = discriminator_step(gan, state, real, key=jax.random.key(0))
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
    state = state_with(PLANE_GAME, real, fakes, 3 * W)
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
    state = state_with(BOWL_GAME, real, fakes, np.float32(2))
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
        state = state_with(BOWL_GAME, real, fakes, np.float32(2))
        penalty, *_ = ON_BOWL(NO_WEIGHTS | {"gp_weight": 1.0}, state, real)
        assert (2 - 1) ** 2 + 1e-3 < penalty < (6 - 1) ** 2 - 1e-3
    # Where all pixels are equal there is no noise.
    constant = np.ones(POINTS, np.float32)
    state = state_with(BOWL_GAME, constant, x, np.float32(2))
    penalty, *_ = ON_BOWL(NO_WEIGHTS | {"dragan_weight": 1.0}, state, constant)
    np.testing.assert_allclose(penalty, (2 * np.sqrt(2) - 1) ** 2, rtol=1e-5)


@pytest.mark.parametrize("name", WEIGHTS)
def test_a_weight_of_zero_is_a_penalty_and_none_is_not(name):
    def metrics(weight):
        gan = game(r1_gamma=None)._replace(**{name: weight})
        state = init_state(gan, jax.random.key(0), DATA[:BATCH])
        return discriminator_step(gan, state, DATA[:BATCH], key=jax.random.key(1))[1]

    assert "d_penalty" in jax.eval_shape(lambda: metrics(0.0))
    assert "d_penalty" in jax.eval_shape(metrics, 0.0)
    assert "d_penalty" not in jax.eval_shape(lambda: metrics(None))


# The moving average


def follow(half_life, num_steps, batch):
    """Start the average at 1, G's weights at 0, and stay there: what is left of the 1?"""
    gan = game(painting_generator(0.0), g_tx=STILL, ema_half_life_images=half_life)
    gan = gan._replace(discriminator=linear_discriminator(1.0))
    painting = jnp.zeros((batch, 2))
    player = NetworkState(painting, {}, STILL.init(painting))
    state = init_state(
        gan._replace(generator=painting_generator(painting)), jax.random.key(0), painting
    )
    state = state._replace(generator=player, ema_params=jnp.ones((batch, 2)))
    for number in range(num_steps):
        state, _ = generator_step(gan, state, painting, key=jax.random.key(number))
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
    state = compiled(init_state, gan)(jax.random.key(0), DATA[:BATCH])
    new, _ = compiled(generator_step, gan)(state, DATA[:BATCH], key=jax.random.key(0))
    assert bits(new.generator.params) != bits(state.generator.params)
    return new


def test_the_average_follows_the_new_weights():
    new = moved_by_g(1e-3)
    assert_close(new.ema_params, new.generator.params)


def test_without_a_half_life_the_average_is_the_weights():
    new = moved_by_g(None)
    assert bits(new.ema_params) == bits(new.generator.params)


# Why the non-saturating loss


SURE = stateless(lambda key, x: jnp.zeros(()), lambda b, x: b - 30.0 + 0.1 * jnp.sum(x, axis=1))


def generator_slope(loss):
    gan = game(painting_generator(np.ones(POINTS)), SURE, loss)
    state = compiled(init_state, gan)(jax.random.key(0), DATA[:BATCH])
    _, metrics = compiled(generator_step, gan)(state, DATA[:BATCH], key=jax.random.key(1))
    assert metrics["g_accuracy"] == 0
    return float(metrics["g_grad_norm"])


def test_a_sure_discriminator_stops_the_minimax_generator_and_not_the_non_saturating_one():
    steep, flat = (generator_slope(loss) for loss in (losses.non_saturating(), losses.minimax()))
    assert steep > 0.1 * np.sqrt(2 / BATCH) * 0.99
    assert steep > 1e3 * flat


# Scanning


def draw(key, step):
    del step
    return sample_real(key, jnp.asarray(DATA), BATCH)


def scanned(gan, num_steps):
    rule = partial(rules.alternating, gan)

    def run(state, key):
        return run_steps(rule, state, draw, num_steps, key=key)

    return run


def test_scanning_is_looping_bit_for_bit():
    # To the bit because nothing is optimised here; optimised programs may round differently.
    step = quick_jit(lambda s, k, x: rules.alternating(BUSY, s, x, key=k))
    looped, metrics = busy_state(), []
    for number in range(5):
        key = jax.random.fold_in(jax.random.key(7), number)
        data_key, step_key = jax.random.split(key)
        looped, one = step(looped, step_key, draw(data_key, number))
        metrics.append(one)
    state, stacked = quick_jit(scanned(BUSY, 5))(busy_state(), jax.random.key(7))
    assert int(state.step) == 5
    assert bits(state) == bits(looped)
    assert bits(stacked) == bits(jax.tree.map(lambda *m: np.stack(m), *metrics))


def test_a_run_may_be_cut_anywhere():
    gan = game(scaling_generator(), linear_discriminator(1.0), ema_half_life_images=9.0)
    state = quick_jit(partial(init_state, gan))(jax.random.key(0), DATA[:BATCH])
    whole, metrics = quick_jit(scanned(gan, 6))(state, jax.random.key(7))
    state, first = quick_jit(scanned(gan, 2))(state, jax.random.key(7))
    state, second = quick_jit(scanned(gan, 4))(state, jax.random.key(7))
    assert bits(state) == bits(whole)
    joined = jax.tree.map(lambda *parts: np.concatenate(parts), first, second)
    assert bits(joined) == bits(metrics)
    assert {leaf.shape for leaf in jax.tree.leaves(metrics)} == {(6,)}


REALS_SEEN = game(
    painting_generator(np.zeros(POINTS)),
    linear_discriminator(),
    losses.wasserstein(),
    d_tx=recording(STILL, 4),
)


def reals_seen(step, key, sample_batch, num_steps):
    """The mean of the real images of each step."""
    state = init_state(REALS_SEEN, jax.random.key(0), DATA[:BATCH])._replace(step=step)
    rule = partial(rules.alternating, REALS_SEEN)
    state, _ = run_steps(rule, state, sample_batch, num_steps, key=key)
    return -state.discriminator.opt_state.history[:num_steps]


def test_a_steps_data_follow_from_its_number_alone():
    seen = quick_jit(partial(reals_seen, sample_batch=draw, num_steps=4))
    start = np.asarray(seen(jnp.int32(0), jax.random.key(3)))
    later = np.asarray(seen(jnp.int32(2), jax.random.key(3)))
    np.testing.assert_array_equal(start[2:], later[:2])
    assert len(np.unique(np.concatenate([start, later]), axis=0)) == 6
    assert (np.asarray(seen(jnp.int32(0), jax.random.key(4))) != start).all()


def test_the_sampler_is_told_the_number_of_the_step():
    def number(key, step):
        del key
        return jnp.full(POINTS, step, jnp.float32)

    seen = quick_jit(partial(reals_seen, sample_batch=number, num_steps=3))
    np.testing.assert_array_equal(seen(jnp.int32(5), jax.random.key(0))[:, 0], [5, 6, 7])


# Keys


def test_a_key_used_twice_is_caught():
    def careless(state, images, *, key):
        noisy = images + jax.random.normal(key, images.shape)
        return rules.alternating(BUSY, state, noisy, key=key)

    def run(state, key):
        return run_steps(careless, state, draw, 2, key=key)

    with pytest.raises(jax.errors.KeyReuseError):
        quick_jit(run)(busy_state(), jax.random.key(0))


@pytest.mark.parametrize(
    ("rule", "loss", "couples_batch", "options"),
    [
        (rules.alternating, losses.hinge(), False, {"n_dis": 2, "gp_weight": 1.0}),
        (rules.alternating, losses.hinge(), False, {"dragan_weight": 1.0}),
        (rules.alternating, PAIRED, False, {"n_dis": 2, "r1_gamma": 1.0}),
        (rules.alternating, PAIRED, True, {}),
        (rules.article, losses.hinge(), False, {}),
        (rules.one_stage, PAIRED, False, {"gp_weight": 1.0}),
        (rules.alternating, PAIRED, False, {"r1_gamma": 1.0, "r2_gamma": 1.0}),
        (rules.alternating, PAIRED, False, {"gp_weight": 1.0, "dragan_weight": 1.0}),
    ],
)
def test_no_step_uses_a_key_twice(rule, loss, couples_batch, options):
    # conftest makes JAX watch; between them the cases take every way in which the library splits keys.
    discriminator = noisy(linear_discriminator())._replace(couples_batch=couples_batch)
    gan = game(noisy(scaling_generator()), discriminator, loss, **options)
    real = jnp.zeros((rules.real_batches_per_step(rule, gan) * BATCH, 2))

    def run(key):
        state = init_state(gan, jax.random.key(1), real)
        return run_steps(partial(rule, gan), state, lambda key, step: real, 2, key=key)

    jax.eval_shape(run, jax.random.key(0))


# Structure

CLIPPED = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(1e-3))
OPTIMIZERS = {
    "adam": optax.adam(1e-3),
    "sgd": optax.sgd(1e-3, momentum=0.9),
    "rmsprop": optax.rmsprop(1e-3),
    "adam with a schedule": optax.adam(optax.cosine_decay_schedule(1e-3, 100)),
    "clipped adam": CLIPPED,
    "adam with weight decay": optax.adamw(1e-3),
}
PLAYERS = {
    "points": (
        [MLPGenerator((2,), (3,)), MLPGenerator((2,), (3,), batch_norm=True), BatchNormGenerator()],
        [
            MLPDiscriminator((3,)),
            DropoutDiscriminator(),
            SpectralDiscriminator(),
            BatchNormDiscriminator(),
        ],
        POINTS,
    ),
    "images": ([ConvGenerator()], [ConvDiscriminator(), MLPDiscriminator((3,))], IMAGES),
}
LOSSES = [
    losses.non_saturating(0.9, 0.1),
    losses.minimax(),
    losses.least_squares(),
    losses.hinge(),
    losses.wasserstein(),
    losses.relativistic(),
]
OF_D = {"d_loss", "d_accuracy", "real_logits", "fake_logits", "d_grad_norm"}
OF_G = {"g_loss", "g_accuracy", "g_grad_norm"}


@st.composite
def rules_and_games(draw):
    """Any rule with a game that it accepts, and the shape of a batch."""
    generators, discriminators, shape = PLAYERS[draw(st.sampled_from(list(PLAYERS)))]
    rule = draw(st.sampled_from([rules.alternating, rules.article, rules.one_stage]))
    choices = [x for x in LOSSES if not (x.needs_real and rule is rules.article)]
    judges = [
        m
        for m in discriminators
        if rule is not rules.one_stage or not getattr(m, "couples_batch", False)
    ]
    weights = st.none() | floats(0, 10)
    gan = game(
        from_linen(draw(st.sampled_from(generators))),
        from_linen(draw(st.sampled_from(judges))),
        draw(st.sampled_from(choices)),
        g_tx=OPTIMIZERS[draw(st.sampled_from(list(OPTIMIZERS)))],
        d_tx=OPTIMIZERS[draw(st.sampled_from(list(OPTIMIZERS)))],
        ema_half_life_images=draw(st.none() | floats(1, 1e5)),
        n_dis=draw(st.integers(1, 3)) if rule is rules.alternating else 1,
    )
    if rule is not rules.article:
        gan = gan._replace(**{name: draw(weights) for name in WEIGHTS})
    batch = draw(st.integers(1, 9))
    return rule, gan, (rules.real_batches_per_step(rule, gan) * batch, *shape[1:])


@one_in(2)
@given(drawn=rules_and_games(), num_steps=st.integers(1, 5))
def test_a_run_keeps_the_structure_shapes_and_types_of_its_state(drawn, num_steps):
    rule, gan, shape = drawn

    def run(key):
        real = jnp.zeros(shape)
        state = init_state(gan, key, real)
        step = partial(rule, gan)
        return state, run_steps(step, state, lambda *_: real, num_steps, key=jax.random.key(1))

    old, (new, metrics) = jax.eval_shape(run, jax.random.key(0))
    assert shapes_of(new) == shapes_of(old)
    penalised = any(getattr(gan, name) is not None for name in WEIGHTS)
    assert metrics.keys() == OF_D | OF_G | ({"d_penalty"} if penalised else set())
    assert {(m.shape, m.dtype) for m in metrics.values()} == {((num_steps,), jnp.dtype("float32"))}


# Compiled chunks


def chunk_game(half_life):
    return game(scaling_generator(), linear_discriminator(1.0), ema_half_life_images=half_life)


def chunk_start():
    init = compiled(init_state, chunk_game(None))
    return init(jax.random.key(0), DATA[:BATCH]), jax.device_put(DATA)


@cache
def chunk_of_three(half_life):
    rule = partial(rules.alternating, chunk_game(half_life))
    return make_chunk(rule, partial(sample_real, num=BATCH), 3)


@pytest.mark.parametrize("half_life", [None, 10.0])
def test_a_chunk_compiles_once_transfers_nothing_and_takes_over_the_memory_of_the_state(half_life):
    chunk, (first, data) = chunk_of_three(half_life), chunk_start()
    keys = [jax.random.key(number) for number in range(3)]
    second, _ = chunk(first, data, keys[0])
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(first))
    with jax.transfer_guard("disallow"):
        third, metrics = chunk(second, data, keys[1])
        last, _ = chunk(third, data, keys[2])
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves((second, third)))
    assert not data.is_deleted()
    assert chunk._cache_size() == 1
    assert int(last.step) == 9
    assert {m.shape for m in metrics.values()} == {(3,)}


def test_the_guard_would_have_seen_a_transfer():
    state, _ = chunk_start()
    key = jax.random.key(0)
    with (
        jax.transfer_guard("disallow"),
        pytest.raises(jax.errors.JaxRuntimeError, match="Disallow"),
    ):
        chunk_of_three(None)(state, DATA, key)


def test_a_chunk_is_a_scan():
    state, data = chunk_start()
    expected = quick_jit(scanned(chunk_game(None), 3))(state, jax.random.key(5))
    assert_close(chunk_of_three(None)(state, data, jax.random.key(5)), expected, rtol=1e-4)
