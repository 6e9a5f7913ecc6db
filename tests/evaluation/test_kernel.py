"""Kernel distance: the textbook double sum, no bias, and chunks that change nothing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gan_jax.evaluation.kernel import kernel_distance, kernel_distance_over_subsets

SEEDS = st.integers(0, 2**32 - 1)


def textbook(a, b) -> float:
    def k(x, y):
        return (x @ y / len(x) + 1) ** 3

    n, m = len(a), len(b)
    aa = sum(k(a[i], a[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    bb = sum(k(b[i], b[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return aa + bb - 2 * sum(k(x, y) for x in a for y in b) / (n * m)


@given(SEEDS, st.integers(2, 9), st.integers(2, 9), st.integers(1, 5), st.integers(1, 12))
def test_it_is_the_textbook_double_sum_whatever_the_chunks(seed, n, m, width, chunk_size):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(n, width)), rng.normal(1.0, 2.0, size=(m, width))
    expected = textbook(a, b)
    assert kernel_distance(a, b, chunk_size=chunk_size) == pytest.approx(expected, rel=1e-9)
    assert kernel_distance(b, a) == pytest.approx(expected, rel=1e-9)


def test_a_pair_worked_by_hand():
    # k(1, 2) = 27, k(0, 1) = 1; between: k(1, 0) = 1, k(1, 1) = 8, k(2, 0) = 1, k(2, 1) = 27.
    assert kernel_distance([[1.0], [2.0]], [[0.0], [1.0]]) == pytest.approx(27 + 1 - 2 * 37 / 4)


def test_it_has_no_bias_between_sets_of_one_distribution():
    rng = np.random.default_rng(0)
    values = [
        kernel_distance(rng.normal(size=(12, 4)), rng.normal(size=(20, 4))) for _ in range(2000)
    ]
    error = np.std(values) / np.sqrt(len(values))
    assert abs(np.mean(values)) < 3 * error
    assert error < 0.05  # so the claim above says something: the biased estimate is off by about 1
    assert min(values) < 0


def test_different_distributions_are_apart_by_the_exact_amount():
    # In one dimension with E x = m, E x^2 = s, E x^3 = t: MMD^2 = 3 dm^2 + 3 ds^2 + dt^2.
    rng = np.random.default_rng(0)
    values = [
        kernel_distance(rng.normal(size=(100, 1)), rng.normal(0.5, 1.0, size=(100, 1)))
        for _ in range(200)
    ]
    expected = 3 * 0.5**2 + 3 * 0.25**2 + (0.5**3 + 3 * 0.5) ** 2
    assert np.mean(values) == pytest.approx(expected, abs=3 * np.std(values) / np.sqrt(200))


def test_float32_features_lose_nothing_on_the_way():
    rng = np.random.default_rng(0)
    a = rng.normal(5.0, 1.0, size=(300, 8)).astype(np.float32)
    b = rng.normal(5.0, 1.0, size=(300, 8)).astype(np.float32)
    exact = kernel_distance(a.astype(np.float64), b.astype(np.float64))
    assert kernel_distance(a, b, chunk_size=64) == pytest.approx(exact, rel=1e-9)


def test_subsets_agree_with_the_whole_within_their_standard_error():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(500, 4)), rng.normal(0.3, 1.0, size=(500, 4))
    mean, error = kernel_distance_over_subsets(a, b, num_subsets=100, subset_size=50)
    assert abs(mean - kernel_distance(a, b)) < 4 * error
    again = kernel_distance_over_subsets(a, b, num_subsets=100, subset_size=50)
    assert again == (mean, error)
    other = kernel_distance_over_subsets(a, b, num_subsets=100, subset_size=50, seed=1)
    assert other.mean != mean


def test_the_standard_error_is_the_deviation_over_the_root_of_the_subsets(monkeypatch):
    values = iter([1.0, 2.0, 3.0, 6.0])
    monkeypatch.setattr("gan_jax.evaluation.kernel.kernel_distance", lambda a, b: next(values))
    x = np.zeros((5, 2))
    mean, error = kernel_distance_over_subsets(x, x, num_subsets=4)
    assert mean == 3.0
    assert error == pytest.approx(np.sqrt((4 + 1 + 0 + 9) / 3) / 2)


def test_a_subset_is_never_larger_than_the_smaller_set():
    x, y = np.random.default_rng(0).normal(size=(2, 10, 2))
    mean, error = kernel_distance_over_subsets(x, y[:7], num_subsets=3, subset_size=1000)
    assert np.isfinite([mean, error]).all()


GOOD = np.random.default_rng(0).normal(size=(9, 3))


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (GOOD[:1], r"features_b must have shape \[N, D\] with N >= 2, D >= 1, got \(1, 3\)"),
        (GOOD[:, :2], "one width D, got 3 and 2"),
        (GOOD / np.where(GOOD > 0, 1.0, np.nan), "features_b must be finite"),
    ],
)
def test_sets_that_have_no_distance_are_refused(bad, message):
    with pytest.raises(ValueError, match=message):
        kernel_distance(GOOD, bad)
    with pytest.raises(ValueError, match=message):
        kernel_distance_over_subsets(GOOD, bad)


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="chunk_size must be >= 1, got 0"):
        kernel_distance(GOOD, GOOD, chunk_size=0)
    with pytest.raises(ValueError, match="must be >= 2, got 1 and 1000"):
        kernel_distance_over_subsets(GOOD, GOOD, num_subsets=1)
