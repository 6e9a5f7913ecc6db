"""Laws of what is drawn: latents, real batches, generated images and walks between latents."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from strategies import arrays, floats, seeds
from tiny import (
    LATENT_DIM,
    BatchNormGenerator,
    Call,
    assert_close,
    game,
    linear_discriminator_by_class,
    normal,
    painting_generator_by_class,
    quick_jit,
    scaling_generator,
    spied,
)

from gan_jax.networks import from_linen
from gan_jax.sampling import (
    as_signed,
    interpolate,
    sample,
    sample_labels,
    sample_latents,
    sample_real,
    sample_triples,
    to_pixels,
    to_signed,
)
from gan_jax.steps import init_state
from gan_jax.types import Batch

pytestmark = pytest.mark.usefixtures("keys_used_once")

# Pixels


def test_pixels_come_back_unchanged_from_the_signed_range():
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    signed = to_signed(jnp.asarray(pixels))
    assert signed.dtype == jnp.float32
    assert (float(signed.min()), float(signed.max())) == (-1.0, 1.0)
    np.testing.assert_allclose(np.diff(signed.ravel()), 2 / 255, rtol=1e-4)
    back = to_pixels(signed)
    assert back.dtype == jnp.uint8
    np.testing.assert_array_equal(back, pixels)


TO_PIXELS = quick_jit(to_pixels)


@given(images=arrays((2, 3, 3, 1), -3.0, 3.0))
def test_images_become_the_nearest_pixels_and_outliers_the_ends(images):
    exact = (np.clip(np.float64(images), -1, 1) + 1) * 127.5
    pixels = np.asarray(TO_PIXELS(images))
    assert pixels.dtype == np.uint8
    assert np.abs(pixels - exact).max() <= 0.5 + 1e-4


# Latents


@given(seed=seeds())
def test_latents_are_standard_normal(seed):
    num, dim = 4096, 3
    z = np.asarray(LATENTS(jax.random.key(seed)))
    assert (z.shape, z.dtype) == ((num, dim), np.float32)
    assert np.abs(z.mean(axis=0)).max() < 6 / np.sqrt(num)
    assert np.abs(np.cov(z.T) - np.eye(dim)).max() < 6 * np.sqrt(2 / num)
    assert np.abs(np.mean(z**4, axis=0) - 3).max() < 6 * np.sqrt(96 / num)


LATENTS = quick_jit(partial(sample_latents, num=4096, dim=3))

# Real batches

SAMPLE_REAL = quick_jit(lambda key, images: sample_real(key, Batch(images), 64).images)
PICTURES = np.random.default_rng(0).integers(0, 256, (9, 4, 4, 1)).astype(np.uint8)
SOME_POINTS = normal(0, 9, 2)


def members(batch, data):
    """How often each member of the data is in the batch."""
    equal = (
        (np.asarray(batch)[:, None] == data[None]).reshape(len(batch), len(data), -1).all(axis=-1)
    )
    assert (equal.sum(axis=1) == 1).all(), "not a member"
    return equal.sum(axis=0)


@given(seed=seeds())
def test_real_images_are_members_of_the_data_in_the_signed_range(seed):
    batch = SAMPLE_REAL(jax.random.key(seed), PICTURES)
    assert (batch.shape, batch.dtype) == ((64, 4, 4, 1), jnp.float32)
    signed = ((PICTURES.astype(np.float64) - 127.5) / 127.5).astype(np.float32)
    nearest = np.abs(np.asarray(batch)[:, None] - signed[None]).max(axis=(2, 3, 4)).min(axis=1)
    assert nearest.max() < 1e-6


@given(seed=seeds())
def test_points_are_members_of_the_data_and_stay_as_they_are(seed):
    batch = SAMPLE_REAL(jax.random.key(seed), SOME_POINTS)
    assert (batch.shape, batch.dtype) == ((64, 2), jnp.float32)
    counts = members(batch, SOME_POINTS)
    assert counts.max() > 1  # with replacement


@pytest.mark.parametrize("kind", [np.int32, np.int8, np.uint16, bool])
def test_whole_numbers_whose_range_nobody_knows_are_refused(kind):
    with pytest.raises(ValueError, match=f"uint8 pixels or floats, got {np.dtype(kind).name}"):
        jax.eval_shape(partial(sample_real, num=2), jax.random.key(0), Batch(PICTURES.astype(kind)))


LABELLED = {
    "pictures": Batch(PICTURES, np.arange(9, dtype=np.int32)),
    "points": Batch(SOME_POINTS, np.arange(9, dtype=np.int32)),
}


@pytest.mark.parametrize("name", LABELLED)
@given(seed=seeds())
def test_a_real_sample_keeps_its_own_label_and_labels_change_no_draw(name, seed):
    data = LABELLED[name]
    batch = DRAW_REAL(jax.random.key(seed), data)
    assert (batch.labels.shape, batch.labels.dtype) == ((64,), jnp.int32)
    of_its_label = data.images[np.asarray(batch.labels)]
    if name == "pictures":
        of_its_label = to_signed(jnp.asarray(of_its_label))
    np.testing.assert_allclose(batch.images, of_its_label, atol=1e-6)
    plain = DRAW_REAL(jax.random.key(seed), Batch(data.images))
    assert plain.labels is None
    np.testing.assert_array_equal(plain.images, batch.images)


DRAW_REAL = quick_jit(partial(sample_real, num=64))
SAMPLE_TRIPLES = quick_jit(lambda key, images: sample_triples(key, Batch(images), 64).images)


@given(seed=seeds())
def test_channels_of_triples_are_members_of_the_data_in_the_signed_range(seed):
    triples = SAMPLE_TRIPLES(jax.random.key(seed), PICTURES)
    assert (triples.shape, triples.dtype) == ((64, 4, 4, 3), jnp.float32)
    signed = np.asarray(to_signed(jnp.asarray(PICTURES)))
    for channel in np.moveaxis(np.asarray(triples), 3, 0):
        members(channel[..., None], signed)


def test_channels_of_triples_are_independent_and_every_member_is_as_likely():
    num, data = 40_000, np.arange(4, dtype=np.uint8).reshape(4, 1, 1, 1)
    drawn = quick_jit(partial(sample_triples, num=num))(jax.random.key(0), Batch(data))
    triples = to_pixels(drawn.images)
    codes = np.int64(triples.reshape(num, 3)) @ [16, 4, 1]
    counts = np.bincount(codes, minlength=64)
    assert np.abs(counts - num / 64).max() < 5 * np.sqrt(num / 64)


def test_triples_of_labelled_data_are_without_labels():
    # three digits have no one class
    assert sample_triples(jax.random.key(0), LABELLED["pictures"], 2).labels is None


def test_triples_are_a_function_of_their_key():
    first, again, other = (
        np.asarray(SAMPLE_TRIPLES(jax.random.key(seed), PICTURES)) for seed in (0, 0, 1)
    )
    assert (first == again).all() and (first != other).any()


@pytest.mark.parametrize(
    "data", [SOME_POINTS, np.zeros((9, 4, 4, 3), np.uint8), np.zeros((9, 4, 4, 1), np.float32)]
)
def test_triples_of_what_is_not_grey_are_refused(data):
    with pytest.raises(ValueError, match=r"uint8 \[N, H, W, 1\], got"):
        sample_triples(jax.random.key(0), Batch(data), 2)


def test_every_member_of_the_data_is_as_likely_as_any_other():
    keys = jax.random.split(jax.random.key(0), 200)
    draw = jax.vmap(partial(sample_real, num=64), (0, None))
    batches = quick_jit(draw)(keys, Batch(SOME_POINTS))
    counts = members(np.asarray(batches.images).reshape(-1, 2), SOME_POINTS)
    expected = 200 * 64 / 9
    assert np.abs(counts - expected).max() < 5 * np.sqrt(expected)


@given(counts=st.lists(st.integers(0, 9), min_size=1, max_size=5).filter(any), seed=seeds())
def test_classes_are_drawn_with_their_frequencies_from_the_seed_alone(counts, seed):
    labels = np.asarray(sample_labels(seed % 2**32, counts, 3000))
    assert labels.dtype == np.int32
    np.testing.assert_array_equal(labels, sample_labels(seed % 2**32, counts, 3000))
    expected = 3000 * np.array(counts) / sum(counts)
    found = np.bincount(labels, minlength=len(counts))
    assert (np.abs(found - expected) <= 5 * np.sqrt(expected)).all()


def test_no_class_at_all_cannot_be_drawn():
    with pytest.raises(ValueError, match=r"some class must occur, got counts \[0, 0\]"):
        sample_labels(0, [0, 0], 2)


# Generated images


def test_a_switch_selects_the_average_or_the_weights_themselves():
    gan = game(scaling_generator(), g_tx=optax.sgd(0.0))
    state = quick_jit(partial(init_state, gan))(jax.random.key(0), Batch(jnp.zeros((1, 2))))
    weights, average = np.float32([2.0, 3.0]), np.float32([5.0, 7.0])
    generator = state.generator._replace(params=weights)
    state = state._replace(generator=generator, ema_params=average)
    z = normal(0, 6, LATENT_DIM)
    np.testing.assert_array_equal(sample(gan, state, jnp.asarray(z)), z * average)
    np.testing.assert_array_equal(sample(gan, state, jnp.asarray(z), ema=True), z * average)
    np.testing.assert_array_equal(sample(gan, state, jnp.asarray(z), ema=False), z * weights)


def test_images_are_generated_in_inference_mode_one_by_one():
    calls = []
    gan = game(spied(from_linen(BatchNormGenerator()), calls))

    def both(key, z):
        state = init_state(gan, key, Batch(jnp.zeros((4, 2))))
        return sample(gan, state, z), sample(gan, state, z[:1])

    together, alone = quick_jit(both)(jax.random.key(0), normal(0, 5, LATENT_DIM))
    np.testing.assert_allclose(together[:1], alone, rtol=1e-5, atol=1e-6)
    assert calls == [Call(5, train=False, keyed=False), Call(1, train=False, keyed=False)]


@given(labels=npst.arrays(np.int32, 4, elements=st.integers(0, 2)))
def test_images_are_generated_of_the_classes_that_are_asked_for(labels):
    paintings = np.float32([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    gan = game(painting_generator_by_class(paintings), linear_discriminator_by_class(paintings))
    state = init_state(gan, jax.random.key(0), Batch(jnp.zeros((4, 2)), jnp.zeros(4, jnp.int32)))
    state = state._replace(ema_params=-state.ema_params)
    z = jnp.zeros((4, LATENT_DIM))
    np.testing.assert_array_equal(sample(gan, state, z, labels), -paintings[labels])
    np.testing.assert_array_equal(sample(gan, state, z, labels, ema=False), paintings[labels])


@pytest.mark.parametrize("shape", [(3, LATENT_DIM + 1), (3, 1), (LATENT_DIM,), (2, 3, LATENT_DIM)])
def test_latents_of_a_wrong_shape_are_refused(shape):
    with pytest.raises(ValueError, match=rf"shape \[N, {LATENT_DIM}\], got") as raised:
        sample(game(), None, jnp.zeros(shape))
    assert str(shape) in str(raised.value)


# Walks

WALK = quick_jit(partial(interpolate, num=7))


def lengths(points):
    return np.linalg.norm(np.float64(points), axis=-1)


def angles(a, b):
    cosine = np.sum(np.float64(a) * b, axis=-1) / lengths(a) / lengths(b)
    return np.arccos(np.clip(cosine, -1, 1))


@st.composite
def ends(draw, unit=False):
    """Two rows of latents, not zero, and neither parallel nor opposite."""
    start, end = (draw(arrays((3, 4), -3.0, 3.0)) for _ in range(2))
    assume(min(lengths(start).min(), lengths(end).min()) > 0.1)
    assume(np.abs(np.cos(angles(start, end))).max() < 0.99)
    if unit:
        start, end = (np.float32(x / lengths(x)[:, None]) for x in (start, end))
    return start, end


@given(pair=ends())
def test_a_walk_starts_and_ends_at_its_arguments(pair):
    walk = np.asarray(WALK(*pair))
    assert walk.shape == (3, 7, 4)
    assert_close(walk[:, 0], pair[0], atol=1e-4)
    assert_close(walk[:, -1], pair[1], atol=1e-4)


@given(pair=ends(unit=True), radius=floats(0.5, 5.0))
def test_a_walk_between_points_of_a_sphere_stays_on_it_at_a_steady_pace(pair, radius):
    walk = np.asarray(WALK(*(np.float32(radius) * x for x in pair)))
    np.testing.assert_allclose(lengths(walk), radius, rtol=1e-3)
    paces = angles(walk[:, 1:], walk[:, :-1])
    np.testing.assert_allclose(paces, paces[:, :1].repeat(6, axis=1), atol=2e-3)
    np.testing.assert_allclose(paces.sum(axis=1), angles(*pair), atol=2e-3)


@given(pair=ends())
def test_lengths_along_a_walk_stay_between_those_of_its_ends(pair):
    walk, low, high = lengths(WALK(*pair)), *np.sort([lengths(x) for x in pair], axis=0)
    assert (walk >= low[:, None] * (1 - 1e-3)).all()
    assert (walk <= high[:, None] * (1 + 1e-3)).all()


@given(pair=ends())
def test_a_walk_back_is_the_walk_reversed(pair):
    assert_close(WALK(*pair[::-1]), np.asarray(WALK(*pair))[:, ::-1], rtol=1e-3, atol=1e-3)


@given(point=arrays((3, 4), 0.1, 3.0))
def test_a_walk_to_where_one_stands_stays_there(point):
    walk = np.asarray(WALK(point, point))
    np.testing.assert_allclose(walk, point[:, None].repeat(7, axis=1), rtol=1e-3)


def test_players_see_pixels_as_signed_floats_and_floats_as_they_are():
    np.testing.assert_array_equal(as_signed(jnp.array([0, 255], jnp.uint8)), [-1, 1])
    np.testing.assert_array_equal(as_signed(jnp.array([-1.0, 0.5])), [-1, 0.5])
