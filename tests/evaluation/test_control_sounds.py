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


@pytest.mark.parametrize("name", ["backwards", "mixed", "spliced", "hissed"])
def test_recordings_are_left_as_they_are(name):
    before = TWO.copy()
    given = (TWO,) if name == "backwards" else (TWO, np.random.default_rng(0))
    found = getattr(controls, name)(*given)
    assert found.shape == TWO.shape and found.dtype == np.float32
    np.testing.assert_array_equal(TWO, before)
