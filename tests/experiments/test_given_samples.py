"""Samples that come from anywhere are measured as those of a run are."""

import json

import numpy as np
import pytest

from experiments.command.experiment import Source
from experiments.command.program import UserError
from experiments.measuring import grey_images
from experiments.measuring.evaluation import Request
from experiments.measuring.given_samples import evaluate_samples
from experiments.measuring.results import table
from experiments.record.schema import read_evaluation
from gan_jax import data


@pytest.fixture(scope="module")
def source() -> Source:
    """A few real digits to learn from, and few that are unseen."""
    train, test = data.load("digits"), data.load("digits", split="test")
    return Source(train._replace(images=train.images[:100], labels=train.labels[:100]), test)


def request(*names: str, num: int | None = None) -> Request:
    return Request(names, num)


def test_real_digits_score_as_the_floor_says_and_the_file_says_so(source, tmp_path):
    file, out = tmp_path / "theirs.npz", tmp_path / "out.json"
    unseen = grey_images.unseen(source.held_out, 50)
    np.savez(file, np.moveaxis(unseen, 3, 1))
    result = evaluate_samples(file, source, request("frechet", "agreement"), out)
    assert [result] == read_evaluation(out) == json.loads(out.read_text())
    assert result["num_samples"] == result["num_floor_samples"] == 50
    assert result["features"] == "mnist" and result["dataset"] == source.train.name
    for name in ("frechet", "agreement"):
        row = result["measures"][name]
        assert row["value"] == pytest.approx(row["floor"])
        assert row["interval"][0] < row["interval"][1]
    assert f"{file}, 50 samples" in table(result)


def test_the_first_ones_are_measured_of_more_than_are_asked_for(source, tmp_path):
    np.save(
        tmp_path / "a.npy",
        np.concatenate([source.train.images[:20], 255 - source.train.images[:20]]),
    )
    copied = evaluate_samples(
        tmp_path / "a.npy", source, request("copies", num=20), tmp_path / "out.json"
    )
    assert copied["measures"]["copied"]["value"] == 1


def test_points_are_held_against_their_mixture(tmp_path):
    ring = Source(data.load("ring"), data.load("ring", split="test"))
    np.savez(tmp_path / "points.npz", points=ring.train.images[:2500])
    result = evaluate_samples(tmp_path / "points.npz", ring, Request(), tmp_path / "out.json")
    assert result["measures"]["modes"]["value"] == 8


@pytest.mark.parametrize(
    ("images", "asked", "message"),
    [
        (np.zeros((9, 8, 8, 1), np.uint8), request("copies"), r"shape \(8, 8, 1\), .* has \(28, 28, 1\): resize"),
        (np.zeros((9, 28, 28, 1), np.uint8), request("copies", num=10), "--num_samples=10: .* holds 9"),
        (np.zeros((2, 28, 28, 1), np.uint8), request("manifold"), "needs at least 6"),
        (np.zeros((9, 28, 28, 1), np.uint8), request("modes"), "leaves nothing to measure"),
    ],
)  # fmt: skip
def test_what_cannot_be_measured_is_refused_and_nothing_is_written(
    source, tmp_path, images, asked, message
):
    np.savez(tmp_path / "a.npz", images)
    with pytest.raises(UserError, match=message):
        evaluate_samples(tmp_path / "a.npz", source, asked, tmp_path / "out.json")
    assert not (tmp_path / "out.json").exists()
