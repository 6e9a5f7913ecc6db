"""Sounds that are no digit are made of digits as their names say."""

import numpy as np
import pytest

from gan_jax.evaluation import control_sounds as controls

TWO = np.float32([[1, 2, -4, 0, 0, 0], [0, 5, 5, 5, 5, 0]])


def test_a_sound_played_backwards_starts_at_once_and_is_followed_by_silence():
    assert controls.lengths([*TWO, [0] * 6]).tolist() == [3, 5, 0]
    found = controls.backwards(TWO)
    assert found.tolist() == [[-4, 2, 1, 0, 0, 0], [5, 5, 5, 5, 0, 0]]
    assert controls.backwards(found[:1]).tolist() == TWO[:1].tolist()


def test_mixed_sounds_are_as_loud_as_each_other():
    found = controls.mixed(TWO, np.random.default_rng(0))  # of two sounds, each with the other
    summed = TWO[0] / 4 + TWO[1] / 5
    np.testing.assert_allclose(found, [summed / np.abs(summed).max()] * 2, rtol=1e-6)


def test_a_spliced_sound_begins_as_one_and_ends_as_another():
    found = controls.spliced(TWO, np.random.default_rng(0))
    np.testing.assert_allclose(found[0], [0.25, 1, 1, 1, 0, 0])  # 1 of 3, then 3 of 5
    np.testing.assert_allclose(found[1], [0, 1, 0.5, -1, 0, 0])  # 2 of 5, then 2 of 3


def test_hiss_is_noise_as_loud_as_the_sound():
    rng = np.random.default_rng(0)
    waves = np.zeros((2, 4000))
    waves[0, 1000:2000], waves[1, :500] = 1, 0.5
    found = controls.hissed(waves, rng)
    assert np.abs(found).max(axis=1).tolist() == [1, 1]
    assert not found[0, :900].any() and not found[0, 2100:].any() and not found[1, 700:].any()
    heard = found[0, 1100:1900]
    assert np.abs(np.corrcoef(heard[1:], heard[:-1])[0, 1]) < 0.15  # white
    assert controls.white_noise(3, 50, rng).shape == (3, 50)


def test_a_gaussian_keeps_mean_and_variance_of_pictures():
    """Pixels (100, 50) +- 20 (0.6, 0.8): one direction."""
    steps = np.repeat([-1.0, 1.0], 500)
    rows = np.array([100, 50]) + 20 * steps[:, None] * [0.6, 0.8]
    pictures = np.rint(rows).astype(np.uint8).reshape(1000, 1, 2, 1)
    drawn = controls.gaussian_pictures(pictures, 4000, np.random.default_rng(0), components=1)
    assert drawn.shape == (4000, 1, 2, 1) and drawn.dtype == np.uint8
    found = drawn.reshape(-1, 2).astype(float)
    np.testing.assert_allclose(found.mean(axis=0), [100, 50], atol=1)
    np.testing.assert_allclose(found.std(axis=0), [12, 16], rtol=0.05)


@pytest.mark.parametrize("axis", [1, 2])
def test_a_spectrogram_is_blurred_along_one_axis_and_silence_stays_silent(axis):
    """A Gaussian of .5 pixels leaves of a point 1 / (1 + 2 / e^2 + 2 / e^8) and gives its neighbours e^-2 of that."""
    pictures = np.ones((2, 5, 5, 1), np.uint8)
    pictures[0, 2, 2], pictures[1] = 201, 0
    found = controls.blurred(pictures, 0.5, axis)
    line = [1, 22, 158, 22, 1]  # 1 + 200 * (.000, .106, .786, .106, .000)
    expected = np.ones((5, 5), np.uint8)
    expected[(slice(None), 2) if axis == 1 else 2] = line
    assert found.dtype == np.uint8 and found[0, :, :, 0].tolist() == expected.tolist()
    assert not found[1].any()
    pictures[0, 1, 2] = pictures[0, 2, 1] = 0
    assert controls.blurred(pictures, 0.5, axis)[0, [1, 2], [2, 1], 0].tolist() == [0, 0]


def test_noise_on_a_spectrogram_is_as_strong_as_asked_for_and_spares_silence():
    pictures = np.full((1, 64, 64, 1), 128, np.uint8)
    pictures[0, :, :9] = 0
    found = controls.noisy(pictures, 12.75, np.random.default_rng(0)).astype(float)
    assert not found[0, :, :9].any()
    np.testing.assert_allclose(found[0, :, 9:].std(), 12.75, rtol=0.05)
    np.testing.assert_allclose(found[0, :, 9:].mean(), 128, atol=1)
    assert (
        controls.noisy(np.full((1, 9, 9, 1), 250, np.uint8), 99, np.random.default_rng(0)).min()
        < 250
    )
    np.testing.assert_array_equal(controls.noisy(pictures, 0, np.random.default_rng(0)), pictures)


@pytest.mark.parametrize("name", ["backwards", "mixed", "spliced", "hissed"])
def test_recordings_are_left_as_they_are(name):
    before = TWO.copy()
    given = (TWO,) if name == "backwards" else (TWO, np.random.default_rng(0))
    found = getattr(controls, name)(*given)
    assert found.shape == TWO.shape and found.dtype == np.float32
    np.testing.assert_array_equal(TWO, before)
