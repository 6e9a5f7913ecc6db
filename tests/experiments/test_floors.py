"""experiments.floors: what unseen real images score."""

import json
import os

import pytest
from commands import run

from gan_jax.evaluation.features import SHA256


@pytest.mark.parametrize("sizes", ["a", "50", "", "500,x"])
def test_sizes_that_are_none_are_refused_in_a_line(sizes):
    outcome = run("floors", f"--sizes={sizes}", "--data_dir=/nowhere")
    assert outcome.code == 1 and "--sizes" in outcome.err and outcome.err.count("\n") == 1


def test_missing_data_are_told_in_a_line():
    outcome = run("floors", "--data_dir=/nowhere")
    assert outcome.code == 1 and "/nowhere" in outcome.err and outcome.err.count("\n") == 1


@pytest.mark.slow
@pytest.mark.skipif("GAN_JAX_DATA" not in os.environ, reason="needs MNIST: set GAN_JAX_DATA")
def test_the_distance_of_real_images_falls_with_their_number(tmp_path):
    picture = tmp_path / "floors.png"
    outcome = run("floors", "--sizes=300,3000", "--subsets=2", f"--out={picture}")
    assert outcome.code == 0, outcome.err
    found = json.loads(next(line for line in outcome.out.splitlines() if line.startswith("{")))
    few, many = found["rows"]
    assert found["features_sha256"] == SHA256["mnist"]
    assert few["frechet"] > 2 * many["frechet"] > 0
    assert abs(many["frechet_infinity"]) < many["frechet"] * 2
    assert abs(many["kernel"]) < 0.01 and 0.8 < many["precision"] <= 1
    assert picture.exists()
