"""Precision, recall, density, coverage: brute force in float64, hand-made sets, and the published floor."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gan_jax.evaluation.manifold import manifold_scores
from gan_jax.evaluation.pairwise import exact_distances

SEEDS = st.integers(0, 2**32 - 1)
RNG = np.random.default_rng(0)


def brute_force(real, generated, k) -> tuple[float, float, float, float]:
    """The definitions, in float64."""

    def distances(x, y):
        return np.sqrt(((x[:, None] - y[None]) ** 2).sum(axis=-1))

    real_radii = np.sort(distances(real, real), axis=1)[:, k]  # column 0 is the sample itself
    generated_radii = np.sort(distances(generated, generated), axis=1)[:, k]
    between = distances(real, generated)
    in_real = between <= real_radii[:, None]
    in_generated = between <= generated_radii[None, :]
    return (
        in_real.any(axis=0).mean(),
        in_generated.any(axis=1).mean(),
        in_real.sum(axis=0).mean() / k,
        in_real.any(axis=1).mean(),
    )


@given(SEEDS, st.sampled_from([2, 20]), st.sampled_from([1, 3, 5]), st.sampled_from([0.0, 300.0]))
def test_the_scores_are_those_of_brute_force(seed, width, k, offset):
    rng = np.random.default_rng(seed)
    real = rng.normal(offset, 1.0, size=(60, width))
    generated = rng.normal(offset + 0.3, 0.8, size=(45, width))
    np.testing.assert_allclose(
        manifold_scores(real, generated, k=k), brute_force(real, generated, k), rtol=1e-12
    )


@given(SEEDS, st.sampled_from([2, 20]), st.sampled_from([1, 4]))
def test_points_on_the_edges_of_balls_are_inside(seed, width, k):
    rng = np.random.default_rng(seed)  # on a lattice most distances are equal to many others
    real, generated = rng.integers(0, 3, size=(60, width)), rng.integers(0, 3, size=(45, width))
    expected = brute_force(real, generated, k)
    np.testing.assert_allclose(manifold_scores(real, generated, k=k), expected, rtol=1e-12)
    parts = manifold_scores(real, generated, k=k, chunk_size=9)
    np.testing.assert_allclose(parts, expected, rtol=1e-12)


def test_points_just_outside_a_ball_are_outside_though_float32_cannot_see_it():
    directions = RNG.normal(size=(60, 40))
    directions[:, 0] = -np.abs(directions[:, 0])
    balls = np.stack([np.zeros(40), np.eye(40)[0]])  # at distance 1: for k = 1 both have radius 1
    beyond = directions / np.linalg.norm(directions, axis=1, keepdims=True) * (1 + 1e-9)
    assert brute_force(beyond, balls, 1)[1] == manifold_scores(beyond, balls, k=1).recall == 0
    scores = manifold_scores(balls, beyond, k=1)
    assert (scores.precision, scores.density, scores.coverage) == (0, 0, 0)


@pytest.mark.parametrize("width", [1, 40])
def test_the_rows_that_fill_the_last_chunk_are_no_samples(width):
    real = np.outer([-2.0, -1.0, 0.5, 1.0, 1.5], np.ones(width))  # their mean, 0, is what fills
    generated = np.outer([0.0, 5.0, 9.0], np.ones(width))
    expected = brute_force(real, generated, 1)
    np.testing.assert_allclose(manifold_scores(real, generated, k=1, chunk_size=3), expected)


def test_pairs_in_doubt_are_measured_again_a_few_at_a_time(monkeypatch):
    real, generated = RNG.integers(0, 2, size=(2, 50, 20))
    expected = brute_force(real, generated, 5)
    sizes = []

    def watched(x, y):
        sizes.append(len(x))
        return exact_distances(x, y)

    monkeypatch.setattr("gan_jax.evaluation.manifold.BLOCK_ENTRIES", 8 * 20 * 7)
    monkeypatch.setattr("gan_jax.evaluation.manifold.exact_distances", watched)
    np.testing.assert_allclose(manifold_scores(real, generated), expected, rtol=1e-12)
    assert len(sizes) > 10
    assert max(sizes) == 7


@pytest.mark.parametrize("width", [2, 20])
def test_chunks_change_nothing(width):
    rng = np.random.default_rng(0)
    real, generated = rng.normal(size=(50, width)), rng.normal(0.5, 1.0, size=(40, width))
    whole = manifold_scores(real, generated)
    for chunk_size in (1, 9, 50):
        assert manifold_scores(real, generated, chunk_size=chunk_size) == whole


@pytest.mark.parametrize("width", [2, 40])
def test_a_set_compared_with_itself_touches_every_edge(width):
    x = np.random.default_rng(0).normal(size=(100, width))
    precision, recall, density, coverage = manifold_scores(x, x, k=5)
    assert (precision, recall, coverage) == (1, 1, 1)
    assert density == pytest.approx(6 / 5)


def test_sets_far_apart_score_zero():
    x = np.random.default_rng(0).normal(size=(30, 20))
    assert manifold_scores(x, x + 100) == (0, 0, 0, 0)


def test_a_collapsed_generator_is_precise_without_recall():
    rng = np.random.default_rng(0)
    real = rng.normal(size=(300, 2))
    generated = rng.normal(0.0, 0.01, size=(300, 2))
    scores = manifold_scores(real, generated)
    assert scores.precision > 0.95
    assert scores.recall < 0.05
    assert scores.coverage < 0.1


def test_a_generator_that_is_too_wide_has_recall_without_precision():
    rng = np.random.default_rng(0)
    real, generated = rng.normal(size=(300, 8)), rng.normal(0.0, 3.0, size=(300, 8))
    scores = manifold_scores(real, generated)
    assert scores.recall > 0.95
    assert scores.precision < 0.3


def test_a_line_worked_by_hand():
    # k = 1. Real balls: [-1, 1], [0, 2], [1, 19]. Generated balls: [1.25, 1.75], [1.5, 2], [1.75, 38.25].
    precision, recall, density, coverage = manifold_scores(
        [[0.0], [1.0], [10.0]], [[1.5], [1.75], [20.0]], k=1
    )
    assert precision == pytest.approx(2 / 3)  # 1.5 and 1.75
    assert recall == pytest.approx(1 / 3)  # 10
    assert density == pytest.approx(4 / 3)  # 1.5 and 1.75 are in two balls each
    assert coverage == pytest.approx(2 / 3)  # the balls of 1 and 10


def test_density_counts_balls_per_neighbour():
    # k = 2. Real balls: [-2, 2], [0, 2], [0, 4]: 0.5 and 1.5 lie in three each, 9 in none; 6 / 3 samples / 2.
    scores = manifold_scores([[0.0], [1.0], [2.0]], [[0.5], [1.5], [9.0]], k=2)
    assert scores.density == pytest.approx(1.0)
    assert scores.precision == pytest.approx(2 / 3)
    assert (
        scores.coverage == scores.recall == 1
    )  # the ball of 0.5 reaches to its second neighbour, 9


@pytest.mark.parametrize("width", [2, 40])
def test_copies_of_repeated_real_samples_are_inside_balls_without_radius(width):
    rng = np.random.default_rng(0)
    real = np.repeat(
        rng.normal(size=(10, width)), 7, axis=0
    )  # every 5th neighbour is at distance 0
    scores = manifold_scores(real, np.repeat(real[::7][:5], 8, axis=0), k=5)
    assert scores.precision == 1
    assert scores.coverage == scores.recall == 0.5


@pytest.mark.parametrize("width", [2, 40])
def test_a_perfect_sampler_has_the_density_and_coverage_of_the_theory(width):
    num, k = 30, 3
    rng = np.random.default_rng(0)
    scores = np.array([manifold_scores(*rng.normal(size=(2, num, width)), k=k) for _ in range(200)])
    error = scores.std(axis=0) / np.sqrt(len(scores))
    precision, recall, density, coverage = scores.mean(axis=0)
    i = np.arange(1, k + 1)
    assert abs(density - 1) < 3 * error[2]
    assert abs(coverage - (1 - np.prod((num - i) / (2 * num - i)))) < 3 * error[3]
    assert abs(precision - recall) < 4 * error[0]
    assert error.max() < 0.04


@pytest.mark.slow
def test_two_gaussian_clouds_in_1000_dimensions_score_as_published():
    # The paper's authors publish one draw: 0.477, 0.471, 1.056, 0.974. Six draws here scatter by 0.014, 0.008,
    # 0.055, 0.006 around 0.474, 0.483, 0.970, 0.964; the theory has 1 and 0.969 for the last two.
    real, generated = np.random.default_rng(0).normal(size=(2, 10_000, 1000)).astype(np.float32)
    scores = manifold_scores(real, generated, k=5)
    assert scores.precision == pytest.approx(0.477, abs=0.04)
    assert scores.recall == pytest.approx(0.471, abs=0.04)
    assert scores.density == pytest.approx(1.0, abs=0.17)
    assert scores.coverage == pytest.approx(0.969, abs=0.02)
    # The same draw by pairwise float64 distances.
    np.testing.assert_allclose(scores, (0.4563, 0.4858, 0.91246, 0.9563), atol=1e-9)


GOOD = np.random.default_rng(0).normal(size=(9, 3))


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (GOOD[:5], r"generated must have shape \[N, D\] with N >= 6, D >= 1, got \(5, 3\)"),
        (GOOD[:, :2], "one width D, got 3 and 2"),
        (np.where(GOOD > 1, np.inf, GOOD), "generated must be finite"),
    ],
)
def test_sets_without_neighbours_are_refused(bad, message):
    with pytest.raises(ValueError, match=message):
        manifold_scores(GOOD, bad)


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="k must be >= 1, got 0"):
        manifold_scores(GOOD, GOOD, k=0)
    with pytest.raises(ValueError, match="chunk_size must be >= 1, got -1"):
        manifold_scores(GOOD, GOOD, chunk_size=-1)
