"""Samples are written as what they are: pixels, points or waves, with their classes, in one file or in many."""

import dataclasses

import numpy as np
import pytest
from PIL import Image
from scipy.io import wavfile
from small_runs import configure

from experiments import gaussians, images, sounds
from experiments.command.program import UserError
from experiments.measuring.saved_samples import save
from experiments.record.restored import RestoredRun
from gan_jax.data import load_pictures
from gan_jax.signals import Spectrogram, to_waves

NAMES = ["T-shirt/top", ".."]
LABELS = np.array([0, 1, 0], np.int32)


def run_of(experiment, tmp_path, **facts) -> RestoredRun:
    """A run of an experiment, as far as what is written depends on it."""
    config = configure(tmp_path / "run", sample_rate=8000, duration=0.2)
    return RestoredRun(config, {"dataset": facts}, experiment, None, None, 0)


def signed(pixels: np.ndarray) -> np.ndarray:
    return (pixels / 127.5 - 1).astype(np.float32)


def pixels(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def test_sounds_are_written_as_waves_with_their_rate(tmp_path):
    how = Spectrogram(8000, 1600)
    drawn = np.random.default_rng(0).uniform(-1, 1, (3, *how.shape)).astype(np.float32)
    run = run_of(sounds.EXPERIMENT, tmp_path, class_names=["zero", "one"], class_counts=[2, 1])
    save(run, drawn, LABELS, tmp_path / "a.npz", columns=2)
    found = np.load(tmp_path / "a.npz")
    assert found["waves"].dtype == np.float32 and found["sample_rate"] == 8000
    np.testing.assert_array_equal(found["waves"], to_waves(drawn, how))
    assert found["labels"].tolist() == [0, 1, 0] and found["class_names"].tolist() == [
        "zero",
        "one",
    ]

    save(run, drawn, None, tmp_path / "a.wav", columns=2)
    rate, wave = wavfile.read(tmp_path / "a.wav")
    assert (rate, wave.dtype, len(wave)) == (8000, np.int16, 3 * 1600 + 2 * 1600)  # 0.2 s between
    np.testing.assert_array_equal(wave[:1600], np.rint(32767 * found["waves"][0]).astype(np.int16))

    save(run, drawn, LABELS, tmp_path / "many", columns=2)
    assert {str(file.relative_to(tmp_path / "many")) for file in (tmp_path / "many").rglob("*.wav")} == {
        "zero/000000.wav", "one/000001.wav", "zero/000002.wav"
    }  # fmt: skip
    save(run, drawn, None, tmp_path / "a.png", columns=2)


@pytest.mark.parametrize(
    ("names", "folders"),
    [
        (["a/b", "a_b", "a_b_0"], ["0_a_b", "1_a_b", "2_a_b_0"]),
        (["cat", "Cat"], ["0_cat", "1_Cat"]),
        (["..", "0"], ["0_0", "1_0"]),
        (["a/b", "c"], ["a_b", "c"]),
    ],
)
def test_no_two_classes_share_a_folder(tmp_path, names, folders):
    run = run_of(images.EXPERIMENT, tmp_path, class_names=names, class_counts=[1] * len(names))
    labels = np.arange(len(names), dtype=np.int32)
    save(run, signed(pixels(len(names), 8, 6, 1)), labels, tmp_path / "out", columns=2)
    assert sorted(folder.name for folder in (tmp_path / "out").iterdir()) == folders


def test_a_folder_of_pictures_can_be_trained_on_again(tmp_path):
    drawn = pixels(3, 8, 6, 3)
    run = run_of(images.EXPERIMENT, tmp_path, class_names=NAMES, class_counts=[2, 1])
    (tmp_path / "out").mkdir()  # an empty one is taken
    save(run, signed(drawn), LABELS, tmp_path / "out", columns=2)
    with Image.open(
        tmp_path / "out" / "1" / "000001.png"
    ) as picture:  # ".." is no name for a folder
        np.testing.assert_array_equal(np.asarray(picture), drawn[1])
    train, held_out = load_pictures(tmp_path / "out")
    assert train.class_names == ("1", "T-shirt_top")
    assert len(train.images) + len(held_out.images) == 3
    save(
        run_of(images.EXPERIMENT, tmp_path),
        signed(pixels(3, 8, 6, 1)),
        None,
        tmp_path / "grey",
        columns=2,
    )
    assert load_pictures(tmp_path / "grey").train.images.shape == (2, 8, 6, 1)


@pytest.mark.parametrize(("experiment", "shape", "out", "said"), [
    (images.EXPERIMENT, (2, 8, 8, 1), "a.wav", "samples of images are no sounds: let --out end in .png"),
    (gaussians.EXPERIMENT, (2, 2), "folder", "points are no pictures: let it end in .png or .npz"),
])  # fmt: skip
def test_what_cannot_be_written_so_is_refused_and_leaves_nothing(
    tmp_path, experiment, shape, out, said
):
    with pytest.raises(UserError, match=said):
        save(
            run_of(experiment, tmp_path),
            np.zeros(shape, np.float32),
            None,
            tmp_path / out,
            columns=1,
        )
    assert not list(tmp_path.iterdir())


def test_waves_are_written_as_they_are_and_seen_as_spectrograms(tmp_path):
    how = Spectrogram(8000, 1600)
    waves = np.random.default_rng(0).uniform(-1, 1, (3, *how.wave_shape)).astype(np.float32)
    run = run_of(sounds.EXPERIMENT, tmp_path)
    run = run._replace(config=dataclasses.replace(run.config, network="wave"))
    save(run, waves, None, tmp_path / "a.npz", columns=3)
    found = np.load(tmp_path / "a.npz")
    np.testing.assert_array_equal(found["waves"], waves[:, 0, :, 0])
    save(run, waves, None, tmp_path / "a.png", columns=3)
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.height > 64  # and no rows of one pixel
