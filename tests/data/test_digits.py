"""The built-in digits: real, MNIST's size and look, split fairly."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.datasets import load_digits

from gan_jax.data import load
from gan_jax.data.digits import enlarge, split_indices

TRAIN, TEST = load("digits"), load("digits", split="test")


def test_there_are_1500_and_297_of_mnists_size():
    assert TRAIN.images.shape == (1500, 28, 28, 1) and TEST.images.shape == (297, 28, 28, 1)
    assert TRAIN.images.dtype == TEST.images.dtype == np.uint8


def test_no_digit_is_in_both_splits_or_twice():
    digits = [image.tobytes() for split in (TRAIN, TEST) for image in split.images]
    assert len(set(digits)) == 1797


def test_every_class_gives_the_same_share_to_both_splits():
    train, test = np.bincount(TRAIN.labels), np.bincount(TEST.labels)
    np.testing.assert_array_equal(train + test, np.bincount(load_digits().target))
    assert np.abs(test - (train + test) * 297 / 1797).max() <= 1


@settings(deadline=None)
@given(hnp.arrays(np.int32, st.integers(1, 60), elements=st.integers(0, 4)), st.data())
def test_a_split_uses_each_sample_once_and_is_balanced(labels, data):
    num_test = data.draw(st.integers(1, len(labels)))
    parts = split_indices(labels, num_test)
    both = np.concatenate([parts["train"], parts["test"]])
    assert sorted(both.tolist()) == list(range(len(labels))) and len(parts["test"]) == num_test
    share = np.bincount(labels) * num_test / len(labels)
    assert np.abs(np.bincount(labels[parts["test"]], minlength=len(share)) - share).max() <= 1


def test_digits_keep_mnists_margin_and_most_pixels_are_black_or_white():
    for images in (TRAIN.images, TEST.images):
        assert images[:, :2].max() == images[:, -2:].max() == images[:, :, :2].max() == 0
        assert images.min() == 0 and images.max() == 255
        assert 0.75 < (images < 20).mean() < 0.87
        assert 0.07 < (images > 235).mean() < 0.13


def test_an_enlarged_digit_is_still_its_digit():
    """Shrunk again, an image is nearer to its own source than to any other."""
    source = load_digits()
    chosen = split_indices(source.target, 297)["test"]
    boxes = TEST.images[:, 4:24, 4:24, 0].astype(float)
    shrunk = boxes.reshape(-1, 4, 5, 4, 5).mean((2, 4)).reshape(297, -1)
    coarse = source.images[chosen].reshape(-1, 4, 2, 4, 2).mean((2, 4)).reshape(297, -1)
    nearest = np.argmin(np.linalg.norm(shrunk[:, None] / 255 - coarse[None] / 16, axis=-1), axis=1)
    assert (nearest == np.arange(297)).mean() > 0.8
    np.testing.assert_array_equal(TEST.labels, source.target[chosen])


@pytest.mark.parametrize("level", [0, 16])
def test_enlarging_keeps_black_black_and_the_middle_of_white_white(level):
    enlarged = enlarge(np.full((8, 8), level))
    assert enlarged[14, 14] == {0: 0, 16: 255}[level] and enlarged[0].max() == 0


def test_enlarging_keeps_left_and_top_where_they_are():
    pixels = np.zeros((8, 8))
    pixels[1, 6] = 16
    top, left = np.unravel_index(np.argmax(enlarge(pixels)), (28, 28))
    assert 6 <= top <= 9 and 19 <= left <= 22  # 4 + 2.5 * (1.5, 6.5) = (7.75, 20.25)


def test_the_test_digits_are_the_middle_ones_of_equal_stretches_of_the_sorted_list():
    split = split_indices(
        np.array([1, 0, 1, 0, 1, 0, 1, 0]), num_test=2
    )  # sorted: 1 3 5 7, 0 2 4 6
    assert split["test"].tolist() == [4, 5]
    assert split["train"].tolist() == [0, 1, 2, 3, 6, 7]
