"""A WAV file becomes a sound of the rate and length asked for, or says why not."""

import numpy as np
import pytest
from picture_files import write
from sound_files import as_int16, tone, wav

from gan_jax.data import DataError, Naming, load_sounds, load_waves
from gan_jax.data.folder import sounds
from gan_jax.data.folder.files import UnreadableError
from gan_jax.data.folder.sounds import _only_damage_is_told, read_wave
from gan_jax.signals import Spectrogram, to_picture

HOW = Spectrogram(8000, 800)
WAVE = tone(440)


def heard(content: bytes, how: Spectrogram = HOW) -> np.ndarray:
    with _only_damage_is_told():
        return read_wave(content, how)


def test_formats_of_all_kinds_are_one_sound():
    np.testing.assert_allclose(heard(wav(as_int16(WAVE))), WAVE, atol=2**-15)
    np.testing.assert_allclose(
        heard(wav(np.rint(2.0**31 * WAVE).astype(np.int32))), WAVE, atol=1e-9
    )
    np.testing.assert_allclose(
        heard(wav(np.rint(128 * WAVE + 128).astype(np.uint8))), WAVE, atol=2**-7
    )
    np.testing.assert_allclose(heard(wav(WAVE.astype(np.float32))), WAVE, atol=1e-7)
    assert heard(wav(np.full(800, -32768, np.int16))).min() == -1


def test_channels_are_averaged():
    both = np.stack([WAVE, tone(880)], axis=1).astype(np.float32)
    np.testing.assert_allclose(heard(wav(both)), (WAVE + tone(880)) / 2, atol=1e-7)


@pytest.mark.parametrize("rate", [4000, 11_025, 44_100])
def test_another_rate_is_the_same_sound(rate):
    found = heard(wav(tone(440, rate=rate).astype(np.float32), rate))
    inside = slice(80, 720)  # a filter rings where a sound begins and ends
    np.testing.assert_allclose(found[inside], WAVE[inside], atol=0.01)


def test_short_sounds_are_followed_by_silence_and_long_ones_cut_behind():
    short, long = heard(wav(WAVE[:300])), heard(wav(tone(440, 60.0)))
    np.testing.assert_allclose(short[:300], WAVE[:300])
    assert (short[300:] == 0).all() and short.shape == (800,)
    np.testing.assert_allclose(long, WAVE)


WHOLE = wav(as_int16(WAVE))
DAMAGED = {
    "text": (b"not a sound", "no WAV inside"),
    "avi": (b"RIFF\x10\0\0\0AVI LIST", "no WAV inside"),
    "cut": (WHOLE[:600], "damaged: Reached EOF prematurely"),
    "header only": (WHOLE[:20], "damaged"),
    "compressed": (wav(as_int16(WAVE), kind=85), "damaged: Unknown wave file format"),
    "empty": (wav(np.zeros(0, np.int16)), "0 samples at 8000 in a second"),
    "slow": (wav(as_int16(WAVE), rate=1), "800 samples at 1 in a second"),
    "nan": (wav(np.full(800, np.nan, np.float32)), "values that are not finite"),
    "many": (wav(np.zeros((4, 100), np.int16)), "100 channels are too many"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_what_cannot_be_read_says_why(name):
    content, why = DAMAGED[name]
    with pytest.raises(UnreadableError, match=why):
        heard(content)


def recordings() -> dict[str, bytes]:
    return {
        f"recordings/{digit}_{who}_{take}.wav": wav(as_int16(tone(200 + 37 * digit + take, peak=0.3)))
        for digit in (0, 1, 10) for who in ("ana", "bo") for take in range(6)
    }  # fmt: skip


def test_a_folder_becomes_pictures_with_the_classes_and_the_test_set_that_names_tell(tmp_path):
    naming = Naming(label_by=r"(\d+)_[a-z]+_\d+\.wav$", held_out_names=r"_[0-4]\.wav$")
    folder = write(tmp_path / "digits", recordings() | {"README.md": b"about"})
    train, test = load_sounds(folder, HOW, naming, cache=tmp_path / "kept")
    assert train.class_names == ("0", "1", "10") and train.name == "digits"
    assert (train.images.shape, test.images.shape) == ((6, *HOW.shape), (30, *HOW.shape))
    assert train.labels.tolist() == [
        0,
        0,
        2,
        2,
        1,
        1,
    ]  # by name: 0_ana, 0_bo, 10_ana, 10_bo, 1_ana, 1_bo
    content = recordings()["recordings/1_bo_5.wav"]
    np.testing.assert_array_equal(train.images[5], to_picture(heard(content), HOW))
    again = load_sounds(folder, HOW, naming, cache=tmp_path / "kept")
    assert again.train.sha256 == train.sha256 and len(list((tmp_path / "kept").glob("*.npy"))) == 1
    longer = load_sounds(folder, HOW._replace(num_samples=1600), naming, cache=tmp_path / "kept")
    assert longer.train.images.shape[2] == 32


def test_a_folder_becomes_waves_as_loud_as_can_be_on_the_same_sides(tmp_path):
    naming = Naming(label_by=r"(\d+)_[a-z]+_\d+\.wav$", held_out_names=r"_[0-4]\.wav$")
    silent = {"recordings/2_ana_7.wav": wav(np.zeros(300, np.int16))}
    folder = write(tmp_path / "digits", recordings() | silent)
    parts = load_waves(folder, HOW, naming, cache=tmp_path / "kept")
    pictures = load_sounds(folder, HOW, naming)
    for waves, drawn in zip(parts, pictures, strict=True):
        assert waves.images.shape == (len(drawn.labels), 1, HOW.num_samples, 1)
        assert waves.images.dtype == np.float32 and waves.class_names == drawn.class_names
        np.testing.assert_array_equal(waves.labels, drawn.labels)
        peaks = np.abs(waves.images).max(axis=(1, 2, 3))
        assert set(peaks.tolist()) <= {0.0, 1.0} and (peaks == 0).sum() == (waves.labels == 2).sum()
    wave = heard(recordings()["recordings/1_bo_5.wav"])
    np.testing.assert_allclose(parts.train.images[5, 0, :, 0], wave / np.abs(wave).max(), rtol=1e-6)


def test_only_what_is_heard_of_a_long_recording_becomes_floats(monkeypatch):
    seen = []
    as_floats = sounds._as_floats
    monkeypatch.setattr(sounds, "_as_floats", lambda x: seen.append(len(x)) or as_floats(x))
    rate, needed = HOW.sample_rate, HOW.num_samples
    long = wav(np.zeros(20 * rate, np.int16), rate)
    assert not heard(long).any() and seen[0] <= needed + rate


def test_one_line_names_what_is_no_sound(tmp_path):
    folder = write(tmp_path, recordings() | {"recordings/x_cut.wav": WHOLE[:600]})
    with pytest.raises(
        DataError, match=r"of 37 files 1 cannot be read: recordings/x_cut\.wav \(damaged"
    ):
        load_sounds(folder, HOW, Naming())
    with pytest.raises(DataError, match=r"expected files that end in \.wav, got none"):
        load_sounds(write(tmp_path / "b", {"a.mp3": b""}), HOW, Naming())
