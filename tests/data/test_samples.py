"""Samples from elsewhere: the same pixels whatever the layout and range, and nothing guessed that may be wrong."""

import numpy as np
import pytest

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
