"""Samples from elsewhere: the same pixels whatever the layout and range, and nothing guessed that may be wrong."""

import zipfile

import numpy as np
import pytest
from PIL import Image

from gan_jax.data.dataset import DataError
from gan_jax.data.samples import read_samples

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 5, 4, 3), np.uint8)
SIGNED = (PIXELS.astype(np.float32) - 127.5) / 127.5


@pytest.mark.parametrize(
    "saved", [PIXELS, SIGNED, np.moveaxis(PIXELS, 3, 1), np.moveaxis(SIGNED, 3, 1).astype(np.float16)]
)  # fmt: skip
def test_one_set_of_pixels_is_read_from_every_layout(tmp_path, saved):
    np.save(tmp_path / "a.npy", saved)
    found = read_samples(tmp_path / "a.npy")
    tolerance = 1 if saved.dtype == np.float16 else 0
    assert found.dtype == np.uint8
    np.testing.assert_allclose(found.astype(int), PIXELS, atol=tolerance)


def test_grey_images_get_their_channel_and_points_stay_points(tmp_path):
    np.savez(tmp_path / "grey.npz", PIXELS[..., 0])
    np.testing.assert_array_equal(read_samples(tmp_path / "grey.npz"), PIXELS[..., :1])
    np.savez(tmp_path / "points.npz", points=np.ones((3, 2)), other=np.zeros(1))
    assert read_samples(tmp_path / "points.npz").tolist() == [[1, 1]] * 3


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": PIXELS / 255}, r"some below 0, got float64 from 0 to 1; save pixels"),
        ({"images": SIGNED * 2}, "from -2 to 2"),
        ({"images": np.full((2, 3, 4, 1), np.nan)}, "got float64 from nan to nan"),
        ({"images": PIXELS.astype(int)}, "got int64 from"),
        ({"images": PIXELS[:, :, :, [0, 1]]}, r"got \[6, 5, 4, 2\]"),
        ({"a": PIXELS, "b": PIXELS}, "a, b, none of which is called images"),
        ({"images": np.array([{}])}, "Object arrays cannot be loaded"),
        ({"images": SIGNED[:0]}, "at least one sample, got none"),
        ({"images": np.full((2, 3, 4), "a")}, "got <U1 from nan"),
        ({"images": np.zeros((2, 3, 4), "M8[s]")}, "got datetime64"),
        ({"points": np.full((3, 2), np.inf)}, "expected finite points"),
        ({}, "none, none of which is called images"),
    ],
)
def test_what_could_be_read_wrongly_is_refused_in_one_line(tmp_path, arrays, message):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError, match=message) as caught:
        read_samples(tmp_path / "a.npz")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_none_or_damaged_is_named(tmp_path):
    with pytest.raises(DataError, match="expected a readable file"):
        read_samples(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(DataError, match="expected arrays of numbers"):
        read_samples(tmp_path / "text.npz")
    with zipfile.ZipFile(tmp_path / "bytes.npz", "w") as archive:
        archive.writestr("images", "hello")
    with pytest.raises(DataError, match="expected arrays of numbers, got images, which is no"):
        read_samples(tmp_path / "bytes.npz")


def test_an_npz_that_swells_is_refused(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "a.npz", images=np.zeros((9, 8, 8), np.uint8))
    assert len(read_samples(tmp_path / "a.npz")) == 9
    monkeypatch.setattr("gan_jax.data.folder.arrays.MAX_BYTES", 500)
    with pytest.raises(DataError, match=r"expected at most 0 GiB.*when unpacked"):
        read_samples(tmp_path / "a.npz")


def test_a_folder_and_a_zip_of_pictures_hold_their_pixels_in_the_order_of_names(tmp_path):
    folder = tmp_path / "theirs"
    folder.mkdir()
    with zipfile.ZipFile(tmp_path / "theirs.zip", "w") as archive:
        for i, pixels in enumerate(PIXELS):
            Image.fromarray(pixels).save(folder / f"{i}.png")
            archive.write(folder / f"{i}.png", f"inside/{i}.png")
    np.testing.assert_array_equal(read_samples(folder), PIXELS)
    np.testing.assert_array_equal(read_samples(tmp_path / "theirs.zip"), PIXELS)
    Image.fromarray(PIXELS[0, :2]).save(folder / "a.png")
    with pytest.raises(DataError, match=r"of one size, got 2, such as \(2, 4\) and \(5, 4\)"):
        read_samples(folder)


def test_grey_pictures_have_one_channel_and_a_folder_without_any_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"that end in \.png.*got none"):
        read_samples(tmp_path)
    Image.fromarray(PIXELS[0, ..., 0]).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_samples(tmp_path), PIXELS[:1, ..., :1])
