"""Laws of the gradient penalties, on discriminators whose gradient is known.

Three of them: a plane w . x + b has gradient w, a bowl c/2 |x|^2 has c x, and waves sum a sin(x) have
a cos(x). Products are elementwise, so no accelerator rounds them as it does matrix products.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import (
    BATCH,
    COLOUR,
    GREY,
    IMAGE_SHAPES,
    POINTS,
    arrays,
    float_dtypes,
    floats,
    image_shapes,
    images,
    keys,
    seeds,
)

from gan_jax import penalties
from gan_jax.types import Penalty

MANY = 4096  # samples, where the law is one of chance


def per_sample_sum(x):
    return x.sum(axis=tuple(range(1, x.ndim)))


def plane(params):
    """A plane, w . x + b: the gradient is w everywhere."""
    w, b = params
    return lambda x: per_sample_sum(x * w[None]) + b


def bowl(curvature):
    """A bowl, c/2 |x|^2: the gradient is c x."""
    return lambda x: 0.5 * curvature * per_sample_sum(x**2)


def waves(amplitudes):
    """Sum of a sin(x): the gradient is a cos(x)."""
    return lambda x: per_sample_sum(amplitudes[None] * jnp.sin(x))


def r1(logit_fn, real):
    """Compute R1 with nothing where it must not look."""
    return penalties.r1_penalty(logit_fn, real, None, key=None)


def r2(logit_fn, fake):
    """Compute R2 with nothing where it must not look."""
    return penalties.r2_penalty(logit_fn, None, fake, key=None)


def dragan(logit_fn, real, key):
    """Compute DRAGAN with nothing where it must not look."""
    return penalties.dragan_penalty(logit_fn, real, None, key=key)


class Penalties(NamedTuple):
    """Every penalty of one family of discriminators, jitted once."""

    r1: object
    r2: object
    gp: object
    dragan: object


def penalties_of(discriminator):
    """Jit the penalties as functions of the discriminator's parameters, and average their gradients."""

    def gp(params, real, fake, key):
        return penalties.gradient_penalty(discriminator(params), real, fake, key=key)

    functions = Penalties(
        lambda params, x: r1(discriminator(params), x),
        lambda params, x: r2(discriminator(params), x),
        gp,
        lambda params, real, key: dragan(discriminator(params), real, key),
    )
    values = Penalties(*map(jax.jit, functions))
    slopes = Penalties(*(jax.jit(jax.grad(sum_of(f))) for f in functions))
    return values, slopes


def sum_of(function):
    return lambda *arguments: function(*arguments).sum()


PLANE, PLANE_SLOPES = penalties_of(plane)
BOWL, BOWL_SLOPES = penalties_of(bowl)
WAVES, _ = penalties_of(waves)

both_centred = pytest.mark.parametrize(
    "name", ["r1", "r2"]
)  # the second is the first on other images
every_shape = pytest.mark.parametrize("shape", IMAGE_SHAPES, ids=["points", "grey", "colour"])


def norm64(x):
    """Norm of each sample, in float64."""
    return np.sqrt(per_sample_sum(np.asarray(x, np.float64) ** 2))


def close(actual, desired, rtol=2e-5, atol=1e-5):
    np.testing.assert_allclose(np.asarray(actual, np.float64), desired, rtol=rtol, atol=atol)


def weights(shape):
    return arrays(shape[1:], -2.0, 2.0)


# R1 and R2


@both_centred
@every_shape
@given(data=st.data(), bias=floats(-5, 5))
def test_a_planes_penalty_is_half_its_squared_weights(name, shape, data, bias):
    w, x = data.draw(weights(shape)), data.draw(images(shape))
    close(getattr(PLANE, name)((w, bias), x), np.full(BATCH, norm64(w[None])[0] ** 2 / 2))


@both_centred
@every_shape
@given(data=st.data(), curvature=floats(-3, 3))
def test_a_bowls_penalty_is_half_its_squared_slope(name, shape, data, curvature):
    x = data.draw(images(shape))
    close(getattr(BOWL, name)(curvature, x), curvature**2 * norm64(x) ** 2 / 2)


@both_centred
@every_shape
@given(data=st.data())
def test_waves_penalty_is_half_the_squared_slope_of_each_sample(name, shape, data):
    a, x = data.draw(weights(shape)), data.draw(images(shape))
    slope = a[None].astype(np.float64) * np.cos(x.astype(np.float64))
    close(getattr(WAVES, name)(a, x), norm64(slope) ** 2 / 2)


@both_centred
@given(a=weights(GREY), first=images(), second=images())
def test_penalties_of_a_concatenation_are_the_concatenated_penalties(name, a, first, second):
    penalty = getattr(WAVES, name)
    parts = np.concatenate([penalty(a, first), penalty(a, second)])
    close(penalty(a, np.concatenate([first, second])), parts, atol=1e-6)


@both_centred
@given(w=weights(GREY), x=images(), bias=floats(-5, 5))
def test_a_constant_added_to_the_discriminator_changes_nothing(name, w, x, bias):
    penalty = getattr(PLANE, name)
    np.testing.assert_array_equal(penalty((w, bias), x), penalty((w, 0.0), x))


@both_centred
@given(a=weights(GREY), x=images(), factor=floats(-3, 3))
def test_a_steeper_discriminator_pays_by_the_square(name, a, x, factor):
    penalty = getattr(WAVES, name)
    close(penalty(np.float32(factor) * a, x), factor**2 * np.asarray(penalty(a, x), np.float64))


@both_centred
@every_shape
@given(data=st.data())
def test_a_planes_penalty_pulls_each_weight_to_zero(name, shape, data):
    """d/dw of |w|^2 / 2 is w: the penalty can be differentiated again, by the parameters."""
    w, x = data.draw(weights(shape)), data.draw(images(shape))
    by_w, by_b = getattr(PLANE_SLOPES, name)((w, 0.0), x)
    close(by_w, BATCH * w.astype(np.float64))
    assert by_b == 0


@both_centred
def test_hand_computed_centred_penalties(name):
    x = jnp.array([[3.0, 4.0], [1.0, 0.0]])
    close(getattr(BOWL, name)(2.0, x), [50.0, 2.0])  # slopes (6, 8) and (2, 0)
    close(getattr(PLANE, name)((jnp.array([3.0, 4.0]), 1.0), x), [12.5, 12.5])


# The interpolated penalty


@every_shape
@given(data=st.data(), key=keys(), bias=floats(-5, 5))
def test_a_planes_slope_is_compared_with_one_wherever_it_is_taken(shape, data, key, bias):
    w, real, fake = (data.draw(s) for s in (weights(shape), images(shape), images(shape)))
    expected = np.full(BATCH, (norm64(w[None])[0] - 1) ** 2)
    gp_key, dragan_key = jax.random.split(key)
    close(PLANE.gp((w, bias), real, fake, gp_key), expected, rtol=1e-4)
    close(PLANE.dragan((w, bias), real, dragan_key), expected, rtol=1e-4)


def test_hand_computed_penalty_of_slope_five():
    w, key = jnp.array([3.0, 4.0]), jax.random.key(0)
    close(PLANE.gp((w, 0.0), jnp.zeros(POINTS), jnp.ones(POINTS), key), np.full(BATCH, 16.0))


def nearest_and_farthest(real, fake):
    """Distances from the origin, in float64, of the segment's nearest and farthest points."""
    real, fake = real.astype(np.float64), fake.astype(np.float64)
    way = fake - real
    length = np.maximum(per_sample_sum(way**2), 1e-300)
    alpha = np.clip(-per_sample_sum(real * way) / length, 0, 1)
    nearest = norm64(real + alpha.reshape(-1, *[1] * (real.ndim - 1)) * way)
    return nearest, np.maximum(norm64(real), norm64(fake))


@every_shape
@given(data=st.data(), key=keys(), curvature=floats(0, 3))
def test_a_bowls_penalty_is_one_taken_on_the_segment(shape, data, key, curvature):
    real, fake = data.draw(images(shape)), data.draw(images(shape))
    low, high = (curvature * distance - 1 for distance in nearest_and_farthest(real, fake))
    least = np.where(low * high <= 0, 0, np.minimum(low**2, high**2))
    penalty = np.asarray(BOWL.gp(curvature, real, fake, key), np.float64)
    assert np.all(penalty >= least - 1e-4)
    assert np.all(penalty <= np.maximum(low**2, high**2) + 1e-4)


@every_shape
@given(data=st.data(), key=keys(), curvature=floats(-3, 3))
def test_between_two_equal_images_there_is_one_point(shape, data, key, curvature):
    x = data.draw(images(shape))
    close(BOWL.gp(curvature, x, x, key), (abs(curvature) * norm64(x) - 1) ** 2, rtol=1e-4)


@pytest.mark.parametrize("shape", [GREY, COLOUR], ids=["grey", "colour"])
@given(key=keys(), real=floats(-1, 1), fake=floats(-1, 1))
def test_all_pixels_of_a_sample_are_mixed_alike(shape, key, real, fake):
    """Between two images of one tone lie images of one tone: there this discriminator is flat."""

    def contrast(x):
        tone = x.mean(axis=(1, 2, 3), keepdims=True)
        return 20.0 * per_sample_sum((x - tone) ** 2)

    real, fake = np.full(shape, real, np.float32), np.full(shape, fake, np.float32)
    close(penalties.gradient_penalty(contrast, real, fake, key=key), np.ones(BATCH), atol=1e-3)


def mixtures(penalty, scale):
    """Recover x from the bowl's penalty (scale |x| - 1)^2, where scale |x| < 1."""
    return (1 - np.sqrt(np.asarray(penalty, np.float64))) / scale


def kolmogorov_distance(samples, distribution):
    """Largest gap between the samples' distribution and the given one; 1.95 / sqrt(n) is met once in 1000."""
    expected = distribution(np.sort(samples))
    ranks = np.arange(len(samples) + 1) / len(samples)
    return max(np.max(ranks[1:] - expected), np.max(expected - ranks[:-1]))


CHANCE = 1.95 / np.sqrt(MANY)


@pytest.mark.parametrize("pixels", [(2,), (4, 4, 1)], ids=["points", "grey"])
def test_the_place_on_the_segment_is_uniform_and_each_samples_own(pixels):
    zeros = jnp.zeros([MANY, *pixels])
    far = jnp.ones([MANY, *pixels]) / np.sqrt(np.prod(pixels))  # at distance one
    alpha = mixtures(BOWL.gp(0.5, zeros, far, jax.random.key(1)), 0.5)
    assert alpha.min() >= -1e-6
    assert alpha.max() <= 1 + 1e-6
    assert kolmogorov_distance(alpha, lambda a: np.clip(a, 0, 1)) < CHANCE


@given(seeds=st.lists(seeds(), min_size=2, max_size=2, unique=True))
def test_each_key_draws_its_own_places_and_keeps_to_them(seeds):
    real, fake = jnp.zeros(POINTS), jnp.ones(POINTS)
    key, other_key = map(jax.random.key, seeds)
    again, other_again = jax.random.clone(key), jax.random.clone(other_key)

    places = np.asarray(BOWL.gp(0.5, real, fake, key))
    assert len(set(places.tolist())) == BATCH
    assert not np.any(places == np.asarray(BOWL.gp(0.5, real, fake, other_key)))
    np.testing.assert_array_equal(places, BOWL.gp(0.5, real, fake, again))

    real = jnp.array([[0.0, 1.0]] * BATCH)  # equal samples, whose noise differs
    places = np.asarray(BOWL.dragan(0.5, real, jax.random.clone(again)))
    assert len(set(places.tolist())) == BATCH
    assert not np.any(places == np.asarray(BOWL.dragan(0.5, real, other_again)))
    np.testing.assert_array_equal(places, BOWL.dragan(0.5, real, jax.random.clone(key)))


# DRAGAN


@given(tone=floats(-1, 1), key=keys(), curvature=floats(-3, 3))
def test_a_batch_without_contrast_is_not_disturbed(tone, key, curvature):
    x = np.full(GREY, tone, np.float32)
    expected = (abs(curvature) * norm64(x) - 1) ** 2
    close(BOWL.dragan(curvature, x, key), expected, rtol=1e-4)


def pixel_bowl(pixel):
    """Half the square of one pixel: the penalty there is (x - 1)^2, from which x is recovered."""
    return lambda x: 0.5 * x[:, pixel] ** 2


def disturbances(seed):
    """The noise that each of two pixels received, as a share of half the batch's deviation.

    The first pixel is 0 in every sample, so a deviation taken for each pixel alone would leave it still.
    """
    second = jnp.tile(jnp.array([0.0, 0.5]), MANY // 2)
    real = jnp.stack([jnp.zeros(MANY), second], axis=1)
    largest = 0.5 * np.std(np.asarray(real, np.float64))
    key = jax.random.key(seed)
    places = [
        mixtures(dragan(pixel_bowl(pixel), real, jax.random.clone(key)), 1.0) for pixel in (0, 1)
    ]
    return places[0] / largest, (places[1] - np.asarray(second)) / largest


def product_of_uniforms(s):
    """Chance that the product of two independent uniform numbers is below s."""
    return s * (1 - np.log(s))


def test_dragan_noise_is_a_uniform_step_along_uniform_noise_of_half_a_deviation():
    for share in disturbances(seed=2):
        assert share.min() >= -1e-5
        assert share.max() <= 1 + 1e-5
        assert kolmogorov_distance(np.clip(share, 1e-12, 1), product_of_uniforms) < CHANCE


def test_dragan_steps_are_shared_by_the_pixels_of_a_sample_and_noise_is_not():
    first, second = disturbances(seed=3)
    # one alpha, two u: cov = E[alpha^2] / 4 - 1/16 = 1/48, var = 1/9 - 1/16; the ratio is 3/7
    assert np.corrcoef(first, second)[0, 1] == pytest.approx(3 / 7, abs=0.08)


def test_dragan_steps_and_noise_are_drawn_independently():
    """One key for both would make the first sample's step equal to its first pixel's noise."""
    real = jnp.array([[0.0, 0.5]] * BATCH)

    def penalty_of_first(key):
        return dragan(pixel_bowl(0), real, key)[0]

    first = jax.jit(jax.vmap(penalty_of_first))(jax.random.split(jax.random.key(5), MANY))
    share = np.clip(mixtures(first, 1.0) / (0.5 * np.std(np.asarray(real))), 1e-12, 1)
    assert kolmogorov_distance(share, product_of_uniforms) < CHANCE


# Where slopes vanish, and the derivative by the parameters


@every_shape
@given(key=keys(), bias=floats(-5, 5))
def test_a_flat_discriminator_has_finite_derivatives(shape, key, bias):
    flat = np.zeros(shape[1:], np.float32), bias
    real, fake = np.zeros(shape, np.float32), np.ones(shape, np.float32)
    gp_key, dragan_key = jax.random.split(key)
    again = jax.random.clone(gp_key)
    close(PLANE.gp(flat, real, fake, again), np.ones(BATCH))
    for slopes in [
        PLANE_SLOPES.r1(flat, real),
        PLANE_SLOPES.gp(flat, real, fake, gp_key),
        PLANE_SLOPES.dragan(flat, fake, dragan_key),
    ]:
        assert all(np.all(np.isfinite(s)) for s in slopes)


@given(key=keys(), x=images(POINTS), curvature=floats(0.5, 3))
def test_one_flat_point_does_not_spoil_the_others(key, x, curvature):
    """The derivative of (c |x| - 1)^2 by c is 2 (c |x| - 1) |x|: zero where x is."""
    x[0] = 0
    expected = np.sum(2 * (curvature * norm64(x) - 1) * norm64(x))
    close(BOWL_SLOPES.gp(curvature, x, x, key), expected, rtol=1e-4, atol=1e-4)


@given(w=weights(POINTS), real=images(POINTS), fake=images(POINTS), key=keys())
def test_unit_slope_penalties_pull_a_plane_to_norm_one(w, real, fake, key):
    """The derivative of (|w| - 1)^2 by w is 2 (|w| - 1) w / |w|."""
    w[0] = np.copysign(np.maximum(np.abs(w[0]), 0.1), w[0])
    norm = norm64(w[None])[0]
    expected = BATCH * 2 * (norm - 1) * w.astype(np.float64) / norm
    gp_key, dragan_key = jax.random.split(key)
    close(PLANE_SLOPES.gp((w, 0.0), real, fake, gp_key)[0], expected, rtol=1e-4, atol=1e-4)
    close(PLANE_SLOPES.dragan((w, 0.0), real, dragan_key)[0], expected, rtol=1e-4, atol=1e-4)


# Shapes, types, errors


def all_penalties(logit_fn, real, fake, key):
    """Call all four, with keys of their own."""
    gp_key, dragan_key = jax.random.split(key)
    return (
        r1(logit_fn, real),
        r2(logit_fn, fake),
        penalties.gradient_penalty(logit_fn, real, fake, key=gp_key),
        dragan(logit_fn, real, dragan_key),
    )


@given(shape=image_shapes(), image_dtype=float_dtypes(), logit_dtype=float_dtypes())
def test_penalties_are_one_float32_per_sample(shape, image_dtype, logit_dtype):
    x = jax.ShapeDtypeStruct(shape, image_dtype)
    key = jax.eval_shape(lambda: jax.random.key(0))

    def logit_fn(batch):
        return bowl(1.0)(batch).astype(logit_dtype)

    results = jax.eval_shape(lambda *a: all_penalties(logit_fn, *a), x, x, key)
    assert [(r.shape, r.dtype) for r in results] == [(shape[:1], jnp.float32)] * 4


@pytest.mark.parametrize("penalty", [r1, r2])
def test_bfloat16_slopes_are_squared_and_summed_in_float32(penalty):
    w = jnp.full([8, 8, 1], 1.0078125, jnp.bfloat16)  # 1 + 2^-7, whose square bfloat16 cannot hold
    x = jnp.zeros([BATCH, 8, 8, 1], jnp.bfloat16)
    eager = penalty(plane((w, jnp.bfloat16(0))), x)  # compiled, XLA may skip a rounding
    close(eager, np.full(BATCH, 32 * 1.0078125**2), rtol=1e-6)


def test_compiled_and_eager_penalties_agree():
    real, fake = jnp.linspace(-1, 1, 64).reshape(GREY), jnp.linspace(0, 0.5, 64).reshape(GREY)
    key = jax.random.key(4)
    gp_key, dragan_key = jax.random.split(jax.random.clone(key))
    eager = all_penalties(bowl(0.7), real, fake, key)
    compiled = (
        BOWL.r1(0.7, real),
        BOWL.r2(0.7, fake),
        BOWL.gp(0.7, real, fake, gp_key),
        BOWL.dragan(0.7, real, dragan_key),
    )
    for one, other in zip(eager, compiled, strict=True):
        close(one, np.asarray(other, np.float64))


@pytest.mark.parametrize(
    ("real", "fake"),
    [
        ((4, 2), (3, 2)),
        ((4, 2), (1, 2)),
        ((4, 4, 4, 3), (4, 4, 4, 1)),
        ((4, 8, 8, 1), (4, 4, 4, 1)),
        ((4, 16), (4, 4, 4, 1)),
    ],
)
def test_real_and_fake_images_of_different_shapes_are_refused(real, fake):
    with pytest.raises(ValueError, match="shape") as raised:
        penalties.gradient_penalty(
            per_sample_sum, jnp.ones(real), jnp.ones(fake), key=jax.random.key(0)
        )
    assert str(real) in str(raised.value)
    assert str(fake) in str(raised.value)


WRONG_LOGITS = {
    "column": ((BATCH, 1), lambda x: per_sample_sum(x)[:, None]),
    "mean": ((), lambda x: per_sample_sum(x).mean()),
    "half a batch": ((BATCH // 2,), lambda x: per_sample_sum(x)[::2]),
    "image": (GREY, lambda x: x),
}


@pytest.mark.parametrize("wrong", WRONG_LOGITS)
@pytest.mark.parametrize("index", range(4), ids=["r1", "r2", "gp", "dragan"])
def test_a_logit_function_of_a_wrong_shape_is_refused(index, wrong):
    received, logit_fn = WRONG_LOGITS[wrong]
    x = jnp.ones(GREY)
    call = [
        lambda: r1(logit_fn, x),
        lambda: r2(logit_fn, x),
        lambda: penalties.gradient_penalty(logit_fn, x, x, key=jax.random.key(0)),
        lambda: dragan(logit_fn, x, jax.random.key(0)),
    ][index]
    with pytest.raises(ValueError, match="shape") as raised:
        call()
    assert str(received) in str(raised.value)


# The table, and a penalty's share of D's objective


def test_the_table_names_each_penalty_by_its_weight():
    assert {
        "r1_gamma": penalties.r1_penalty,
        "r2_gamma": penalties.r2_penalty,
        "gp_weight": penalties.gradient_penalty,
        "dragan_weight": penalties.dragan_penalty,
    } == penalties.PENALTIES


WEIGHTED = jax.jit(
    lambda weight, curvature, real, fake: penalties.weighted(
        Penalty(penalties.r1_penalty, weight), bowl(curvature), real, fake, key=jax.random.key(0)
    )
)


@given(weight=floats(-5, 5), curvature=floats(-3, 3), real=images(), fake=images())
def test_a_penaltys_share_is_its_weight_times_its_mean_over_the_batch(
    weight, curvature, real, fake
):
    share = WEIGHTED(weight, curvature, real, fake)
    assert (share.shape, share.dtype) == ((), jnp.float32)
    close(share, weight * np.mean(curvature**2 * norm64(real) ** 2 / 2))


def test_hand_computed_share():
    # slopes (6, 8) and (2, 0): 50 and 2, whose mean is 26
    x = jnp.array([[3.0, 4.0], [1.0, 0.0]])
    assert WEIGHTED(0.5, 2.0, x, jnp.zeros((2, 2))) == pytest.approx(13.0, rel=1e-6)
