"""Frechet distance: closed forms on sets whose moments are exact, and the laws of a distance."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gan_jax.evaluation.frechet import (
    feature_statistics,
    frechet_distance,
    frechet_distance_infinity,
    gaussian_frechet_distance,
)

SEEDS = st.integers(0, 2**32 - 1)
WIDTHS = st.integers(1, 8)


def random_covariance(rng, width) -> np.ndarray:
    factor = rng.normal(size=(width, width))
    return factor @ factor.T / width


def with_moments(rng, num, mean, covariance) -> np.ndarray:
    """Samples [num, D] whose sample mean and covariance are exactly those given."""
    x = rng.normal(size=(num, len(mean)))
    x -= x.mean(axis=0)
    x = x @ np.linalg.inv(np.linalg.cholesky(np.cov(x.T).reshape(len(mean), -1))).T
    return x @ np.linalg.cholesky(covariance).T + mean


def test_statistics_are_the_mean_and_the_unbiased_covariance_whatever_the_chunks(monkeypatch):
    x = np.random.default_rng(0).normal(3.0, 2.0, size=(103, 5)).astype(np.float32)
    for chunk in (7, 50, 4096):
        monkeypatch.setattr("gan_jax.evaluation.frechet.CHUNK", chunk)
        mean, covariance = feature_statistics(x)
        np.testing.assert_allclose(mean, x.astype(np.float64).mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(covariance, np.cov(x.astype(np.float64).T), rtol=1e-10)


@given(SEEDS, WIDTHS)
def test_equal_covariances_leave_the_squared_distance_of_the_means(seed, width):
    rng = np.random.default_rng(seed)
    mean_a, mean_b = rng.normal(size=(2, width))
    covariance = random_covariance(rng, width)
    distance = gaussian_frechet_distance(mean_a, covariance, mean_b, covariance)
    assert distance == pytest.approx(np.sum((mean_a - mean_b) ** 2), abs=1e-7)


@given(SEEDS, WIDTHS)
def test_commuting_covariances_are_compared_axis_by_axis(seed, width):
    rng = np.random.default_rng(seed)
    axes, _ = np.linalg.qr(rng.normal(size=(width, width)))
    spread_a, spread_b = rng.uniform(0.0, 3.0, size=(2, width))
    distance = gaussian_frechet_distance(
        np.zeros(width), axes * spread_a**2 @ axes.T, np.zeros(width), axes * spread_b**2 @ axes.T
    )
    assert distance == pytest.approx(np.sum((spread_a - spread_b) ** 2), abs=1e-7)


def test_a_pair_worked_by_hand():
    # A = I, B = [[2, 1], [1, 2]] with eigenvalues 3 and 1: tr A + tr B - 2 (sqrt 3 + 1) + |(1, 2)|^2.
    distance = gaussian_frechet_distance([0, 0], np.eye(2), [1, 2], [[2, 1], [1, 2]])
    assert distance == pytest.approx(2 + 4 - 2 * (np.sqrt(3) + 1) + 5)


@given(SEEDS, WIDTHS)
def test_it_agrees_with_the_textbook_square_root_of_the_product(seed, width):
    import scipy.linalg

    rng = np.random.default_rng(seed)
    mean_a, mean_b = rng.normal(size=(2, width))
    a, b = random_covariance(rng, width), random_covariance(rng, width)
    expected = np.sum((mean_a - mean_b) ** 2) + np.trace(a + b)
    # The eigenvalues of A B are real and >= 0, so its square root's trace is the sum of their roots.
    expected -= 2 * np.sqrt(np.maximum(scipy.linalg.eigvals(a @ b).real, 0)).sum()
    assert gaussian_frechet_distance(mean_a, a, mean_b, b) == pytest.approx(expected, abs=1e-5)


@given(SEEDS, WIDTHS)
def test_samples_give_the_distance_of_their_moments(seed, width):
    rng = np.random.default_rng(seed)
    means = rng.normal(size=(2, width))
    covariances = [random_covariance(rng, width) + 0.1 * np.eye(width) for _ in range(2)]
    sets = [with_moments(rng, 40, m, c) for m, c in zip(means, covariances, strict=True)]
    expected = gaussian_frechet_distance(means[0], covariances[0], means[1], covariances[1])
    assert frechet_distance(*sets) == pytest.approx(expected, abs=1e-6)


@given(SEEDS, WIDTHS, st.integers(2, 30))
def test_a_set_is_at_distance_zero_from_itself_even_if_its_covariance_is_singular(seed, width, num):
    x = np.random.default_rng(seed).normal(size=(num, width)).astype(np.float32)
    assert frechet_distance(x, x[::-1]) == pytest.approx(0, abs=1e-6)


@given(SEEDS, WIDTHS)
def test_it_is_symmetric_not_negative_and_blind_to_rotation_and_shift(seed, width):
    rng = np.random.default_rng(seed)
    a = rng.normal(size=(20, width))
    b = rng.normal(size=(30, width)) * rng.uniform(0.1, 3, size=width) + 1
    rotation, _ = np.linalg.qr(rng.normal(size=(width, width)))
    distance = frechet_distance(a, b)
    assert distance >= -1e-9
    assert frechet_distance(b, a) == pytest.approx(distance, abs=1e-7)
    assert frechet_distance(a @ rotation + 5, b @ rotation + 5) == pytest.approx(distance, abs=1e-6)
    assert frechet_distance(3 * a, 3 * b) == pytest.approx(9 * distance, abs=1e-6)


def test_half_precision_features_are_accumulated_in_double():
    x = np.random.default_rng(0).normal(100.0, 1.0, size=(3000, 4)).astype(np.float16)
    y = np.random.default_rng(1).normal(101.0, 1.0, size=(3000, 4)).astype(np.float16)
    expected = frechet_distance(x.astype(np.float64), y.astype(np.float64))
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-9)


def test_extrapolation_removes_the_bias_of_few_generated_samples():
    rng = np.random.default_rng(0)
    width, num = 16, 2000
    exact = with_moments(rng, 4000, np.zeros(width), np.eye(width))
    plain, infinite = [], []
    for seed in range(20):
        generated = rng.normal(size=(num, width))  # the same distribution: truth 0
        plain.append(frechet_distance(exact, generated))
        options = {"min_samples": 500, "seed": seed}
        infinite.append(frechet_distance_infinity(exact, generated, **options))
    # Bias of the plain distance, to first order in 1 / num: D for the mean, about D (D + 1) / 4 for the rest.
    assert np.mean(plain) == pytest.approx((width + width * (width + 1) / 4) / num, rel=0.1)
    assert abs(np.mean(infinite)) < 0.15 * np.mean(plain)


def test_extrapolation_is_exact_where_the_law_is_exact(monkeypatch):
    def law(mean_a, covariance_a, mean_b, covariance_b):
        return 7.0 + 30.0 / num_seen[-1]

    num_seen = []

    def statistics(features):
        num_seen.append(len(features))
        return np.zeros(1), np.zeros((1, 1))

    monkeypatch.setattr("gan_jax.evaluation.frechet.feature_statistics", statistics)
    monkeypatch.setattr("gan_jax.evaluation.frechet.gaussian_frechet_distance", law)
    x = np.random.default_rng(0).normal(size=(500, 1))
    assert frechet_distance_infinity(x, x) == pytest.approx(7.0)
    assert num_seen[1:] == np.linspace(50, 500, 15).astype(int).tolist()


def test_extrapolation_repeats_itself_for_a_seed():
    x, y = np.random.default_rng(0).normal(size=(2, 200, 3))
    first = frechet_distance_infinity(x, y, seed=1)
    assert first == frechet_distance_infinity(x, y, seed=1)
    assert first != frechet_distance_infinity(x, y, seed=2)


GOOD = np.random.default_rng(0).normal(size=(20, 3))


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (GOOD[:1], r"features_b must have shape \[N, D\] with N >= 2, D >= 1, got \(1, 3\)"),
        (GOOD[0], r"features_b must have shape .* got \(3,\)"),
        (GOOD[:, :2], "must be of one width D, got 3 and 2"),
        (GOOD * [1, np.nan, 1], "features_b must be finite, got 20 of 20 rows"),
    ],
)
def test_sets_that_have_no_distance_are_refused(bad, message):
    with pytest.raises(ValueError, match=message):
        frechet_distance(GOOD, bad)


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match=r"means and covariances must be .*got \[\(2,\), \(3, 3\)"):
        gaussian_frechet_distance([0, 0], np.eye(3), [0, 0], np.eye(2))
    with pytest.raises(ValueError, match=r"min_samples in \[2, 20\), got 1 and 2"):
        frechet_distance_infinity(GOOD, GOOD, num_points=1)
    with pytest.raises(ValueError, match="got 15 and 20"):
        frechet_distance_infinity(GOOD, GOOD, min_samples=20)
