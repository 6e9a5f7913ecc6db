"""Coverage of modes: perfect samplers at their published floors, hand-made failures, bad input."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from gan_jax.evaluation.coverage import histogram_kl, mixture_coverage, stacked_coverage

HISTOGRAMS = npst.arrays(np.int64, 6, elements=st.integers(0, 1000)).filter(lambda c: c.sum() > 0)
ANGLES = 2 * np.pi * np.arange(8) / 8
RING = np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1)  # sigma 0.01
GRID = 2.0 * np.stack(np.meshgrid(np.arange(-2, 3), np.arange(-2, 3)), axis=-1).reshape(25, 2)


def draw(rng, centres, sigma, num) -> np.ndarray:
    return centres[rng.integers(len(centres), size=num)] + rng.normal(0, sigma, size=(num, 2))


def one_hot(codes) -> np.ndarray:
    """Probabilities [N, 3, 10] of a classifier that is sure of the digits 'abc' of each code."""
    return np.eye(10)[np.stack([codes // 100, codes // 10 % 10, codes % 10], axis=1)]


@given(HISTOGRAMS, HISTOGRAMS, st.integers(1, 50))
def test_kl_is_not_negative_and_does_not_see_the_scale(counts, reference, factor):
    kl = histogram_kl(counts, reference + 1)
    assert kl >= -1e-12
    assert histogram_kl(counts, factor * (reference + 1)) == pytest.approx(kl, abs=1e-12)
    assert histogram_kl(counts * factor, counts) == pytest.approx(0, abs=1e-12)


def test_kl_worked_by_hand():
    # p = (3/4, 1/4, 0), q = (1/4, 1/4, 1/2).
    assert histogram_kl([3, 1, 0], [1, 1, 2]) == pytest.approx(0.75 * math.log(3))
    assert histogram_kl([1, 1, 2], [3, 1, 0]) == math.inf
    assert histogram_kl([5, 0, 0, 0], [1, 1, 1, 1]) == pytest.approx(math.log(4))


@pytest.mark.parametrize(
    ("centres", "sigma", "floor"), [(RING, 0.01, 0.0014), (GRID, 0.05, 0.0048)]
)
def test_a_perfect_sampler_of_a_mixture_stands_at_the_floor(centres, sigma, floor):
    rng = np.random.default_rng(0)
    results = [mixture_coverage(draw(rng, centres, sigma, 2500), centres, sigma) for _ in range(50)]
    assert all(result.modes == len(centres) for result in results)
    shares = np.array([result.high_quality for result in results])
    assert shares.mean() == pytest.approx(1 - math.exp(-4.5), abs=0.001)  # 98.9 %
    assert np.mean([result.kl for result in results]) == pytest.approx(floor, rel=0.15)


def test_a_perfect_sampler_of_stacked_mnist_stands_at_the_floor():
    rng = np.random.default_rng(0)
    results = [stacked_coverage(one_hot(rng.integers(1000, size=26_000))) for _ in range(12)]
    assert np.mean([result.kl for result in results]) == pytest.approx(0.0193, abs=0.0006)
    assert all((result.modes, result.kept) == (1000, 1.0) for result in results)


def test_the_digits_of_mnist_are_not_uniform_and_raise_the_floor():
    rng = np.random.default_rng(0)
    digits = np.array([5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]) / 60_000
    true = np.einsum("a,b,c->abc", digits, digits, digits).ravel()
    samples = [one_hot(rng.choice(1000, size=26_000, p=true)) for _ in range(12)]
    uniform = np.mean([stacked_coverage(x).kl for x in samples])
    honest = np.mean([stacked_coverage(x, reference=true).kl for x in samples])
    assert uniform == pytest.approx(0.0236, abs=0.0006)
    assert honest == pytest.approx(0.0193, abs=0.0006)


def test_a_mode_counts_only_with_a_sample_within_three_sigma_and_the_radius_is_a_circle():
    inside, outside = RING[3] + 0.0299 * RING[0], RING[5] + 0.0301 * RING[0]
    corner = RING[6] + 0.025 * np.array([1, 1])  # each coordinate within 3 sigma, the radius is not
    result = mixture_coverage([RING[0], RING[0], inside, outside, corner], RING, 0.01)
    assert (result.modes, result.high_quality) == (2, 0.6)
    counts = [2, 0, 0, 1, 0, 1, 1, 0]
    assert result.kl == pytest.approx(histogram_kl(counts, np.ones(8)))
    assert mixture_coverage([outside], RING, 0.01, reach=4.0).modes == 1


def test_total_collapse_costs_the_logarithm_of_the_modes():
    result = mixture_coverage(np.repeat(RING[2:3], 100, axis=0), RING, 0.01)
    assert (result.modes, result.high_quality) == (1, 1.0)
    assert result.kl == pytest.approx(math.log(8))


def test_unequal_mixtures_are_compared_with_their_own_weights():
    points = np.repeat(RING, np.arange(1, 9), axis=0)
    assert mixture_coverage(points, RING, 0.01, weights=np.arange(1, 9)).kl == pytest.approx(0)
    assert mixture_coverage(points, RING, 0.01).kl > 0.1


def test_stacked_codes_are_read_in_the_order_of_the_channels():
    reference = np.zeros(1000)
    reference[[123, 907]] = 1, 3
    codes = np.array([123, 907, 907, 907])
    result = stacked_coverage(one_hot(codes), reference=reference)
    assert result.modes == 2
    assert result.kl == pytest.approx(0)
    assert stacked_coverage(one_hot(codes)[:, ::-1], reference=reference).kl == math.inf


def test_a_sample_is_dropped_if_any_of_its_digits_is_unsure():
    probabilities = one_hot(np.array([111, 222, 333, 444]))
    probabilities[1, 2] = np.full(10, 0.1)
    probabilities[3, 0] = 0.8 * np.eye(10)[4] + 0.02
    assert stacked_coverage(probabilities).kept == 1
    assert stacked_coverage(probabilities, threshold=0.82).kept == 0.75
    result = stacked_coverage(probabilities, threshold=0.9)
    assert (result.modes, result.kept) == (2, 0.5)
    assert result.kl == pytest.approx(math.log(500))
    assert stacked_coverage(probabilities[1:2], threshold=0.9) == (0, math.inf, 0.0)


@pytest.mark.parametrize(
    ("counts", "reference", "message"),
    [
        ([1, 2], [1, 2, 3], r"agree in shape, got \(2,\) and \(3,\)"),
        ([1, -2], [1, 2], "counts must be .* finite and >= 0"),
        ([1, 2], [1, np.nan], "reference must be .* finite and >= 0"),
        ([0, 0], [1, 2], "counts must not sum to 0"),
        ([[1, 2]], [1, 2], r"counts must be \[K\]"),
        ([], [], "must not sum to 0"),
    ],
)
def test_what_is_no_histogram_is_refused(counts, reference, message):
    with pytest.raises(ValueError, match=message):
        histogram_kl(counts, reference)


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="one width D, got 3 and 2"):
        mixture_coverage(np.zeros((4, 3)), RING, 0.01)
    with pytest.raises(ValueError, match="points must be finite, got 1 of 2 rows"):
        mixture_coverage([[0, 0], [0, np.nan]], RING, 0.01)
    with pytest.raises(ValueError, match="sigma and reach must be > 0, got 0 and 3"):
        mixture_coverage(RING, RING, 0)
    with pytest.raises(ValueError, match=r"must be \[N, 3, 10\], got \(4, 10, 10\)"):
        stacked_coverage(np.full((4, 10, 10), 0.1))
    with pytest.raises(ValueError, match=r"must have 3 axes, none empty, got \(0, 3, 10\)"):
        stacked_coverage(np.zeros((0, 3, 10)))
    with pytest.raises(ValueError, match="sum to 1 over the last axis"):
        stacked_coverage(np.ones((4, 3, 10)))
    with pytest.raises(ValueError, match=r"agree in shape, got \(1000,\) and \(10,\)"):
        stacked_coverage(one_hot(np.arange(4)), reference=np.ones(10))
