"""experiments.gaussians and experiments.vanishing_gradient from end to end, small."""

import json

import numpy as np
import pytest
from commands import TINY, run


@pytest.mark.slow
def test_the_plane_counts_modes_and_samples_points(tmp_path):
    folder, out = tmp_path / "run", tmp_path / "points.npz"
    outcome = run("gaussians", *TINY, "--dataset=ring", f"--workdir={folder}")
    assert outcome.code == 0, outcome.err
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert all(0 <= record["modes"] <= 8 and 0 <= record["high_quality"] <= 1 for record in records)
    assert (folder / "samples.png").exists() and (folder / "progress.gif").exists()
    assert run("sample", f"--workdir={folder}", "--num_samples=5", f"--out={out}").code == 0
    points = np.load(out)["points"]
    assert points.shape == (5, 2) and points.dtype == np.float32


def test_images_are_refused_where_points_are_wanted(tmp_path):
    outcome = run("gaussians", "--dataset=digits", f"--workdir={tmp_path}/run")
    assert outcome.code == 1 and "swiss_roll" in outcome.err and not (tmp_path / "run").exists()


@pytest.mark.slow
def test_the_minimax_gradient_vanishes_and_the_non_saturating_one_does_not(tmp_path):
    outcome = run(
        "vanishing_gradient", f"--workdir={tmp_path}", "--num_steps=60", "--optimum_steps=600"
    )
    assert outcome.code == 0, outcome.err
    results = json.loads((tmp_path / "results.json").read_text())
    first, last = results["gradients"][0], results["gradients"][-1]
    assert last["dis_acc"] > 0.95 > first["dis_acc"]
    assert last["non_saturating"] > 10 * last["minimax"]
    assert last["non_saturating"] > first["non_saturating"]
    assert results["optimum_error"] < 0.03
    assert (tmp_path / "gradient.png").exists() and (tmp_path / "optimum.png").exists()
