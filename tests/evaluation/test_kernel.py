"""Kernel distance: the textbook double sum, no bias, and chunks that change nothing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gan_jax.evaluation.kernel import kernel_distance, kernel_distance_interval

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


def coverage(n: int, trials: int, law: str, scale: float) -> float:
    """Share of trials whose interval holds the true distance of a known population from a fixed reference."""
    rng = np.random.default_rng(0)

    def draw(*shape):
        return rng.random(shape) if law == "uniform" else np.maximum(rng.normal(0.5, 1, shape), 0)

    reference, population = draw(150, 3), scale * draw(400, 3)
    within = textbook_within(reference)
    truth = (
        within
        + np.mean((population @ population.T / 3 + 1) ** 3)
        - 2 * np.mean((reference @ population.T / 3 + 1) ** 3)
    )
    held = 0
    for _ in range(trials):
        samples = population[rng.integers(len(population), size=n)]
        low, high = kernel_distance_interval(reference, samples).interval
        held += low <= truth <= high
    return held / trials


def textbook_within(x) -> float:
    values = (x @ x.T / x.shape[1] + 1) ** 3
    return (values.sum() - np.trace(values)) / (len(x) * (len(x) - 1))


def test_the_interval_holds_the_true_distance_in_95_of_100_trials():
    assert 0.93 <= coverage(50, 500, "rectified", 1.3) <= 0.97


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n", "trials", "law", "scale"),
    [
        (50, 2000, "rectified", 1.3),
        (200, 600, "uniform", 1.3),
        (200, 600, "rectified", 1.5),
        (1000, 300, "uniform", 1.3),
        (1000, 300, "rectified", 1.3),
    ],
)
def test_the_interval_holds_the_true_distance_whatever_the_number_of_samples(n, trials, law, scale):
    assert 0.93 <= coverage(n, trials, law, scale) <= 0.98


def test_where_generator_and_reference_are_alike_the_interval_errs_on_the_wide_side():
    assert coverage(50, 300, "uniform", 1.0) >= 0.95


@given(SEEDS, st.integers(4, 9), st.integers(4, 9), st.integers(1, 5), st.integers(1, 12))
def test_the_interval_is_about_the_distance_itself_whatever_the_chunks(seed, n, m, width, size):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(n, width)), rng.normal(1.0, 2.0, size=(m, width))
    value, error, (low, high) = kernel_distance_interval(a, b, chunk_size=size)
    assert value == pytest.approx(kernel_distance(a, b), rel=1e-9, abs=1e-9)
    assert error >= 0 and low <= high
    whole = kernel_distance_interval(a, b)
    np.testing.assert_allclose(
        [error, low, high], [whole.standard_error, *whole.interval], rtol=1e-6
    )


def test_the_error_falls_with_the_root_of_the_samples_and_knows_nothing_of_the_reference():
    rng = np.random.default_rng(0)
    reference, samples = rng.normal(size=(300, 4)), rng.normal(0.5, 1.0, size=(1600, 4))
    few = kernel_distance_interval(reference, samples[:400]).standard_error
    many = kernel_distance_interval(reference, samples).standard_error
    assert few / many == pytest.approx(2, rel=0.3)
    twice = kernel_distance_interval(np.repeat(reference, 2, axis=0), samples).standard_error
    assert twice == pytest.approx(many, rel=1e-9)


def test_a_wider_level_gives_a_wider_interval_around_the_same_value():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(60, 4)), rng.normal(0.5, 1.0, size=(60, 4))
    narrow, wide = (kernel_distance_interval(a, b, level=level) for level in (0.5, 0.95))
    assert narrow.value == wide.value
    assert wide.interval.low < narrow.interval.low < narrow.interval.high < wide.interval.high


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


def test_sets_too_small_for_an_interval_are_refused():
    with pytest.raises(
        ValueError, match=r"samples must have shape \[N, D\] with N >= 4, .*\(3, 3\)"
    ):
        kernel_distance_interval(GOOD, GOOD[:3])


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="chunk_size must be >= 1, got 0"):
        kernel_distance(GOOD, GOOD, chunk_size=0)
    with pytest.raises(ValueError, match=r"level in \(0, 1\), got 1024 and 1"):
        kernel_distance_interval(GOOD, GOOD, level=1)
