"""A run of an experiment with labels is measured and sampled with classes as frequent as in its training data."""

import importlib
import sys
from functools import partial

import jax
import numpy as np
import pytest
from absl import flags
from small_runs import configure
from tiny import EmbeddingGenerator, ProjectionDiscriminator

from experiments import gaussians
from experiments.measuring import evaluation
from experiments.record import restored
from experiments.record.restored import RestoredRun
from gan_jax import data
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
    facts = {"dataset": {"shape": [2], "sha256": ring.sha256}}
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
