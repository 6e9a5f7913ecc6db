"""experiments.stacked_mnist from end to end, small; its measures on real triples."""

import json
from functools import partial
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from commands import TINY, reject_constant, run
from idx_files import write_set
from PIL import Image

from experiments.command import config as configs
from experiments.command import experiment as parts
from experiments.command import game, shared_flags
from experiments.command.program import UserError
from experiments.measuring import stacked_digits
from experiments.measuring.measure import frozen_network
from gan_jax import data
from gan_jax.models import NETWORKS
from gan_jax.sampling import sample_triples
from gan_jax.types import Batch

TINY_TRIPLES = (*TINY, "--dataset=digits")
TENTH = np.full(10, 0.1)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run's folder."""
    folder = tmp_path_factory.mktemp("stacked") / "run"
    arguments = (*TINY_TRIPLES, f"--workdir={folder}", "--eval_every=6", "--eval_samples=100")
    outcome = run("stacked_mnist", *arguments)
    assert outcome.code == 0, outcome.err
    return folder


def probabilities(codes):
    """What a classifier that is sure of everything says of triples with these codes."""
    digits = np.stack([codes // 100, codes // 10 % 10, codes % 10], axis=1)
    return np.eye(10, dtype=np.float32)[digits]


def coverage(probabilities, labels):
    return stacked_digits.coverage(stacked_digits.frequencies(labels), None, probabilities)


# The measures


@pytest.mark.parametrize("labels", [[0, 11], [-1, 3]])
def test_labels_that_are_no_digits_are_told_in_one_line(labels):
    with pytest.raises(UserError, match=r"lie in -?\d+\.\.\d+: triples are made of digits 0\.\.9"):
        stacked_digits.frequencies(np.array(labels))


def test_frequencies_are_those_of_independent_digits():
    labels = np.repeat([1, 2, 7], [1, 2, 3])
    found = stacked_digits.frequencies(labels)
    assert found.shape == (1000,)
    np.testing.assert_allclose(found.sum(), 1)
    np.testing.assert_allclose(found[[127, 777, 712]], [1 / 6 * 2 / 6 * 3 / 6, 1 / 8, 1 / 2 / 18])
    assert np.count_nonzero(found) == 27


def test_every_mode_once_is_perfect_and_one_mode_is_not():
    labels = np.arange(10)
    found = coverage(probabilities(np.arange(1000)), labels)
    assert found["modes"].value == 1000 and found["unsure"].value == 0
    assert abs(found["mode_kl"].value) < 1e-9 and abs(found["mode_kl_digits"].value) < 1e-9
    found = coverage(probabilities(np.full(50, 123)), labels)
    assert found["modes"].value == 1
    assert found["mode_kl"].value == pytest.approx(np.log(1000))
    assert found["mode_kl"].interval.low == pytest.approx(found["mode_kl"].interval.high)


def test_kl_to_the_digits_knows_that_they_are_not_uniform():
    labels = np.repeat(np.arange(10), np.arange(1, 11))
    share = stacked_digits.frequencies(labels)
    codes = np.repeat(np.arange(1000), np.round(share * 55**3).astype(int))
    found = coverage(probabilities(codes), labels)
    assert found["mode_kl_digits"].value < 1e-9 < 0.1 < found["mode_kl"].value


def test_intervals_lie_around_their_values():
    codes = np.random.default_rng(0).integers(0, 1000, 2000)
    for name, (value, interval) in coverage(probabilities(codes), np.arange(10)).items():
        assert interval.low <= value <= interval.high, name
        assert name == "unsure" or interval.low < interval.high, name


def test_unsure_digits_are_counted_one_by_one():
    p = probabilities(np.zeros(4, int))
    p[0, 1] = TENTH
    p[3, 0], p[3, 2] = TENTH, TENTH
    found = coverage(p, np.arange(10))["unsure"]
    assert found.value == pytest.approx(3 / 12)


def test_channels_are_read_in_their_order():
    images = data.load("digits").images[:30]
    network = frozen_network("digits")
    triples = np.concatenate([images[:10], images[10:20], images[20:]], axis=3)
    alone = stacked_digits.embed(network, images)[1]
    np.testing.assert_allclose(
        stacked_digits.read(network, triples), alone.reshape(3, 10, 10).swapaxes(0, 1), atol=1e-5
    )


@pytest.mark.slow
def test_real_triples_of_mnist_reach_every_mode_as_a_perfect_sampler_would(data_dir):
    place = {"data_dir": str(data_dir)}
    train, test = (data.load("mnist", split=split, **place) for split in ("train", "test"))
    draw = jax.jit(partial(sample_triples, num=5000))
    triples = draw(jax.random.key(0), Batch(test.images)).images
    found = coverage(stacked_digits.read(frozen_network("mnist"), triples), train.labels)
    assert found["modes"].value > 985  # 1000 (1 - exp(-5)) of even modes: 993
    assert 0.09 < found["mode_kl_digits"].value < 0.13  # 999 / (2 n) = .10
    assert found["unsure"].value < 0.03


# The program


@pytest.mark.slow
def test_a_run_leaves_what_it_promises(finished):
    records = [
        json.loads(line, parse_constant=reject_constant)
        for line in (finished / "metrics.jsonl").read_text().splitlines()
    ]
    assert [record["step"] for record in records] == [2, 4, 6]
    assert all(1 <= record["modes"] <= 1000 and record["mode_kl"] > 0 for record in records)
    facts = json.loads((finished / "run.json").read_text())
    assert facts["experiment"] == "stacked_mnist"
    assert facts["dataset"]["shape"] == [28, 28, 3] and facts["dataset"]["samples"] == 1500
    for picture in ("samples.png", "samples/6.png"):
        with Image.open(finished / picture) as image:
            assert image.mode == "RGB" and min(image.size) > 100
    (evaluation,) = (finished / "evaluations.jsonl").read_text().splitlines()
    assert json.loads(evaluation)["mode_kl"] > 0


@pytest.mark.slow
def test_a_run_is_measured_beside_real_triples(finished):
    outcome = run("evaluate", f"--workdir={finished}", "--num_samples=300")
    assert outcome.code == 0, outcome.err
    (result,) = json.loads(
        (finished / "evaluation.json").read_text(), parse_constant=reject_constant
    )
    rows = result["measures"]
    assert rows.keys() == {"modes", "mode_kl", "mode_kl_digits", "unsure"}
    assert result["num_samples"] == result["num_floor_samples"] == 300
    assert rows["modes"]["value"] < rows["modes"]["floor"] <= 300
    assert rows["mode_kl"]["value"] > rows["mode_kl"]["floor"]


@pytest.mark.slow
def test_measures_of_grey_images_are_refused(finished):
    outcome = run("evaluate", f"--workdir={finished}", "--measures=frechet")
    assert outcome.code == 1 and "stacked" in outcome.err and outcome.err.count("\n") == 1


@pytest.mark.slow
def test_samples_have_three_channels(finished, tmp_path):
    out = tmp_path / "out.npz"
    assert run("sample", f"--workdir={finished}", "--num_samples=3", f"--out={out}").code == 0
    assert np.load(out)["images"].shape == (3, 28, 28, 3)


@pytest.mark.parametrize("name", ["ring", "odd"])
def test_a_set_that_cannot_be_stacked_is_refused_in_a_line(tmp_path, name):
    write_set(tmp_path / "odd")
    arguments = [f"--dataset={name}", f"--data_dir={tmp_path}", f"--workdir={tmp_path}/run"]
    outcome = run("stacked_mnist", *TINY, *arguments)
    assert outcome.code == 1 and "(28, 28, 1)" in outcome.err, outcome.err
    assert outcome.err.count("\n") == 1 and not (tmp_path / "run").exists()


# The game


def players(*arguments):
    from absl import flags
    from absl.testing import flagsaver

    shared_flags.define_flags()
    with flagsaver.flagsaver():
        flags.FLAGS(["program", "--network=unrolled", *arguments])
        config = configs.from_flags()
        return NETWORKS[config.network](game._options(config, (28, 28, 3), 0))


@pytest.mark.parametrize(("d_width", "base"), [(0.25, 2), (0.5, 4), (1, 8)])
def test_d_width_is_ds_share_of_gs_channels(d_width, base):
    generator, discriminator = players(f"--d_width={d_width}")
    assert (generator.base, discriminator.base) == (8, base)


@pytest.mark.parametrize(
    ("arguments", "norms"),
    [
        ([], (True, True)),
        (["--r1_gamma=1"], (True, False)),
        (["--update=one_stage"], (True, False)),
        (["--loss=relativistic"], (False, False)),
    ],
)
def test_batch_norm_is_left_out_where_single_images_count(arguments, norms):
    generator, discriminator = players(*arguments)
    assert (generator.batch_norm, discriminator.batch_norm) == norms


def test_an_experiments_sample_shape_is_that_of_what_it_draws():
    source = parts.Source(data.load("digits"))
    plain = parts.Experiment("", "images", None, None, None)
    config = SimpleNamespace(conditional=False)
    assert parts.Task(plain, config, source).sample_shape == (28, 28, 1)
    stacked = plain._replace(draw_real=sample_triples)
    assert parts.Task(stacked, config, source).sample_shape == (28, 28, 3)
