"""experiments.train_judges and experiments.sounds_protocol: what is learnt from, and what is in the way in one line."""

import jax
import numpy as np
import pytest
from commands import run
from picture_files import write
from sound_files import as_int16, tone, wav

from experiments.measuring import judge_training
from experiments.measuring.spoken_digits import Recordings
from gan_jax.evaluation import judges

T = judges.SOUND.num_samples


def test_recordings_keep_their_labels_there_and_back_and_all_else_is_none():
    waves = np.stack([np.pad(tone(200 + 50 * i, 0.3), (0, T - 2400)) for i in range(12)])
    digits, speakers = np.arange(12, dtype=np.int32) % 10, np.arange(12, dtype=np.int32) % 6
    train = Recordings(waves.astype(np.float32), digits, speakers)
    before = train.waves.copy()
    found = judge_training.gather(train, np.random.default_rng(0))
    np.testing.assert_array_equal(train.waves, before)
    num_none = 6 + 6 + 3 + 2 + 3 * 2  # backwards, mixed, hissed, noise, and of three Gaussians
    assert found.pictures.shape == (12 + 12 + num_none, *judges.SOUND.shape)
    for labels, own, none in ((found.digits, digits, 10), (found.speakers, speakers, 6)):
        np.testing.assert_array_equal(labels[:24], np.tile(own, 2))
        assert (labels[24:] == none).all()
    np.testing.assert_array_equal(found.pictures[:12], judge_training.pictures_of(waves))
    near = np.abs(found.pictures[:12].astype(float) - found.pictures[12:24]).mean(axis=(1, 2, 3))
    assert (near > 0).any() and near.max() < 10  # of 255


def test_pictures_are_moved_and_made_louder_and_black_stays_black():
    pictures = np.zeros((50, 64, 64, 1), np.uint8)
    pictures[:, 10, 30] = 128
    found = np.asarray(judge_training.vary(jax.random.key(0), pictures))[..., 0]
    rows, columns = (np.argwhere(found > -1)[:, axis] for axis in (1, 2))
    assert (found > -1).sum() == 50 and set(rows) == {10}
    assert set(columns) <= set(range(22, 39)) and len(set(columns)) > 8
    levels = found.max(axis=(1, 2)) - (128 / 127.5 - 1)
    assert np.abs(levels).max() <= 0.2 + 1e-6 and np.ptp(levels) > 0.2


@pytest.mark.parametrize("name", ["train_judges", "sounds_protocol"])
def test_what_is_in_the_way_is_told_in_one_line(tmp_path, name):
    outcome = run(name)
    assert outcome.code == 1 and "--data_dir is missing" in outcome.err
    files = {
        f"{digit}_ann_{take}.wav": wav(as_int16(tone(300))) for digit in (0, 1) for take in (0, 5)
    }
    outcome = run(name, f"--data_dir={write(tmp_path / 'others', files)}")
    assert outcome.code == 1 and "expected ten digits and george" in outcome.err
