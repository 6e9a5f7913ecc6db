"""A mean over pairs: its variance and skewness against sums over tuples written out."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gan_jax.evaluation.u_statistic import _corrected, _skewness, _variance, u_statistic

SEEDS = st.integers(0, 2**32 - 1)


def pairs(seed: int, num: int) -> np.ndarray:
    """A symmetric h whose samples matter alone, so that the covariance is not cut off at 0."""
    rng = np.random.default_rng(seed)
    alone = rng.exponential(size=num)
    h = alone[:, None] + alone[None, :] + 0.05 * rng.normal(size=(num, num))
    h = h + h.T
    np.fill_diagonal(h, 0)
    return h


def whole(h: np.ndarray):
    return lambda: iter([(slice(0, len(h)), h)])


@given(SEEDS, st.integers(4, 6))
def test_the_variance_is_made_of_means_over_different_samples(seed, num):
    h = pairs(seed, num)
    square = np.mean([h[i, j] ** 2 for i, j in itertools.permutations(range(num), 2)])
    shared = np.mean([h[i, j] * h[i, k] for i, j, k in itertools.permutations(range(num), 3)])
    apart = np.mean([h[i, j] * h[k, m] for i, j, k, m in itertools.permutations(range(num), 4)])
    expected = 4 * (num - 2) * max(shared - apart, 0) + 2 * max(square - apart, 0)
    found = _variance(h.sum(axis=1), float(np.sum(h * h)), num)
    assert found == pytest.approx(expected / (num * (num - 1)), rel=1e-9, abs=1e-12)


@given(SEEDS, st.integers(4, 8))
def test_the_third_moments_are_those_of_what_samples_bring_alone_and_of_the_rest(seed, num):
    h = pairs(seed, num)
    value = h.sum() / (num * (num - 1))
    g = h.sum(axis=1) / (num - 1) - value
    spread = np.sqrt(np.mean(g**2))
    rest = [
        g[i] * g[j] * (h[i, j] - value - g[i] - g[j])
        for i, j in itertools.permutations(range(num), 2)
    ]
    skewness, interaction = _skewness(g, value, whole(h))
    assert skewness == pytest.approx(np.mean(g**3) / spread**3)
    assert interaction == pytest.approx(np.mean(rest) / spread**3, abs=1e-9)


@given(st.floats(-3, 3), st.floats(-2, 2), st.floats(-2, 2), st.integers(4, 10_000))
def test_the_corrected_quantile_solves_the_cubic(z, skewness, interaction, num):
    a = (2 * skewness + 3 * interaction) / (6 * math.sqrt(num))
    b = (skewness + 3 * interaction) / (6 * math.sqrt(num))
    t = _corrected(z, skewness, interaction, num)
    assert t + a * t**2 + a**2 * t**3 / 3 + b == pytest.approx(z, abs=1e-5)


def test_pairs_that_are_all_equal_leave_nothing_open():
    h = 3.0 * (1 - np.eye(5))
    assert u_statistic(whole(h), 5) == (3.0, 0.0, (3.0, 3.0))


def test_a_mean_of_samples_has_the_error_and_the_quantiles_of_a_mean():
    x = np.linspace(
        -1, 1, 11
    )  # h(x, y) = (x + y) / 2: the mean over pairs is the mean, and nothing is skew
    h = (x[:, None] + x[None, :]) / 2
    np.fill_diagonal(h, 0)
    value, error, interval = u_statistic(whole(h), 11)
    assert value == pytest.approx(0, abs=1e-12)
    assert error == pytest.approx(np.std(x, ddof=1) / np.sqrt(11))
    assert interval == pytest.approx((-2.228139 * error, 2.228139 * error))  # t with 10 degrees
