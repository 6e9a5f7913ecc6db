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
from experiments.record import chosen_classes, restored
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


@pytest.fixture
def sampled(run, tmp_path, monkeypatch):
    """Sample the run with flags of the test's, to an .npz."""
    monkeypatch.setattr(restored, "restore_run", lambda *arguments, **options: run)
    monkeypatch.setattr(
        "experiments.record.chosen_checkpoint.find_checkpoint", lambda *arguments: None
    )
    out = tmp_path / "points.npz"
    sample, its_flags = with_flags_of_its_own("sample", monkeypatch)

    def call(*flags: str):
        its_flags(["sample", f"--workdir={tmp_path}", f"--out={out}", *flags])
        assert sample.main() == 0
        return np.load(out)

    return call


@pytest.mark.parametrize(("walk", "total"), [((), 400), (("--interpolate",), 4000)])
def test_its_samples_are_saved_with_their_classes(sampled, walk, total):
    found = sampled("--num_samples=400", *walk)
    assert found["class_names"].tolist() == list("01234567")
    assert found["points"].shape == (total, 2)
    assert found["labels"].shape == (total,) and found["labels"].dtype == np.int32
    counts = np.bincount(found["labels"], minlength=8) / (total // 400)
    assert np.abs(counts - 50).max() < 5 * np.sqrt(50)  # the modes of the ring are equally likely


@pytest.mark.parametrize(
    ("label", "labels"),
    [("3", [3] * 16), ("each", [k for k in range(8) for _ in range(2)])],
)
def test_a_class_or_each_class_is_drawn_on_demand(sampled, label, labels):
    assert sampled(f"--label={label}", "--num_samples=16")["labels"].tolist() == labels


def test_a_walk_leads_evenly_from_class_to_class(run):
    shares = np.asarray(chosen_classes.walk_between(run, "3:1", 2, 10))
    assert shares.shape == (20, 8)
    np.testing.assert_allclose(shares[[0, 10]], np.eye(8)[[3, 3]])
    np.testing.assert_allclose(shares[[9, 19]], np.eye(8)[[1, 1]], atol=1e-7)
    np.testing.assert_allclose(shares[3], 2 / 3 * np.eye(8)[3] + 1 / 3 * np.eye(8)[1], atol=1e-6)


def test_classes_are_found_by_name_before_number_and_others_are_refused(run):
    names = ("zero", "5", "a:b")
    assert [chosen_classes.class_number(text, names) for text in ("zero", "5", "2", "0")] == [
        0,
        1,
        2,
        0,
    ]
    for wrong in ("3", "nought", "-1", ""):
        with pytest.raises(UserError, match=f"--label={wrong} is no class of the run: choose a nu"):
            chosen_classes.class_number(wrong, names)
    assert [chosen_classes.is_walk(run, text) for text in ("3:1", "3", None)] == [
        True,
        False,
        False,
    ]
    with pytest.raises(
        UserError, match=r"--label=9{60} is no class"
    ):  # Python reads no such number
        chosen_classes.class_number("9" * 5000, names)
    deaf = run._replace(facts={"dataset": {"shape": [2]}})
    with pytest.raises(
        UserError, match="--label=3: the run knows no classes; train it with --cond"
    ):
        chosen_classes.choose_labels(deaf, "3", 2, 0)


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


@pytest.mark.slow
def test_a_conditional_run_is_trained_continued_and_read_back(tmp_path, source, monkeypatch):
    for name in ("save_curves", "save_animation"):
        monkeypatch.setattr(plots, name, lambda *arguments, **options: None)
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
    walk = run.generate(z[:1].repeat(5, axis=0), chosen_classes.walk_between(run, "nought:1", 1, 5))
    np.testing.assert_allclose(walk[[0, 4]], [noughts[0], ones[0]], atol=1e-5)
    assert np.abs(walk[2] - noughts[0]).max() > 1e-4


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
