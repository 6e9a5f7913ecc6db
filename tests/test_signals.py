"""A sound's picture shows where its energy lies, and the way back leads to a sound with the same picture."""

import numpy as np
import pytest

from gan_jax import signals
from gan_jax.signals import Spectrogram, to_picture, to_waves

HOW = Spectrogram(8000, 3072)


def sweep(low: float = 200, high: float = 3000) -> np.ndarray:
    """A tone that rises, in the middle half of the sound, f64[T]."""
    time = np.arange(HOW.num_samples // 2) / HOW.sample_rate
    rising = np.sin(2 * np.pi * (low + (high - low) * time / time[-1] / 2) * time)
    return np.pad(rising, HOW.num_samples // 4)


def band_of(hertz: float) -> float:
    """The row of a frequency, from the mel scale, the lowest band in the last row."""
    mel = 2595 * np.log10(1 + np.array([50, 4000, hertz]) / 700)
    return 63 - ((mel[2] - mel[0]) / (mel[1] - mel[0]) * 65 - 1)


def test_a_picture_has_a_column_for_each_hop_of_12_ms_and_a_multiple_of_16():
    assert (HOW.hop, HOW.columns, HOW.shape) == (96, 32, (64, 32, 1))
    assert Spectrogram(8000, 6144).shape == (64, 64, 1)
    assert Spectrogram(8000, 8192).columns == 96  # 85.3 hops
    assert Spectrogram(16_000, 12_288)[:0] == () and Spectrogram(16_000, 12_288).columns == 64


@pytest.mark.parametrize("hertz", [150, 440, 1000, 3500])
def test_a_tone_is_a_line_at_its_height(hertz):
    wave = np.sin(2 * np.pi * hertz * np.arange(HOW.num_samples) / HOW.sample_rate)
    picture = to_picture(wave, HOW)[..., 0]
    assert picture.dtype == np.uint8 and picture.shape == (64, 32)
    rows = picture[:, 4:-4].argmax(axis=0)
    assert np.abs(rows - band_of(hertz)).max() <= 1


def test_a_pixel_is_decibels_below_the_loudest_and_loudness_is_not_kept():
    wave = np.concatenate([sweep()[:1536], 0.1 * sweep()[1536:]])
    picture = to_picture(wave, HOW).astype(float)
    assert picture.max() == 255
    np.testing.assert_array_equal(to_picture(1e-4 * wave, HOW), picture)
    steady = np.sin(2 * np.pi * 1000 * np.arange(HOW.num_samples) / HOW.sample_rate)
    steady[1536:] *= 0.1  # 20 dB of 60
    column = to_picture(steady, HOW)[:, :, 0].max(axis=0).astype(float)
    assert column[8] - column[24] == pytest.approx(255 / 3, abs=1)


def test_silence_is_black_and_black_is_silence():
    assert (to_picture(np.zeros(HOW.num_samples), HOW) == 0).all()
    assert (to_waves(np.zeros((2, *HOW.shape), np.uint8), HOW) == 0).all()
    picture = to_picture(sweep(), HOW)
    picture[:, :20] = 0
    wave = to_waves(picture[None], HOW)[0]
    assert np.abs(wave[: 16 * HOW.hop]).max() < 0.02 and np.abs(wave).max() == 1


def test_nearly_black_is_silence_too():
    picture = np.full((1, *HOW.shape), 12, np.uint8)  # 2.8 dB
    assert (to_waves(picture, HOW) == 0).all()
    assert (to_waves(picture + 1, HOW) != 0).any()  # 3.06 dB


def test_the_way_there_and_back_keeps_the_picture():
    picture = to_picture(sweep(), HOW)
    waves = to_waves(np.stack([picture, picture]), HOW)
    assert waves.shape == (2, HOW.num_samples) and waves.dtype == np.float32
    np.testing.assert_allclose(waves[0], waves[1], atol=1e-4)
    again = to_picture(waves[0], HOW)
    loud = picture > 255 * 2 / 3  # within 20 dB of the loudest
    error_db = np.abs(picture.astype(float) - again)[loud].mean() * signals.RANGE_DB / 255
    assert error_db < 1.5


def test_what_a_network_draws_is_read_as_the_pixels_are():
    picture = to_picture(sweep(), HOW)[None]
    signed = (picture / 127.5 - 1).astype(np.float32)
    found, expected = to_waves(signed, HOW), to_waves(picture, HOW)
    assert np.abs(found - expected).max() < 0.05
    assert to_waves(picture, HOW, seed=1).shape == expected.shape


def test_real_speech_comes_back_within_a_decibel(data_dir):
    from scipy.io import wavfile

    how = Spectrogram(8000, 6144)
    _, wave = wavfile.read(data_dir / "spoken_digits" / "recordings" / "3_theo_0.wav")
    picture = to_picture(np.pad(wave, (0, how.num_samples))[: how.num_samples], how)
    again = to_picture(to_waves(picture[None], how)[0], how)
    shown = (picture > 0) | (again > 0)
    error = np.abs(picture.astype(float) - again)[shown].mean() * signals.RANGE_DB / 255
    assert error < 1.0


def test_sounds_of_another_kind_are_refused():
    for wave in (np.zeros(7), np.full(HOW.num_samples, np.nan)):
        with pytest.raises(ValueError, match="a sound must be 3072 finite samples"):
            to_picture(wave, HOW)
    with pytest.raises(ValueError, match="pictures must have shape"):
        to_waves(np.zeros((1, 64, 31, 1)), HOW)


def test_many_sounds_are_drawn_as_each_alone():
    waves = np.stack([sweep(), np.zeros(HOW.num_samples), sweep()[::-1]] * 7)
    found = signals.to_pictures(waves, HOW)
    assert found.shape == (21, *HOW.shape)
    for place in (0, 1, 2, 20):
        np.testing.assert_array_equal(found[place], to_picture(waves[place], HOW))
    assert signals.to_pictures(np.zeros((0, HOW.num_samples)), HOW).shape == (0, *HOW.shape)
