"""Run folders of version 0.1.0, kept as it left them, open for ever: read, sampled, measured, gone on with."""

import importlib
import json
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest

from experiments import gaussians, mnist
from experiments.command.config import LATER
from experiments.command.experiment import Task
from experiments.many import folder as population_folder
from experiments.many import members
from experiments.measuring.evaluation import Request, evaluate_run
from experiments.record.restored import restore_run
from experiments.training import loop
from gan_jax import plots
from gan_jax.sampling import sample_latents, to_pixels

KEPT = Path(__file__).parents[1] / "fixtures" / "runs_0_1_0"
members.define_flags()


@pytest.fixture
def runs(tmp_path) -> Path:
    """A copy of the kept folders, which tests may change."""
    return shutil.copytree(KEPT, tmp_path / "runs")


def test_the_fixtures_are_older_than_the_newer_flags():
    config = json.loads((KEPT / "digits" / "run.json").read_text())["config"]
    assert not {"g_hidden", "d_hidden"} & config.keys() and {"g_hidden", "d_hidden"} <= LATER.keys()


def test_samples_are_those_that_the_version_drew_itself():
    run = restore_run(KEPT / "digits")
    own = importlib.import_module(
        "experiments.mnist"
    ).EXPERIMENT  # other tests may have imported it anew
    assert (run.experiment, run.step, run.config.g_hidden) == (own, 20, "")
    start_key, _ = jax.random.split(jax.random.key(0))  # as experiments.sample draws
    samples = to_pixels(run.generate(sample_latents(start_key, 4, run.config.latent_dim)))
    drawn = np.load(KEPT / "digits_samples.npz", allow_pickle=False)["images"]
    assert np.abs(np.asarray(samples, int) - drawn).max() <= 1  # rounding to 8 bits


def test_measures_are_those_that_the_version_printed(runs):
    folder = runs / "ring_seeds" / "seed_1"
    before = json.loads((folder / "evaluation.json").read_text())[-1]["measures"]
    after = evaluate_run(folder, Request())[-1]["measures"]
    for name in ("modes", "high_quality", "mode_kl"):
        assert after[name]["value"] == pytest.approx(before[name]["value"], rel=1e-3)
        assert after[name]["floor"] == pytest.approx(before[name]["floor"], rel=1e-3)


def test_images_are_measured(runs):
    result = evaluate_run(runs / "digits", Request(("kernel",), num_samples=50))[-1]
    assert result["step"] == 20 and result["measures"]["kernel"]["value"] > 1


def longer(folder: Path, num_steps: int):
    """The configuration of a kept run, taken further."""
    config = restore_run(folder).config
    values = {"workdir": str(folder), "num_steps": num_steps, "compilation_cache": ""}
    return type(config)(**{**vars(config), **values})


@pytest.mark.parametrize(("name", "program"), [("digits", mnist), ("ring_seeds/seed_0", gaussians)])
def test_a_run_goes_on_where_it_stood(runs, name, program, monkeypatch):
    for picture in ("save_curves", "save_animation", "save_grid", "save_scatter"):
        monkeypatch.setattr(plots, picture, lambda *arguments, **options: None)
    folder = runs / name
    config = longer(folder, 30)
    assert loop.train(Task(program.EXPERIMENT, config, program.load(config))) == 0
    steps = [
        json.loads(line)["step"] for line in (folder / "metrics.jsonl").read_text().splitlines()
    ]
    assert steps == [5, 10, 15, 20, 25, 30]
    seconds = [
        json.loads(line)["seconds"] for line in (folder / "metrics.jsonl").read_text().splitlines()
    ]
    assert seconds == sorted(seconds)
    assert restore_run(folder).step == 30


def test_a_population_takes_further_seeds(runs):
    known = population_folder.read(runs / "ring_seeds")
    assert list(known.members) == ["seed_0", "seed_1"] and known.groups == [["seed_0", "seed_1"]]
