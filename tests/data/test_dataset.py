"""The fingerprint sees every byte; the arrays cannot change under it."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from idx_files import some_images, some_labels

from gan_jax.data import DataError, fingerprint
from gan_jax.data import dataset as dataset_module
from gan_jax.data.dataset import make_dataset

IMAGES = some_images(6)[..., None]
LABELS = some_labels(6).astype(np.int32)


@settings(deadline=None)
@given(st.integers(0, IMAGES.size - 1), st.integers(1, 255))
def test_the_fingerprint_changes_with_any_pixel(place, change):
    changed = IMAGES.copy()
    changed.flat[place] ^= change
    assert make_dataset(changed, LABELS, "x").sha256 != make_dataset(IMAGES, LABELS, "x").sha256


@settings(deadline=None)
@given(st.integers(0, LABELS.size - 1), st.integers(1, 2**31 - 1))
def test_the_fingerprint_changes_with_any_label(place, change):
    changed = LABELS.copy()
    changed[place] ^= change
    assert make_dataset(IMAGES, changed, "x").sha256 != make_dataset(IMAGES, LABELS, "x").sha256


def test_the_fingerprint_sees_shape_and_type_but_not_memory_order():
    zeros = np.zeros((2, 8), np.uint8)
    assert fingerprint(zeros) != fingerprint(zeros.reshape(4, 4))
    assert fingerprint(zeros) != fingerprint(zeros.view(np.int8))
    assert fingerprint(IMAGES) == fingerprint(np.asfortranarray(IMAGES))


def test_the_fingerprint_is_sha256_of_types_shapes_and_bytes():
    expected = hashlib.sha256(b"|u1(2,)" + b"\x01\x02" + b"<i4(1,)" + b"\x03\0\0\0").hexdigest()
    assert fingerprint(np.array([1, 2], np.uint8), np.array([3], np.int32)) == expected


def test_a_large_array_is_hashed_in_pieces_and_a_mapped_one_does_not_stay_in_memory(
    tmp_path, monkeypatch
):
    expected, given_back = fingerprint(IMAGES), []
    monkeypatch.setattr(dataset_module, "_PIECE_BYTES", 7)
    assert fingerprint(IMAGES) == expected
    np.save(tmp_path / "a.npy", np.concatenate([IMAGES, IMAGES]))
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    let_go = dataset_module.let_go
    monkeypatch.setattr(dataset_module, "let_go", lambda a: given_back.append(a) or let_go(a))
    assert fingerprint(mapped[6:]) == expected
    assert len(given_back) == -(-IMAGES.size // 7)
    np.testing.assert_array_equal(mapped[:6], IMAGES)  # is read again


def test_what_was_written_to_a_mapped_array_is_not_given_back(tmp_path):
    np.save(tmp_path / "a.npy", IMAGES)
    mine = np.load(tmp_path / "a.npy", mmap_mode="c")
    mine[0] = 1
    dataset_module.let_go(mine[:3])
    assert (mine[0] == 1).all()
    dataset_module.let_go(IMAGES)


def test_a_dataset_cannot_be_written_to():
    dataset = make_dataset(IMAGES.copy(), LABELS.copy(), "x")
    with pytest.raises(ValueError, match="read-only"):
        dataset.images[0] = 0
    with pytest.raises(ValueError, match="read-only"):
        dataset.labels[0] = 0


def test_labels_must_be_as_many_as_images():
    with pytest.raises(DataError, match=r"labels of shape \(6,\), got \(5,\)"):
        make_dataset(IMAGES, LABELS[:5], "x")


def test_images_without_labels_are_a_dataset_with_a_fingerprint_of_the_images_alone():
    dataset = make_dataset(IMAGES, None, "x")
    assert dataset.labels is None and dataset.class_names == ()
    assert dataset.sha256 == fingerprint(IMAGES)


def test_each_class_has_a_name_or_none_has():
    labels = np.array([0, 2, 1, 0, 0, 0])
    assert make_dataset(IMAGES, labels, "x", ["a", "b", "c"]).class_names == ("a", "b", "c")
    assert make_dataset(IMAGES, labels, "x", ["a", "b", "c", "d"]).class_names[3] == "d"
    with pytest.raises(DataError, match="labels from 0 to 1, got 0 to 2; number the classes from"):
        make_dataset(IMAGES, labels, "x", ["a", "b"])
    with pytest.raises(DataError, match="labels from 0 to the last class, got -1 to 1"):
        make_dataset(IMAGES, labels - 1, "x")


def test_there_are_as_many_classes_as_names_or_else_as_the_highest_label_says():
    labels = np.int32([0, 2, 2, 1, 0, 0])
    assert make_dataset(IMAGES, labels, "x").num_classes == 3
    assert make_dataset(IMAGES, labels, "x", ("a", "b", "c", "d")).num_classes == 4
    assert make_dataset(IMAGES, None, "x").num_classes == 0


def test_what_would_train_without_a_word_is_refused():
    pictures = np.linspace(-1, 1, 6 * 16).reshape(6, 4, 4, 1)
    for bad, message in (
        (
            IMAGES.astype(np.int32),
            "expected uint8 or floats, got int32; give pixels 0..255 as uint8",
        ),
        (IMAGES > 0, "got bool"),
        (127.5 * pictures, r"expected floats in \[-1, 1\], got values from -127.5 to 127.5"),
        (pictures / 2 + 0.5, r"\[-1, 1\], got values from 0.0 to 1.0; give pixels"),
        (np.where(pictures > 0.9, np.nan, pictures), "expected finite values, got NaN or infinity"),
        (np.full((6, 2), np.inf), "expected finite"),
        (np.zeros((6, 2), int), "got int64"),
    ):
        with pytest.raises(DataError, match=message):
            make_dataset(bad, LABELS, "mine")


def test_pixels_signed_pictures_and_points_of_any_range_pass():
    signed = np.linspace(-1.0005, 1, 6 * 16, dtype=np.float32).reshape(6, 4, 4, 1)
    for good in (IMAGES, signed, np.linspace(0, 300, 12).reshape(6, 2)):
        np.testing.assert_array_equal(make_dataset(good, LABELS, "mine").images, good)
