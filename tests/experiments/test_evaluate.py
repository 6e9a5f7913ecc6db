"""experiments.evaluate: what it measures, what it writes, what it refuses."""

import json

import numpy as np
import pytest
from commands import TINY, reject_constant, run

from experiments.measuring import measures
from gan_jax import data
from gan_jax.evaluation.features import SHA256, load_features


@pytest.fixture(scope="module")
def digits():
    """The network, and real digits: 600 to train on, 200 unseen, 200 in the place of samples."""
    network = load_features("mnist")
    images = data.load("digits").images
    parts = images[:600], images[600:800], images[800:1000]
    return network, *(measures.embed_images(network, part) for part in parts)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run's folder."""
    folder = tmp_path_factory.mktemp("evaluate") / "run"
    assert run("mnist", *TINY, f"--workdir={folder}").code == 0
    return folder


def test_every_value_lies_in_its_interval(digits):
    _, train, unseen, samples = digits
    for measure in measures.IMAGE_MEASURES.values():
        for name, (value, interval) in measure(train, unseen, samples).items():
            assert np.isfinite(value)
            if interval is not None:
                assert interval.low < interval.high
                # KL of a small sample rises when it is resampled: its interval may begin above it.
                assert name == "class_kl" or interval.low <= value <= interval.high, name


def test_copies_are_seen_as_copies(digits):
    _, train, unseen, _ = digits
    stolen = measures.Embedded(*(part[:100] for part in train))
    found = measures.copies(train, unseen, stolen)
    assert found["neighbour_ratio"].value == 0.0 and found["copied"].value == 1.0


def test_one_class_alone_is_seen_in_every_measure_of_variety(digits):
    _, train, unseen, samples = digits
    ones = samples.probabilities.argmax(axis=1) == 1
    collapsed = measures.Embedded(*(part[ones] for part in samples))
    for name in ("frechet", "kernel", "classes"):
        honest = measures.IMAGE_MEASURES[name](train, unseen, samples)
        worse = measures.IMAGE_MEASURES[name](train, unseen, collapsed)
        first = next(iter(honest))
        assert worse[first].value > 3 * max(honest[first].value, 1e-3)
    first_hundred = measures.Embedded(*(part[:100] for part in samples))
    one_image = measures.Embedded(*(np.repeat(part[:1], 100, axis=0) for part in samples))
    honest = measures.manifold(train, unseen, first_hundred)
    worse = measures.manifold(train, unseen, one_image)
    for name in ("recall", "coverage"):
        assert worse[name].value < 0.2 < honest[name].value


def test_a_perfect_sampler_of_the_grid_has_all_its_modes():
    mixture = data.mixture("grid")
    found = measures.modes(data.load("grid", split="test").images[:2500], *mixture)
    assert found["modes"].value == 25
    assert found["high_quality"].interval.low <= 0.989 <= found["high_quality"].interval.high


def test_a_run_of_images_is_measured_beside_its_floor(finished):
    outcome = run("evaluate", f"--workdir={finished}", "--num_samples=100")
    assert outcome.code == 0, outcome.err
    (result,) = json.loads(
        (finished / "evaluation.json").read_text(), parse_constant=reject_constant
    )
    assert result["step"] == 6 and result["num_samples"] == result["num_floor_samples"] == 100
    assert result["features_sha256"] == SHA256["mnist"]
    rows = result["measures"]
    assert rows["frechet"]["value"] > 10 * rows["frechet"]["floor"] > 0
    assert rows["coverage"]["value"] < rows["coverage"]["floor"]
    assert all(name in outcome.out for name in rows)
    assert (finished / "neighbours.png").exists()


def test_a_run_of_points_counts_modes(tmp_path):
    folder = tmp_path / "run"
    assert run("gaussians", *TINY, "--dataset=ring", f"--workdir={folder}").code == 0
    assert run("evaluate", f"--workdir={folder}").code == 0
    (result,) = json.loads((folder / "evaluation.json").read_text())
    assert result["num_samples"] == 2500
    assert result["measures"]["modes"]["floor"] == 8


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--measures=fid"], "--measures=fid is unknown"),
        (["--measures=modes"], "are for points"),
        (["--num_samples=1"], "--num_samples"),
        (["--num_samples=5", "--measures=manifold"], "N >= 6"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_a_line(finished, arguments, words):
    (finished / "evaluation.json").unlink(missing_ok=True)
    outcome = run("evaluate", f"--workdir={finished}", *arguments)
    assert outcome.code == 1 and words in outcome.err and len(outcome.err.splitlines()) == 1
    assert not (finished / "evaluation.json").exists()


@pytest.mark.parametrize("arguments", [[], ["--workdir=nowhere"]])
def test_a_folder_that_is_no_run_is_refused(arguments):
    outcome = run("evaluate", *arguments)
    assert outcome.code == 1 and len(outcome.err.splitlines()) == 1


def test_a_run_that_measures_itself_keeps_its_best_and_names_it(tmp_path):
    folder = tmp_path / "run"
    arguments = (*TINY, "--dataset=ring", f"--workdir={folder}", "--eval_every=3")
    outcome = run("gaussians", *arguments, "--num_steps=12", "--g_lr=0.01")
    assert outcome.code == 0, outcome.err
    records = [json.loads(line) for line in (folder / "evaluations.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records] == [3, 6, 9, 12]
    best = min(records, key=lambda record: record["shortfall"])
    assert f"best {best['shortfall']:.4g} at step {best['step']}" in outcome.out
    assert (folder / "checkpoints" / str(best["step"])).is_dir()
    assert run("evaluate", f"--workdir={folder}").code == 0
    results = json.loads((folder / "evaluation.json").read_text())
    named = {result["checkpoint"]: result["step"] for result in results}
    assert named == ({"best": best["step"], "last": 12} if best["step"] != 12 else {"last": 12})


def test_a_resumed_run_has_each_measurement_once(tmp_path):
    folder = tmp_path / "run"
    arguments = (*TINY, "--dataset=ring", f"--workdir={folder}", "--eval_every=2")
    assert run("gaussians", *arguments).code == 0
    whole = (folder / "evaluations.jsonl").read_text()
    stray = (
        '{"step": 8, "shortfall": 0.5}\n{"step": 10, "short'  # a later run's, the last cut short
    )
    (folder / "evaluations.jsonl").write_text(whole + stray)
    assert run("gaussians", *arguments).code == 0
    assert (folder / "evaluations.jsonl").read_text() == whole
