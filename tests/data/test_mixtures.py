"""The point sets are the distributions they say, drawn from streams that do not meet."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gan_jax.data import DataError, load, mixture
from gan_jax.data.mixtures import MIXTURES, MOONS_SIGMA, POINT_SETS, SWISS_ROLL_SIGMA, points

SEEDS = st.integers(0, 2**63)


def test_the_rings_centres_are_eight_even_steps_round_the_unit_circle():
    centres = mixture("ring").centres.astype(float)
    assert centres.shape == (8, 2) and mixture("ring").sigma == 0.01
    np.testing.assert_allclose(np.linalg.norm(centres, axis=1), 1, atol=1e-7)
    chords = np.linalg.norm(centres - np.roll(centres, 1, axis=0), axis=1)
    np.testing.assert_allclose(chords, 2 * np.sin(np.pi / 8), atol=1e-6)


def test_the_grids_centres_are_all_pairs_of_five_even_numbers():
    law = mixture("grid")
    expected = {(x, y) for x in (-4, -2, 0, 2, 4) for y in (-4, -2, 0, 2, 4)}
    assert {tuple(centre) for centre in law.centres.tolist()} == expected
    assert law.centres.shape == (25, 2) and law.sigma == 0.05


def test_the_line_has_one_gaussian():
    law = mixture("gaussian_1d")
    assert (law.centres.tolist(), law.sigma) == ([[1.0]], 0.5)


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("name", MIXTURES)
def test_points_have_the_stated_centres_sigma_and_equal_weights(name, split):
    dataset, law = load(name, split=split), mixture(name)
    num, num_centres = len(dataset.images), len(law.centres)
    assert num == {"train": 100_000, "test": 10_000}[split]
    residual = (dataset.images - law.centres[dataset.labels]) / law.sigma
    assert abs(residual.mean()) < 4 / np.sqrt(residual.size)
    assert abs(residual.std() - 1) < 4 / np.sqrt(2 * residual.size)
    assert np.abs(np.corrcoef(residual.T) - np.eye(residual.shape[1])).max() < 4 / np.sqrt(num)
    assert (np.abs(residual) < 1).mean() == pytest.approx(0.6827, abs=0.02)  # a Gaussian's share
    counts = np.bincount(dataset.labels, minlength=num_centres)
    chi_squared = ((counts - num / num_centres) ** 2 / (num / num_centres)).sum()
    assert chi_squared < num_centres - 1 + 5 * np.sqrt(2 * num_centres)


@pytest.mark.parametrize("name", ["ring", "grid"])
def test_a_label_is_the_nearest_centre_and_a_perfect_sampler_has_98_9_percent_quality(name):
    dataset, law = load(name, split="test"), mixture(name)
    distance = np.linalg.norm(dataset.images[:, None] - law.centres[None], axis=-1)
    np.testing.assert_array_equal(np.argmin(distance, axis=1), dataset.labels)
    assert (distance.min(1) < 3 * law.sigma).mean() == pytest.approx(1 - np.exp(-4.5), abs=0.005)


def test_the_swiss_roll_lies_along_its_spiral():
    drawn = load("swiss_roll").images.astype(float) * 7.5
    t = np.linspace(1.5 * np.pi, 4.5 * np.pi, 4000)
    spiral = np.stack([t * np.cos(t), t * np.sin(t)], -1)
    distance = np.sqrt(((drawn[:500, None] - spiral[None]) ** 2).sum(-1)).min(1)
    sigma = 7.5 * SWISS_ROLL_SIGMA
    assert sigma == pytest.approx(0.25) and distance.max() < 5 * sigma
    assert distance.mean() == pytest.approx(
        sigma * np.sqrt(2 / np.pi), rel=0.1
    )  # across it, 1-D noise
    radius = np.linalg.norm(drawn, axis=1)  # t, but for the noise: uniform
    assert radius.mean() == pytest.approx(3 * np.pi, abs=0.05)


def test_the_two_moons_lie_along_their_half_circles():
    dataset = load("moons")
    for component, centre, side in ((0, (0, 0), 1), (1, (1, 0.5), -1)):
        drawn = dataset.images[dataset.labels == component] - np.array(centre)
        radius = np.linalg.norm(drawn, axis=1)
        assert radius.mean() == pytest.approx(1, abs=0.005)
        assert radius.std() == pytest.approx(MOONS_SIGMA, rel=0.03)
        assert (side * drawn[:, 1]).min() > -5 * MOONS_SIGMA
        assert drawn[:, 0].mean() == pytest.approx(0, abs=0.02)
    assert np.bincount(dataset.labels) / 1e5 == pytest.approx([0.5, 0.5], abs=0.01)


@settings(deadline=None)
@given(st.sampled_from(POINT_SETS), st.sampled_from(["train", "test"]), st.integers(1, 50), SEEDS)
def test_points_are_a_function_of_the_seed(name, split, num, seed):
    first, labels = points(name, split, num_points=num, seed=seed)
    again, _ = points(name, split, num_points=num, seed=seed)
    assert first.shape == (num, 1 if name == "gaussian_1d" else 2) and labels.shape == (num,)
    assert (first.dtype, labels.dtype) == (np.float32, np.int32)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, points(name, split, num_points=num, seed=seed + 1)[0])


@settings(deadline=None)
@given(st.sampled_from(POINT_SETS), SEEDS)
def test_train_and_test_share_no_point(name, seed):
    train, _ = points(name, "train", num_points=500, seed=seed)
    test, _ = points(name, "test", num_points=500, seed=seed)
    shared = set(map(bytes, train)) & set(map(bytes, test))
    assert not shared if train.shape[1] == 2 else len(shared) < 3  # on a line, floats may meet


@pytest.mark.parametrize("name", ["moons", "swiss_roll", "digits", "nothing"])
def test_only_mixtures_have_centres(name):
    with pytest.raises(DataError, match=f"one of ring, grid, gaussian_1d, got '{name}'"):
        mixture(name)


def test_an_unknown_point_set_is_refused():
    with pytest.raises(DataError, match="got 'digits' and 'train'"):
        points("digits", "train")
