"""`experiments.sounds`: one command on a folder of WAV files trains, and ends in sounds."""

import json

import numpy as np
import pytest
from commands import TINY, call, import_main
from picture_files import write
from PIL import Image
from scipy.io import wavfile
from sound_files import as_int16, tone, wav

from experiments.measuring import evaluation, saved_samples
from experiments.record.restored import restore_run

SMALL = (*TINY, "--num_steps=2", "--compilation_cache=", "--latent_dim=4", "--duration=0.15")


@pytest.fixture(scope="module")
def main():
    return import_main("sounds")


def command(folder, tmp_path, *more: str) -> list[str]:
    return [
        f"--data_dir={folder}",
        f"--workdir={tmp_path}/run",
        f"--data_cache={tmp_path}/kept",
        *SMALL,
        *more,
    ]


def recordings() -> dict[str, bytes]:
    """Twenty tones, low and high, of two rates."""
    return {
        f"{'high' if i % 2 else 'low'}/{i}.wav": wav(
            as_int16(tone(300 + 20 * i + 1500 * (i % 2), rate=rate)), rate
        )
        for i, rate in enumerate((8000, 11_025) * 10)
    }


def test_a_folder_of_sounds_trains_and_is_heard_and_measured(main, tmp_path, capsys):
    folder = write(tmp_path / "tones", recordings())
    outcome = call(main, command(folder, tmp_path, "--conditional"), capsys)
    assert outcome.code == 0, outcome.err
    run = json.loads((tmp_path / "run" / "run.json").read_text())
    assert run["dataset"]["shape"] == [64, 16, 1]
    assert run["dataset"]["class_names"] == ["high", "low"]
    rate, heard = wavfile.read(tmp_path / "run" / "samples.wav")
    assert (rate, len(heard)) == (8000, 10 * (1200 + 1600) - 1600)  # five of each class
    assert (tmp_path / "run" / "waves.png").exists()
    (found,) = evaluation.evaluate_run(tmp_path / "run", evaluation.Request(num_samples=20))
    assert set(found["measures"]) >= {"pixel_frechet", "neighbour_ratio", "copied"}

    restored = restore_run(tmp_path / "run")
    labels = restored.draw_labels(0, 3)
    samples = restored.generate(np.zeros((3, 4), np.float32), labels)
    saved_samples.save(restored, samples, labels, tmp_path / "a.npz", columns=1)
    with np.load(tmp_path / "a.npz") as archive:
        assert archive["waves"].shape == (3, 1200) and archive["class_names"].tolist() == [
            "high",
            "low",
        ]


@pytest.mark.slow  # two programs to compile
def test_a_folder_of_sounds_trains_as_waves_and_goes_on(main, tmp_path, capsys):
    folder = write(tmp_path / "tones", recordings())
    waves = ("--conditional", "--network=wave", "--phase_shuffle=2", "--duration=0.02")
    outcome = call(main, command(folder, tmp_path, *waves), capsys)
    assert outcome.code == 0, outcome.err
    run = json.loads((tmp_path / "run" / "run.json").read_text())
    assert run["dataset"]["shape"] == [1, 160, 1]
    rate, heard = wavfile.read(tmp_path / "run" / "samples.wav")
    assert (rate, len(heard)) == (8000, 10 * (160 + 1600) - 1600)
    (found,) = evaluation.evaluate_run(tmp_path / "run", evaluation.Request(num_samples=20))
    assert set(found["measures"]) >= {"pixel_frechet", "neighbour_ratio", "copied"}

    restored = restore_run(tmp_path / "run")
    samples = restored.generate(np.zeros((3, 4), np.float32), restored.draw_labels(0, 3))
    assert samples.shape == (3, 1, 160, 1) and np.abs(samples).max() <= 1
    labels = restored.draw_labels(0, 3)
    saved_samples.save(restored, samples, labels, tmp_path / "a.npz", columns=1)
    with np.load(tmp_path / "a.npz") as archive:
        np.testing.assert_array_equal(archive["waves"], samples[:, 0, :, 0])
    saved_samples.save(restored, samples, labels, tmp_path / "a.png", columns=3)
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.height > 64  # spectrograms, not rows of one pixel
    more = call(main, command(folder, tmp_path, *waves, "--num_steps=4"), capsys)
    assert more.code == 0 and "step 4/4" in more.out


@pytest.mark.parametrize(
    ("files", "more", "said"),
    [
        ({"low/text.wav": b"text"}, (), "cannot be read: low/text.wav (no WAV inside)"),
        ({}, ("--duration=0",), "--duration"),
        ({}, ("--network=wave", "--duration=0.151"), "needs waves whose length 16 divides"),
        ({}, ("--phase_shuffle=2",), "--phase_shuffle is of --network=wave"),
        ({}, ("--classes=middle",), "expected --classes from high, low, got middle"),
    ],
)
def test_what_is_in_the_way_is_named_in_one_line(main, tmp_path, capsys, files, more, said):
    folder = write(tmp_path / "a", recordings() | files)
    outcome = call(main, command(folder, tmp_path, *more), capsys)
    assert outcome.code == 1 and said in outcome.err and outcome.err.count("\n") == 1
