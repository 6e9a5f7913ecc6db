"""Nearest training neighbours: copies are found, honest samplers are not accused."""

import numpy as np
import pytest

from gan_jax.evaluation.neighbours import memorisation, nearest_neighbours, neighbour_agreement

RNG = np.random.default_rng(0)
TRAIN = RNG.integers(0, 256, size=(60, 6, 6, 1), dtype=np.uint8)


def test_a_copied_image_is_found_at_distance_zero():
    copied = np.array([41, 3, 17])
    indices, distances = nearest_neighbours(TRAIN[copied], TRAIN)
    np.testing.assert_array_equal(indices[:, 0], copied)
    np.testing.assert_array_equal(distances[:, 0], 0)


def test_images_are_compared_pixel_by_pixel_in_their_own_units():
    changed = TRAIN[:1].astype(np.float32)
    changed[0, 0, 0, 0] += 3
    changed[0, 5, 5, 0] -= 4
    indices, distances = nearest_neighbours(changed, TRAIN, k=2)
    assert indices[0, 0] == 0
    assert distances[0, 0] == 5
    others = np.linalg.norm((TRAIN[1:] - changed).reshape(59, -1), axis=1)
    assert distances[0, 1] == pytest.approx(others.min())
    assert indices[0, 1] == 1 + others.argmin()


def test_chunks_change_nothing():
    queries = RNG.normal(size=(20, 30))
    references = RNG.normal(size=(50, 30))
    whole = nearest_neighbours(queries, references, k=3)
    parts = nearest_neighbours(queries, references, k=3, chunk_size=7)
    np.testing.assert_array_equal(whole, parts)


def test_a_perfect_sampler_has_a_ratio_of_one_and_no_copies():
    generated, train, test = RNG.normal(size=(3, 2000, 4))
    result = memorisation(generated, train, test)
    assert result.ratio == pytest.approx(1, abs=0.05)
    assert result.copied == pytest.approx(0.01, abs=0.01)


def test_a_sampler_that_copies_is_told_from_one_that_is_far_off():
    train, test = RNG.normal(size=(2, 300, 8))
    picked = RNG.integers(300, size=100)
    copies = memorisation(train[picked] + RNG.normal(0, 1e-3, size=(100, 8)), train, test)
    assert copies.ratio < 0.01
    assert copies.copied == 1
    np.testing.assert_array_equal(copies.indices, picked)
    far = memorisation(RNG.normal(5.0, 1.0, size=(100, 8)), train, test)
    assert far.ratio > 2
    assert far.copied == 0


def test_the_share_copied_counts_samples_not_their_median():
    train, test = RNG.normal(size=(2, 300, 8))
    generated = np.concatenate([train[:25], RNG.normal(size=(75, 8))])
    result = memorisation(generated, train, test)
    assert result.ratio == pytest.approx(1, abs=0.3)
    assert 0.25 <= result.copied < 0.32
    assert result.indices.shape == result.distances.shape == (100,)


def test_a_line_worked_by_hand():
    # Unseen samples lie 1, 2 and 9 from the training set, generated ones 1, 4 and 100; 1 % of the unseen within 1.02.
    train, test = [[0.0], [1000.0]], [[1.0], [2.0], [1009.0]]
    result = memorisation([[-1.0], [4.0], [1100.0]], train, test)
    assert result.ratio == 4 / 2
    assert result.copied == pytest.approx(1 / 3)
    assert result.indices.tolist() == [0, 0, 1]
    assert result.distances.tolist() == [1, 4, 100]


def test_agreement_on_a_line_worked_by_hand():
    """4 and 6 are nearest to 0 and 10 of the classes 7 and 8; 100 is nearest to 10, and called a 7."""
    train, classes = [[0.0], [10.0]], [7, 8]
    found = neighbour_agreement([[4.0], [6.0], [100.0]], [7, 8, 7], train, classes)
    assert found.tolist() == [True, True, False]


def test_samples_without_labels_of_their_own_are_refused():
    with pytest.raises(ValueError, match=r"one for each of 2 samples and 1 .*, got \(1,\)"):
        neighbour_agreement([[1.0], [2.0]], [1], [[0.0]], [1])


@pytest.mark.parametrize(
    ("queries", "references", "message"),
    [
        (
            TRAIN,
            TRAIN[:, :5],
            r"agree in shape per sample, got \(60, 6, 6, 1\) and \(60, 5, 6, 1\)",
        ),
        (TRAIN[:0], TRAIN, r"queries must have shape \[N, D\] with N >= 1, D >= 1, got \(0, 36\)"),
        (np.zeros(3), np.zeros(3), r"samples must have shape \[N, ...\] with N >= 1, got \(3,\)"),
        (np.full((2, 3), np.nan), np.zeros((2, 3)), "queries must be finite, got 2 of 2 rows"),
    ],
)
def test_sets_without_neighbours_are_refused(queries, references, message):
    with pytest.raises(ValueError, match=message):
        nearest_neighbours(queries, references)


def test_a_test_set_taken_from_the_training_set_is_refused():
    with pytest.raises(ValueError, match="test must hold unseen samples"):
        memorisation(TRAIN[:5], TRAIN, TRAIN[10:20])
