"""A run of an experiment with labels is measured and sampled with classes as frequent as in its training data."""

import importlib
import sys
from functools import partial

import jax
import numpy as np
import pytest
from absl import flags
from small_runs import configure
from tiny import EmbeddingGenerator, ProjectionDiscriminator, normal

from experiments import gaussians, mnist, stacked_mnist
from experiments.command.experiment import Source, Task
from experiments.command.program import UserError
from experiments.measuring import evaluation
from experiments.record import restored
from experiments.record.restored import RestoredRun, restore_run
from experiments.training import loop
from gan_jax import data, plots
from gan_jax.data.dataset import make_dataset
from gan_jax.networks import from_linen
from gan_jax.steps import init_state
from gan_jax.types import Batch


def build(config, sample_shape):
    """Assemble a conditional game."""
    return gaussians.build(config, sample_shape)._replace(
        generator=from_linen(EmbeddingGenerator(classes=8)),
        discriminator=from_linen(ProjectionDiscriminator(classes=8)),
    )


EXPERIMENT = gaussians.EXPERIMENT._replace(name="fork", build=build, labelled=True)


@pytest.fixture
def run(tmp_path) -> RestoredRun:
    """A conditional run that has taken no step yet."""
    config = configure(tmp_path, dataset="ring", latent_dim=2)
    gan = build(config, (2,))
    ring = data.load("ring")
    batch = Batch(ring.images[:4], ring.labels[:4])
    counts = {"class_counts": list(ring.class_counts)}
    facts = {"dataset": {"shape": [2], "sha256": ring.sha256, **counts}}
    return RestoredRun(config, facts, EXPERIMENT, gan, init_state(gan, jax.random.key(0), batch), 0)


def with_flags_of_its_own(name: str, monkeypatch):
    """Import a program whose flags bear names of the training programs', which this process has too."""
    values = flags.FlagValues()
    for kind in ("string", "integer", "bool"):
        define = getattr(flags, f"DEFINE_{kind}")
        monkeypatch.setattr(flags, f"DEFINE_{kind}", partial(define, flag_values=values))
    module = importlib.import_module(f"experiments.{name}")
    sys.modules.pop(module.__name__)
    return module, values


def test_it_is_measured(run, tmp_path):
    found = evaluation._evaluate(run, evaluation.Request(num_samples=20), tmp_path)
    assert found["num_samples"] == 20 and np.isfinite(found["measures"]["shortfall"]["value"])


@pytest.mark.parametrize(("walk", "total"), [((), 400), (("--interpolate",), 4000)])
def test_its_samples_are_saved_with_their_classes(run, tmp_path, monkeypatch, walk, total):
    monkeypatch.setattr(restored, "restore_run", lambda *arguments, **options: run)
    monkeypatch.setattr(
        "experiments.record.chosen_checkpoint.find_checkpoint", lambda *arguments: None
    )
    out = tmp_path / "points.npz"
    sample, its_flags = with_flags_of_its_own("sample", monkeypatch)
    its_flags(["sample", f"--workdir={tmp_path}", "--num_samples=400", f"--out={out}", *walk])
    assert sample.main() == 0
    found = np.load(out)
    assert found["points"].shape == (total, 2)
    assert found["labels"].shape == (total,) and found["labels"].dtype == np.int32
    counts = np.bincount(found["labels"], minlength=8) / (total // 400)
    assert np.abs(counts - 50).max() < 5 * np.sqrt(50)  # the modes of the ring are equally likely


# --conditional


@pytest.fixture(scope="module")
def source() -> Source:
    """Digits with few classes, so that the shares are seen: 0 three times as often as 1, and no 2."""
    digits = data.load("digits")
    few = [digits.labels == k for k in (0, 1)]
    chosen = np.concatenate([np.flatnonzero(few[0])[:60], np.flatnonzero(few[1])[:20]])
    names = ("nought", "one", "two")
    train = make_dataset(digits.images[chosen], digits.labels[chosen], "digits", names)
    return Source(train, train)


def conditional_task(folder, source, **values) -> Task:
    config = configure(folder, conditional=True, **values)
    experiment = mnist.EXPERIMENT._replace(load=lambda config: source)
    return Task(experiment, config, source)


def test_a_conditional_run_is_trained_continued_and_read_back(tmp_path, source, monkeypatch):
    for name in ("save_curves", "save_animation"):
        monkeypatch.setattr(plots, name, lambda *arguments: None)
    for steps in (2, 4):
        assert loop.play(conditional_task(tmp_path, source, num_steps=steps)) == 0
    run = restore_run(tmp_path)
    assert run.step == 4
    assert run.class_names == ("nought", "one", "two")
    assert run.state.generator.params["classes"]["embedding"].shape[0] == 3
    counts = np.bincount(run.draw_labels(0, 4000), minlength=3) / 4000
    np.testing.assert_allclose(counts, [0.75, 0.25, 0.0], atol=0.03)
    z = normal(0, 2, run.config.latent_dim)
    noughts, ones = (run.generate(z, np.full(2, k, np.int32)) for k in (0, 1))
    assert np.abs(noughts - ones).max() > 1e-3


def test_what_knows_no_classes_refuses_conditional_in_one_line(tmp_path, source):
    task = conditional_task(tmp_path, source)
    for wrong, message in (
        (source.train._replace(labels=None, class_names=()), "digits tells of 0 classes"),
        (source.train._replace(class_names=("all",)), "digits tells of 1 classes"),
    ):
        with pytest.raises(UserError, match=f"--conditional: {message}: leave it out"):
            task._replace(source=Source(wrong, wrong)).gan  # noqa: B018
    stacked = task._replace(experiment=stacked_mnist.EXPERIMENT)
    with pytest.raises(UserError, match="--conditional: stacked_mnist tells its players of no cla"):
        stacked.gan  # noqa: B018
