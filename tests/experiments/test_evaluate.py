"""experiments.evaluate: what it measures, what it writes, what it refuses."""

import json
import subprocess
import sys

import jax
import numpy as np
import pytest
from commands import ROOT, TINY, call, import_main, reject_constant, run

from experiments.measuring import grey_images, measures, mixtures
from experiments.measuring.drawing import Way
from experiments.measuring.drawing import draw as draw_samples
from experiments.record.restored import restore_run
from gan_jax import data
from gan_jax.evaluation.features import SHA256, load_features
from gan_jax.sampling import sample_latents


@pytest.fixture(scope="module")
def digits():
    """The network, and real digits: 600 to train on, 200 unseen, 200 in the place of samples."""
    network = load_features("mnist")
    images = data.load("digits").images
    parts = images[:600], images[600:800], images[800:1000]
    return network, *(grey_images.embed_images(network, part) for part in parts)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run's folder."""
    folder = tmp_path_factory.mktemp("evaluate") / "run"
    assert run("mnist", *TINY, f"--workdir={folder}").code == 0
    return folder


def test_every_value_lies_in_its_interval(digits):
    _, train, unseen, samples = digits
    for measure in grey_images.MEASURES:
        for name, (value, interval) in measure.compute(train, unseen, samples).items():
            assert np.isfinite(value)
            if interval is not None:
                assert interval.low < interval.high
                # KL of a small sample rises when it is resampled: its interval may begin above it.
                assert name == "class_kl" or interval.low <= value <= interval.high, name


def test_copies_are_seen_as_copies(digits):
    _, train, unseen, _ = digits
    stolen = grey_images.Embedded(*(part[:100] for part in train))
    found = grey_images.copies(train, unseen, stolen)
    assert found["neighbour_ratio"].value == 0.0 and found["copied"].value == 1.0


def test_one_class_alone_is_seen_in_every_measure_of_variety(digits):
    _, train, unseen, samples = digits
    ones = samples.probabilities.argmax(axis=1) == 1
    collapsed = grey_images.Embedded(*(part[ones] for part in samples))
    for name in ("frechet", "kernel", "classes"):
        honest = measures.MEASURES[name].compute(train, unseen, samples)
        worse = measures.MEASURES[name].compute(train, unseen, collapsed)
        first = next(iter(honest))
        assert worse[first].value > 3 * max(honest[first].value, 1e-3)
    first_hundred = grey_images.Embedded(*(part[:100] for part in samples))
    one_image = grey_images.Embedded(*(np.repeat(part[:1], 100, axis=0) for part in samples))
    honest = grey_images.manifold(train, unseen, first_hundred)
    worse = grey_images.manifold(train, unseen, one_image)
    for name in ("recall", "coverage"):
        assert worse[name].value < 0.2 < honest[name].value


def test_a_perfect_sampler_of_the_grid_has_all_its_modes():
    mixture = data.mixture("grid")
    found = mixtures.modes(mixture, None, data.load("grid", split="test").images[:2500])
    assert found["modes"].value == 25
    assert found["high_quality"].interval.low <= 0.989 <= found["high_quality"].interval.high


def test_a_run_of_images_is_measured_beside_its_floor(finished):
    ways = ["--truncation=0.5,0.9", "--rejection", "--rejection_percentile=60"]
    outcome = run("evaluate", f"--workdir={finished}", "--num_samples=100", *ways)
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
    half, most, picked = result["ways"]
    assert [half["truncation"], most["truncation"], picked["rejection"]] == [0.5, 0.9, 60]
    assert half["draws"] == 100 <= picked["accepted"] < picked["draws"]
    assert half["measures"].keys() == rows.keys()
    assert half["measures"]["frechet"]["value"] != rows["frechet"]["value"]
    assert half["measures"]["frechet"]["floor"] == rows["frechet"]["floor"]
    assert "latents truncated at 0.5" in outcome.out and "accepted" in outcome.out


@pytest.mark.slow
def test_a_run_of_points_counts_modes(tmp_path, capsys):
    folder = tmp_path / "run"
    arguments = [*TINY, "--dataset=ring", "--latent_dim=2", f"--workdir={folder}"]
    assert call(import_main("gaussians"), arguments, capsys).code == 0
    assert run("evaluate", f"--workdir={folder}").code == 0
    (result,) = json.loads((folder / "evaluation.json").read_text())
    assert result["num_samples"] == 2500
    assert result["measures"]["modes"]["floor"] == 8


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--measures=fid"], "--measures=fid is unknown"),
        (["--measures=modes"], "to images apply frechet"),
        (["--num_samples=1"], "--num_samples"),
        (["--truncation=0.5,-1"], "--truncation=0.5,-1: name bounds above 0"),
        (["--num_samples=5", "--measures=manifold"], "manifold needs at least 6"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_a_line(finished, arguments, words):
    (finished / "evaluation.json").unlink(missing_ok=True)
    outcome = run("evaluate", f"--workdir={finished}", *arguments)
    assert outcome.code == 1 and words in outcome.err and len(outcome.err.splitlines()) == 1
    assert not (finished / "evaluation.json").exists()


def test_samples_of_anyone_are_measured_by_a_command(tmp_path):
    file = tmp_path / "theirs.npz"
    np.savez(file, images=data.load("digits").images[:30])
    outcome = run("evaluate", f"--samples={file}", "--dataset=digits", "--measures=copies")
    assert outcome.code == 0 and "30 samples" in outcome.out
    (result,) = json.loads((tmp_path / "theirs_evaluation.json").read_text())
    assert result["num_samples"] == 30 and result["measures"]["copied"]["value"] > 0.5


@pytest.mark.parametrize(
    "flag", ["--rejection", "--rejection_percentile=80", "--noema", "--workdir=run"]
)
def test_what_only_a_run_has_is_refused_beside_samples(tmp_path, flag):
    outcome = run("evaluate", f"--samples={tmp_path / 'theirs.npz'}", "--dataset=digits", flag)
    assert outcome.code == 1 and "samples of a file have no run" in outcome.err
    assert len(outcome.err.splitlines()) == 1


@pytest.mark.parametrize("arguments", [[], ["--workdir=nowhere"]])
def test_a_folder_that_is_no_run_is_refused(arguments):
    outcome = run("evaluate", *arguments)
    assert outcome.code == 1 and len(outcome.err.splitlines()) == 1


@pytest.mark.slow
def test_a_run_that_measures_itself_keeps_its_best_which_can_be_drawn_and_measured(
    tmp_path, capsys
):
    folder = tmp_path / "run"
    arguments = [*TINY, "--dataset=ring", "--latent_dim=2", f"--workdir={folder}", "--eval_every=3"]
    arguments += ["--num_steps=12", "--g_lr=0.01", "--ema_half_life_images=20"]
    outcome = call(import_main("gaussians"), arguments, capsys)
    assert outcome.code == 0, outcome.err
    records = [json.loads(line) for line in (folder / "evaluations.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records] == [3, 6, 9, 12]
    best = min(records, key=lambda record: record["shortfall"])["step"]
    assert best < 12, "choose other flags: this run cannot tell the best from the last"
    choices = {
        "default": [], "last": ["--checkpoint=last"], "best": ["--checkpoint=best"],
        "step": [f"--checkpoint={best}"], "noema": ["--checkpoint=12", "--noema"],
        "truncated": ["--truncation=0.1"], "picked": ["--rejection"],
    }  # fmt: skip
    drawn = draw(folder, tmp_path, choices)
    for name, (step, ema) in {
        "default": (None, True), "last": (12, True), "best": (best, True), "step": (best, True), "noema": (12, False),
    }.items():  # fmt: skip
        restored = restore_run(folder, step=step)
        key, _ = jax.random.split(jax.random.key(0))
        latents = sample_latents(key, 5, restored.config.latent_dim)
        np.testing.assert_array_equal(
            drawn[name], restored.generate(latents, ema=ema), err_msg=name
        )
    assert not np.array_equal(drawn["best"], drawn["last"])
    assert not np.array_equal(drawn["noema"], drawn["last"])
    restored = restore_run(folder)
    for name, way in {"truncated": Way(truncation=0.1), "picked": Way(rejection=80)}.items():
        key, _ = jax.random.split(jax.random.key(0))
        chosen = draw_samples(restored, key, 5, way).samples
        np.testing.assert_array_equal(drawn[name], chosen, err_msg=name)
        assert not np.array_equal(chosen, drawn["last"])
    assert "there are: " in drawn["none"] and drawn["none"].count("\n") == 1
    outcome = run("evaluate", f"--workdir={folder}", "--checkpoint=best", "--noema", "--seed=3")
    assert outcome.code == 0 and f"best checkpoint, step {best}, 2,500 samples" in outcome.out
    (result,) = json.loads((folder / "evaluation.json").read_text())
    asked = {"checkpoint": "best", "step": best, "ema": False, "seed": 3}
    assert {name: result[name] for name in asked} == asked


DRAW_MANY = """
import json, sys
from absl import flags
from experiments import sample
from experiments.command import program
for arguments in json.loads(sys.argv[1]):
    flags.FLAGS.unparse_flags()
    for name in ("checkpoint", "ema"):
        flags.FLAGS[name].unparse()
    try:
        program.run(sample.main, ["sample", *arguments])
    except SystemExit as stop:
        print(stop.code)
"""


def draw(folder, out, choices: dict[str, list[str]]) -> dict[str, object]:
    """Draw 5 samples by each choice of flags, in one process; under "none", what is said of a step that is missing."""
    common = [f"--workdir={folder}", "--num_samples=5"]
    lines = [[*common, f"--out={out}/{name}.npz", *flags] for name, flags in choices.items()]
    lines.append([*common, f"--out={out}/none.npz", "--checkpoint=999"])
    done = subprocess.run(
        [sys.executable, "-c", DRAW_MANY, json.dumps(lines)], cwd=ROOT, capture_output=True, text=True, timeout=300
    )  # fmt: skip
    codes = [line for line in done.stdout.splitlines() if line.isdecimal()]
    assert codes == ["0"] * len(choices) + ["1"], done.stderr
    return {name: np.load(out / f"{name}.npz")["points"] for name in choices} | {
        "none": done.stderr
    }


@pytest.mark.slow
def test_a_resumed_run_has_each_measurement_once(tmp_path, capsys):
    folder, main = tmp_path / "run", import_main("gaussians")
    arguments = [*TINY, "--dataset=ring", "--latent_dim=2", f"--workdir={folder}", "--eval_every=2"]
    assert call(main, arguments, capsys).code == 0
    whole = (folder / "evaluations.jsonl").read_text()
    stray = (
        '{"step": 8, "shortfall": 0.5}\n{"step": 10, "short'  # a later run's, the last cut short
    )
    (folder / "evaluations.jsonl").write_text(whole + stray)
    assert call(main, arguments, capsys).code == 0
    assert (folder / "evaluations.jsonl").read_text() == whole
