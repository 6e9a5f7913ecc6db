"""Where a run's log and pictures go besides its folder."""

import numpy as np

from experiments.training.sinks import NOWHERE, tensorboard
from gan_jax import plots


def test_tensorboard_is_given_numbers_and_pictures_of_samples(tmp_path):
    picture = tmp_path / "4.png"
    plots.save_grid(np.zeros((4, 5, 5, 1)), picture, title="after step 4")
    with tensorboard(tmp_path, True) as sink:
        sink.numbers({"step": 4, "d_loss": 1.25, "seconds": 3.0})
        sink.picture(4, picture)
    (events,) = (tmp_path / "tensorboard").iterdir()
    written = events.read_bytes()
    assert b"d_loss" in written and b"samples" in written and b"\x89PNG" in written
    assert b"seconds" not in written


def test_nobody_who_wants_nothing_is_told(tmp_path):
    with tensorboard(tmp_path, False) as sink:
        assert sink is NOWHERE
        sink.picture(1, tmp_path / "missing.png")
    assert list(tmp_path.iterdir()) == []
