"""Laws of scanning steps: cut anywhere, no key used twice, the structure kept, compiled once."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import floats
from tiny import (
    BATCH,
    IMAGES,
    POINTS,
    BatchNormDiscriminator,
    BatchNormGenerator,
    ConvDiscriminator,
    ConvGenerator,
    DropoutDiscriminator,
    SpectralDiscriminator,
    assert_close,
    bits,
    game,
    linear_discriminator,
    noisy,
    one_in,
    painting_generator,
    paying,
    quick_jit,
    recording,
    scaling_generator,
    shapes_of,
)
from under_way import (
    BUSY,
    DATA,
    FIRST,
    OF_D,
    OF_G,
    STILL,
    busy_state,
    compiled,
)

from gan_jax import losses, penalties, rules
from gan_jax.models.mlp import MLPDiscriminator, MLPGenerator
from gan_jax.networks import from_linen
from gan_jax.sampling import sample_real
from gan_jax.steps import init_state, make_chunk, run_steps
from gan_jax.types import Batch

# Scanning


def draw(key, step):
    del step
    return sample_real(key, jax.tree.map(jnp.asarray, DATA), BATCH)


def scanned(gan, num_steps):
    step = partial(rules.alternating.step, gan)

    def run(state, key):
        return run_steps(step, state, draw, num_steps, key=key)

    return run


def test_scanning_is_looping_bit_for_bit():
    # To the bit because nothing is optimised here; optimised programs may round differently.
    step = quick_jit(lambda s, k, x: rules.alternating.step(BUSY, s, x, key=k))
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
    state = quick_jit(partial(init_state, gan))(jax.random.key(0), FIRST)
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
    state = init_state(REALS_SEEN, jax.random.key(0), FIRST)._replace(step=step)
    rule_step = partial(rules.alternating.step, REALS_SEEN)
    state, _ = run_steps(rule_step, state, sample_batch, num_steps, key=key)
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
        return Batch(jnp.full(POINTS, step, jnp.float32))

    seen = quick_jit(partial(reals_seen, sample_batch=number, num_steps=3))
    np.testing.assert_array_equal(seen(jnp.int32(5), jax.random.key(0))[:, 0], [5, 6, 7])


# Keys

PAIRED = losses.relativistic()


def paid(**weights):
    return {"penalties": paying(**weights)}


def jittered(key, images):
    return images + jax.random.normal(key, images.shape)


@pytest.mark.usefixtures("keys_used_once")
def test_a_key_used_twice_is_caught():
    def careless(state, batch, *, key):
        noisy = batch.images + jax.random.normal(key, batch.images.shape)
        return rules.alternating.step(BUSY, state, Batch(noisy), key=key)

    def run(state, key):
        return run_steps(careless, state, draw, 2, key=key)

    with pytest.raises(jax.errors.KeyReuseError):
        quick_jit(run)(busy_state(), jax.random.key(0))


@pytest.mark.parametrize(
    ("rule", "loss", "couples_batch", "options"),
    [
        (rules.alternating, losses.hinge(), False, {"n_dis": 2} | paid(gp_weight=1.0)),
        (rules.alternating, losses.hinge(), False, paid(dragan_weight=1.0)),
        (rules.alternating, PAIRED, False, {"n_dis": 2} | paid(r1_gamma=1.0)),
        (rules.alternating, PAIRED, True, {}),
        (rules.article, losses.hinge(), False, {}),
        (rules.one_stage, PAIRED, False, paid(gp_weight=1.0)),
        (rules.alternating, PAIRED, False, paid(r1_gamma=1.0, r2_gamma=1.0)),
        (rules.alternating, PAIRED, False, paid(gp_weight=1.0, dragan_weight=1.0)),
        (rules.alternating, PAIRED, True, {"n_dis": 2} | paid(gp_weight=1.0)),
        (rules.one_stage, PAIRED, False, paid(gp_weight=1.0, dragan_weight=1.0)),
    ],
)
@pytest.mark.parametrize("mapped", [False, True], ids=["alone", "mapped"])
@pytest.mark.parametrize("augment", [None, jittered], ids=["plain", "augmented"])
@pytest.mark.usefixtures("keys_used_once")
def test_no_step_uses_a_key_twice(rule, loss, couples_batch, options, augment, mapped):
    # JAX watches; between them the cases take every way in which the library splits keys.
    discriminator = noisy(linear_discriminator())._replace(couples_batch=couples_batch)
    gan = game(noisy(scaling_generator()), discriminator, loss, augment=augment, **options)
    real = Batch(jnp.zeros((rule.batches(gan) * BATCH, 2)))

    def run(key):
        state = init_state(gan, jax.random.key(1), real)
        return run_steps(partial(rule.step, gan), state, lambda key, step: real, 2, key=key)

    if mapped:
        jax.eval_shape(jax.vmap(run), jax.random.split(jax.random.key(0), 3))
    else:
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


@st.composite
def rules_and_games(draw):
    """Any rule with a game that it accepts, and the shape of a batch."""
    generators, discriminators, shape = PLAYERS[draw(st.sampled_from(list(PLAYERS)))]
    rule = draw(st.sampled_from(list(rules.RULES.values())))
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
        drawn = {name: draw(weights) for name in penalties.PENALTIES}
        gan = gan._replace(penalties=paying(**drawn))
    batch = draw(st.integers(1, 9))
    return rule, rule.equip(gan), (rule.batches(gan) * batch, *shape[1:])


@one_in(2)
@given(drawn=rules_and_games(), num_steps=st.integers(1, 5))
def test_a_run_keeps_the_structure_shapes_and_types_of_its_state(drawn, num_steps):
    rule, gan, shape = drawn

    def run(key):
        real = Batch(jnp.zeros(shape))
        state = init_state(gan, key, real)
        step = partial(rule.step, gan)
        return state, run_steps(step, state, lambda *_: real, num_steps, key=jax.random.key(1))

    old, (new, metrics) = jax.eval_shape(run, jax.random.key(0))
    assert shapes_of(new) == shapes_of(old)
    assert metrics.keys() == OF_D | OF_G | ({"d_penalty"} if gan.penalties else set())
    assert {(m.shape, m.dtype) for m in metrics.values()} == {((num_steps,), jnp.dtype("float32"))}


# Compiled chunks


def chunk_game(half_life):
    return game(scaling_generator(), linear_discriminator(1.0), ema_half_life_images=half_life)


def chunk_start():
    init = compiled(init_state, chunk_game(None))
    return init(jax.random.key(0), FIRST), jax.device_put(DATA)


@cache
def chunk_of_three(half_life):
    gan, sizes = chunk_game(half_life), {"batch_size": BATCH, "num_steps": 3}
    return make_chunk(gan, rules.alternating, sample_real, **sizes)


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
    assert not data.images.is_deleted()
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


@pytest.mark.parametrize(("n_dis", "needs_real"), [(1, False), (3, False), (2, True)])
def test_a_chunk_draws_as_many_samples_as_its_rule_takes(n_dis, needs_real):
    drawn = []

    def spy(key, data, num):
        drawn.append(num)
        return sample_real(key, data, num)

    gan = game(loss=PAIRED if needs_real else None, n_dis=n_dis)
    state = jax.eval_shape(partial(init_state, gan), jax.random.key(0), FIRST)
    chunk = make_chunk(gan, rules.alternating, spy, batch_size=5, num_steps=2)
    jax.eval_shape(chunk, state, DATA, jax.random.key(0))
    assert drawn == [5 * (n_dis + needs_real)]
