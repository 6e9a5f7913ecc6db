"""Bootstrap: intervals that cover as often as they say, and repeat for a seed."""

import numpy as np
import pytest

from gan_jax.evaluation.bootstrap import bootstrap_interval, summarise_seeds

RNG = np.random.default_rng(0)
SAMPLE = RNG.normal(size=50)


def test_an_interval_repeats_for_its_seed_and_changes_with_it():
    first = bootstrap_interval(np.mean, SAMPLE, num_resamples=200, seed=3)
    assert first == bootstrap_interval(np.mean, SAMPLE, num_resamples=200, seed=3)
    assert first != bootstrap_interval(np.mean, SAMPLE, num_resamples=200, seed=4)


def test_an_interval_of_a_mean_is_that_of_the_normal_law():
    low, high = bootstrap_interval(np.mean, SAMPLE, num_resamples=4000)
    half = 1.96 * SAMPLE.std() / np.sqrt(50)
    assert low == pytest.approx(SAMPLE.mean() - half, abs=0.1 * half)
    assert high == pytest.approx(SAMPLE.mean() + half, abs=0.1 * half)


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    for level in (0.5, 0.9):
        hits = 0
        for seed in range(200):
            low, high = bootstrap_interval(
                np.mean, RNG.normal(size=40), num_resamples=200, seed=seed, level=level
            )
            hits += low <= 0 <= high
        assert hits / 200 == pytest.approx(level, abs=0.1)


def test_arrays_are_resampled_on_their_own_and_by_rows():
    a, b = np.repeat(np.arange(30.0)[:, None], 2, axis=1), np.arange(7.0)
    seen = []

    def statistic(x, y):
        assert x.shape == a.shape
        assert y.shape == b.shape
        np.testing.assert_array_equal(x[:, 0], x[:, 1])  # rows stay whole
        seen.append((x[:, 0].mean(), y.mean()))
        return 0.0

    assert bootstrap_interval(statistic, a, b, num_resamples=500) == (0, 0)
    means = np.array(seen)
    assert (means.std(axis=0) > 0.3).all()
    assert abs(np.corrcoef(means.T)[0, 1]) < 0.15


def test_a_constant_has_an_interval_without_width():
    assert bootstrap_interval(np.median, np.full(9, 2.5), num_resamples=10) == (2.5, 2.5)


def test_seeds_are_summarised_by_median_quartiles_and_intervals():
    values = [8, 1, 7, 8, 8, 5, 8, 8, 2]
    summary = summarise_seeds(values, num_resamples=2000)
    assert (summary.num, summary.median, summary.q1, summary.q3) == (9, 8, 5, 8)
    assert summary.mean == pytest.approx(np.mean(values))
    assert summary.median_interval == bootstrap_interval(np.median, values, num_resamples=2000)
    assert summary.mean_interval == bootstrap_interval(np.mean, values, num_resamples=2000)
    assert summary.mean_interval.low < summary.mean < summary.mean_interval.high
    assert summary == summarise_seeds(values, num_resamples=2000)


def test_one_seed_has_no_spread_to_show():
    summary = summarise_seeds([3.0], num_resamples=5)
    assert summary == (1, 3.0, 3.0, 3.0, (3.0, 3.0), 3.0, (3.0, 3.0))


@pytest.mark.parametrize("values", [[], [1.0, np.nan], [[1.0, 2.0]], 3.0])
def test_values_that_are_not_one_number_per_seed_are_refused(values):
    with pytest.raises(ValueError, match=r"values must be \[num_seeds\], finite"):
        summarise_seeds(values)


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match=r"needs arrays .* got shapes \[\]"):
        bootstrap_interval(np.mean)
    with pytest.raises(ValueError, match=r"got shapes \[\(50,\), \(0, 2\)\]"):
        bootstrap_interval(np.mean, SAMPLE, np.zeros((0, 2)))
    with pytest.raises(ValueError, match=r"level in \(0, 1\), got 10 and 95"):
        bootstrap_interval(np.mean, SAMPLE, num_resamples=10, level=95)
    with pytest.raises(ValueError, match=r"num_resamples must be >= 1 .* got 0 and"):
        bootstrap_interval(np.mean, SAMPLE, num_resamples=0)
