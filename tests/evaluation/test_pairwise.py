"""Distances and neighbours: the answers of float64 brute force, far from the origin too."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gan_jax.evaluation.pairwise import (
    centred,
    default_chunk_size,
    nearest,
    padded_chunks,
    squared_distances,
)

SEEDS = st.integers(0, 2**32 - 1)
WIDTHS = st.sampled_from([2, 40])  # coordinate by coordinate, and by a matrix product


def brute_force(queries, references) -> np.ndarray:
    """Distances [Q, N] in float64."""
    difference = queries[:, None].astype(np.float64) - references[None].astype(np.float64)
    return np.sqrt((difference**2).sum(axis=-1))


@given(SEEDS, WIDTHS, st.sampled_from([0.0, 1e3]))
def test_squared_distances_are_right_within_the_bound_they_state(seed, width, offset):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(offset, 1.0, size=(2, 30, width))
    y[0] = x[0]
    x32, y32 = centred(x, y)
    squares, bound = squared_distances(jnp.asarray(x32), jnp.asarray(y32))
    error = np.abs(np.asarray(squares) - brute_force(x, y) ** 2)
    assert (error <= np.asarray(bound)).all()
    assert (np.asarray(squares) >= 0).all()
    assert np.asarray(bound).max() < 1e-3


@given(SEEDS, WIDTHS, st.sampled_from([1e-2, 1e-4, 1e-6]))
def test_the_bound_holds_in_tight_clusters_far_from_the_centre(seed, width, spread):
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(4, width))
    x, y = (
        centres[rng.integers(4, size=30)] + rng.normal(0, spread, size=(30, width))
        for _ in range(2)
    )
    x32, y32 = centred(x, y)
    squares, bound = squared_distances(jnp.asarray(x32), jnp.asarray(y32))
    assert (np.abs(np.asarray(squares) - brute_force(x, y) ** 2) <= np.asarray(bound)).all()


@given(SEEDS, WIDTHS, st.sampled_from([1, 4, 13]), st.sampled_from([0.0, 1e4]))
def test_neighbours_are_those_of_brute_force(seed, width, k, offset):
    rng = np.random.default_rng(seed)
    queries, references = (
        rng.normal(offset, 1.0, size=(20, width)),
        rng.normal(offset, 1.0, size=(50, width)),
    )
    indices, distances = nearest(queries, references, k)
    expected = brute_force(queries, references)
    np.testing.assert_array_equal(indices, expected.argsort(axis=1)[:, :k])
    np.testing.assert_allclose(distances, np.sort(expected, axis=1)[:, :k], rtol=1e-12)


@given(SEEDS, WIDTHS)
def test_no_vector_is_its_own_neighbour_but_its_copy_is(seed, width):
    x = np.random.default_rng(seed).normal(size=(20, width))
    x[7] = x[3]
    expected = brute_force(x, x) + np.where(np.eye(20), np.inf, 0)
    indices, distances = nearest(x, x, 2, exclude_self=True)
    np.testing.assert_array_equal(indices, expected.argsort(axis=1)[:, :2])
    assert (indices[3, 0], indices[7, 0]) == (7, 3)
    assert (distances[3, 0], distances[7, 0]) == (0, 0)


@pytest.mark.parametrize("width", [2, 40])
@pytest.mark.parametrize("exclude_self", [False, True])
def test_chunks_change_nothing(width, exclude_self):
    x = np.random.default_rng(0).normal(size=(31, width)).astype(np.float32)
    whole = nearest(x, x, 3, exclude_self=exclude_self)
    for chunk_size in (1, 7, 1000):
        parts = nearest(x, x, 3, exclude_self=exclude_self, chunk_size=chunk_size)
        np.testing.assert_array_equal(whole[0], parts[0])
        np.testing.assert_array_equal(whole[1], parts[1])


def test_equal_distances_are_ordered_by_index():
    references = np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]])
    indices, distances = nearest(np.zeros((1, 2)), references, 4)
    assert indices.tolist() == [[0, 1, 2, 3]]
    assert distances.tolist() == [[1, 1, 1, 1]]


def test_equal_distances_are_ordered_by_index_even_if_float32_sees_a_difference():
    rng = np.random.default_rng(0)
    queries, references = rng.integers(0, 2, size=(50, 40)), rng.integers(0, 2, size=(12, 40))
    expected = brute_force(queries, references).argsort(axis=1, kind="stable")
    np.testing.assert_array_equal(nearest(queries, references, 4)[0], expected[:, :4])


def test_neighbours_closer_than_float32_can_tell_are_still_ranked_right():
    rng = np.random.default_rng(0)
    references = rng.normal(size=(40, 40))
    query = references[:1] + 0
    references[10] = (
        query[0] + 1e-7
    )  # |x|^2 is about 40: squared distances of 1e-13 are lost in float32
    references[11] = query[0] + 1e-6
    references[0] = query[0] + 3e-7
    assert nearest(query, references, 1)[0] == 10
    indices, distances = nearest(query, references, 3)
    assert indices.tolist() == [[10, 0, 11]]
    np.testing.assert_allclose(distances, np.sqrt(40) * np.array([[1e-7, 3e-7, 1e-6]]), rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float16, np.float64])
def test_every_type_of_number_is_measured_alike(dtype):
    x = np.random.default_rng(0).integers(0, 200, size=(25, 20))
    expected = nearest(x.astype(np.float32), x.astype(np.float32), 2, exclude_self=True)
    got = nearest(x.astype(dtype), x.astype(dtype), 2, exclude_self=True)
    np.testing.assert_array_equal(expected[1], got[1])


@given(st.integers(1, 20), st.integers(1, 25))
def test_padded_chunks_hold_every_row_once_in_blocks_of_one_size(num, size):
    x = np.arange(2.0 * num).reshape(num, 2) + 1
    blocks = list(padded_chunks(x, size))
    assert {block.shape for _, block in blocks} == {(min(size, num), 2)}
    np.testing.assert_array_equal(
        np.concatenate([block[: part.stop - part.start] for part, block in blocks]), x
    )
    assert all((block[part.stop - part.start :] == 0).all() for part, block in blocks)


def test_memory_is_bounded_whatever_the_number_of_vectors():
    for num in (1, 60_000, 10**9):
        assert default_chunk_size(num) >= 1
    assert default_chunk_size(60_000) * 60_000 * 4 <= 2**27


def test_bad_arguments_are_refused():
    x = np.zeros((4, 2))
    with pytest.raises(ValueError, match=r"k must be in \[1, 4\].* got 5"):
        nearest(x, x, 5)
    with pytest.raises(ValueError, match=r"k must be in \[1, 3\].* got 4"):
        nearest(x, x, 4, exclude_self=True)
    with pytest.raises(ValueError, match="got 0"):
        nearest(x, x, 0)
    with pytest.raises(ValueError, match="chunk_size must be >= 1, got 0"):
        nearest(x, x, 1, chunk_size=0)
