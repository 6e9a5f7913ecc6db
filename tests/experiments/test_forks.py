"""A fork trains what it says: a program with a game of its own is that game alone, among many, read back, measured."""

import json
import os
import shutil
import subprocess
import sys
import types
from pathlib import Path

import jax
import numpy as np
import pytest
import small_runs
from commands import ROOT

from experiments.command.experiment import Task
from experiments.command.program import UserError
from experiments.many import one_call
from experiments.measuring import measures
from experiments.record import program_of_run
from experiments.record.restored import restore_run
from gan_jax.rules import alternating, one_stage

pytestmark = pytest.mark.slow  # programs from end to end

TINY = (
    "--dataset=ring", "--width=0.05", "--batch_size=8", "--num_steps=4", "--steps_per_call=2", "--log_every=2",
    "--sample_every=4", "--checkpoint_every=2", "--g_lr=0.1", "--d_lr=0.1", "--compilation_cache=", "--noreport",
)  # fmt: skip

# A loss, a penalty, a network and a rule that no flag can ask for.
GAME = '''
def build(config: Config, sample_shape: tuple[int, ...]) -> GAN:
    """Assemble a game of our own."""
    import jax.numpy as jnp
    from gan_jax.models.mlp import MLPGenerator
    from gan_jax.networks import from_linen
    from gan_jax.types import AdversarialLoss, Penalty

    def discriminator(real_logits, fake_logits):
        return jnp.mean((real_logits - 3.0) ** 2) + jnp.mean((fake_logits + 3.0) ** 2)

    def generator(real_logits, fake_logits):
        return jnp.mean((fake_logits - 3.0) ** 2)

    def steep(logit_fn, real, fake, *, key):
        return logit_fn(0.5 * (real + fake)) ** 2

    return build_gan(config, sample_shape)._replace(
        generator=from_linen(MLPGenerator(sample_shape, (7,))),
        loss=AdversarialLoss(discriminator, generator),
        penalties=(Penalty(steep, 0.3),),
    )


def take_turns(config: Config):
    """Let G move twice."""
    from gan_jax.rules import alternating
    from gan_jax.steps import generator_step

    def step(gan, state, batch, *, key):
        state, metrics = alternating.step(gan, state, batch, key=key)
        state, more = generator_step(gan, state, batch, key=jax.random.fold_in(key, 9))
        return state, metrics | more

    return alternating._replace(step=step)
'''


def write_fork(folder: Path, name: str = "my_points") -> None:
    """Write a copy of experiments/gaussians.py whose build and rule are others."""
    text = (ROOT / "experiments" / "gaussians.py").read_text()
    begin, end = text.index("def build("), text.index("def observe(")
    text = text[:begin] + GAME.lstrip() + "\n\n" + text[end:]
    old = 'Experiment("gaussians", "points", load, build, observe)'
    assert old in text
    (folder / f"{name}.py").write_text(
        text.replace(old, 'Experiment("my_points", "points", load, build, observe, take_turns)')
    )


def start(folder: Path, module: str, *arguments: object) -> str:
    """Run a module in a folder to its end, as a user would."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=300,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def fork(tmp_path_factory):
    """A folder with the fork, its run alone, and two runs of it in one call."""
    folder = tmp_path_factory.mktemp("fork")
    write_fork(folder)
    start(folder, "my_points", *TINY, "--workdir=alone", "--seed=1")
    start(folder, "my_points", *TINY, "--workdir=many", "--seeds=0,1", "--together=yes")
    return folder


@pytest.fixture
def importable(fork, monkeypatch):
    """The fork's folder, from which its program can be imported."""
    monkeypatch.syspath_prepend(str(fork))
    yield fork
    sys.modules.pop("my_points", None)


def leaves(folder: Path) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in jax.tree.leaves(restore_run(folder).state)]


def test_the_run_among_many_in_one_call_is_the_run_alone(importable):
    alone, among = leaves(importable / "alone"), leaves(importable / "many" / "seed_1")
    assert len(alone) == len(among)
    for one, other in zip(alone, among, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)


def test_the_games_own_loss_and_penalty_are_logged_in_every_way(fork):
    for folder in (fork / "alone", fork / "many" / "seed_1"):
        first = json.loads((folder / "metrics.jsonl").read_text().splitlines()[0])
        # (0 - 3)^2 twice for D at logits near 0, where the default loss is 2 log 2 = 1.39; its penalty is ours too.
        assert first["d_loss"] > 9 and first["g_loss"] > 2 and "d_penalty" in first


def test_a_run_that_is_read_back_plays_the_forks_game(importable):
    run = restore_run(importable / "alone")
    assert run.experiment.name == "my_points"
    assert run.state.generator.params["dense_0"]["kernel"].shape == (2, 7)
    assert float(run.gan.loss.generator(None, np.zeros(1, np.float32))) == 9.0
    assert [penalty.weight for penalty in run.gan.penalties] == [0.3]


def test_it_is_resumed_sampled_evaluated_and_compared_as_that_game(fork):
    shutil.copytree(fork / "alone", fork / "longer")
    taken_further = [word for word in TINY if not word.startswith("--num_steps")]
    out = start(fork, "my_points", *taken_further, "--num_steps=6", "--workdir=longer", "--seed=1")
    assert "continuing after step 4" in out
    last = json.loads((fork / "longer" / "metrics.jsonl").read_text().splitlines()[-1])
    assert last["step"] == 6 and "d_penalty" in last
    start(fork, "experiments.sample", "--workdir=alone", "--num_samples=3", "--out=points.npz")
    assert np.load(fork / "points.npz")["points"].shape == (3, 2)
    out = start(fork, "experiments.evaluate", "--workdir=many", "--num_samples=100")
    assert "2 seeds" in out
    assert "equal" in start(fork, "experiments.compare", "many", "many")


def test_a_program_that_cannot_be_imported_is_told_in_one_line(fork):
    sys.modules.pop("my_points", None)
    with pytest.raises(UserError, match="my_points, which cannot be imported from here") as told:
        restore_run(fork / "alone")
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    "name", ["os", "antigravity", "json.tool", "../evil", "a b", "", "nowhere.at_all"]
)
def test_no_module_is_imported_but_a_training_program(fork, tmp_path, name, monkeypatch):
    shutil.copytree(fork / "alone", tmp_path / "run")
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    facts["program"] = name
    (tmp_path / "run" / "run.json").write_text(json.dumps(facts))
    monkeypatch.setattr(
        program_of_run.importlib, "import_module", lambda name: pytest.fail(f"imported {name}")
    )
    with pytest.raises(UserError):
        restore_run(tmp_path / "run")


@pytest.mark.parametrize("value", [3, ["a"], {}, True])
@pytest.mark.parametrize("name", ["program", "xla_flags"])
def test_a_program_or_xla_flags_that_are_no_text_are_refused_in_one_line(
    fork, tmp_path, name, value
):
    shutil.copytree(fork / "alone", tmp_path / "run")
    facts = json.loads((tmp_path / "run" / "run.json").read_text()) | {name: value}
    (tmp_path / "run" / "run.json").write_text(json.dumps(facts))
    with pytest.raises(UserError, match=f"is damaged: {name} is .*, expected a text"):
        restore_run(tmp_path / "run")


@pytest.mark.parametrize("fault", ["import nowhere_at_all", "1 / 0", "raise KeyError('a\\nb')"])
def test_a_program_that_fails_as_it_is_imported_is_told_in_one_line(tmp_path, fault, monkeypatch):
    (tmp_path / "broken_fork.py").write_text(f"EXPERIMENT = None\n{fault}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(UserError, match="broken_fork, which cannot be imported: ") as told:
        program_of_run.experiment_of({"program": "broken_fork"}, tmp_path)
    assert "\n" not in str(told.value)


def test_looking_for_a_module_runs_no_package_on_the_way(tmp_path, monkeypatch):
    package = tmp_path / "trap"
    package.mkdir()
    (package / "__init__.py").write_text("raise SystemExit('sprung')")
    (package / "inner.py").write_text("x = 1")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(UserError, match="no training program"):
        program_of_run.experiment_of({"program": "trap.inner"}, tmp_path)


def test_a_program_must_name_the_experiment_that_it_trains(monkeypatch):
    from experiments import gaussians

    main = types.ModuleType("__main__")
    main.__spec__ = types.SimpleNamespace(name="my_program")
    monkeypatch.setitem(sys.modules, "__main__", main)
    monkeypatch.setattr(main, "EXPERIMENT", gaussians.EXPERIMENT, raising=False)
    other = gaussians.EXPERIMENT._replace(build=lambda config, shape: None)
    other.build.__module__ = "__main__"
    with pytest.raises(UserError, match="not its EXPERIMENT"):
        program_of_run.program_of(other)
    assert program_of_run.program_of(gaussians.EXPERIMENT) == "my_program"


def test_a_game_that_reads_numbers_or_its_seed_is_not_built_for_many_runs_at_once():
    from experiments import gaussians

    config = small_runs.configure(Path("unused"), dataset="ring")
    task = Task(gaussians.EXPERIMENT, config, gaussians.load(config))
    assert one_call.can_trace(task, ["r1_gamma", "g_lr"]) and one_call.can_trace(task, [])

    def seeded(config, shape):
        return gaussians.build(config, shape)._replace(latent_dim=2 + config.seed)

    def branching(config):
        return alternating if config.g_lr > 0.1 else one_stage

    for parts, swept in (({"build": seeded}, []), ({"rule": branching}, ["g_lr"])):
        other = task._replace(experiment=task.experiment._replace(**parts))
        assert not one_call.can_trace(other, swept)
    assert one_call.can_trace(task._replace(experiment=other.experiment), ["r1_gamma"])


def run_script(monkeypatch, file: Path, experiment) -> None:
    """Make this process look as if `python FILE` had started it."""
    main = types.ModuleType("__main__")
    main.__spec__, main.__file__, main.EXPERIMENT = None, str(file), experiment
    monkeypatch.setitem(sys.modules, "__main__", main)


def test_a_script_is_recorded_by_the_name_under_which_it_is_imported(tmp_path, monkeypatch):
    from experiments import gaussians

    (tmp_path / "my_script.py").write_text("EXPERIMENT = None\n")
    run_script(monkeypatch, tmp_path / "my_script.py", gaussians.EXPERIMENT)
    with pytest.raises(UserError, match="start it by python -m my_script") as told:
        program_of_run.program_of(gaussians.EXPERIMENT)
    assert "\n" not in str(told.value)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert program_of_run.program_of(gaussians.EXPERIMENT) == "my_script"
    run_script(monkeypatch, ROOT / "experiments" / "gaussians.py", gaussians.EXPERIMENT)
    assert program_of_run.program_of(gaussians.EXPERIMENT) == "experiments.gaussians"


@pytest.mark.parametrize("name", ["json.py", "my-fork.py"])
def test_a_script_that_an_import_does_not_find_is_refused(tmp_path, name, monkeypatch):
    """Another module has its name, or none can have it."""
    from experiments import gaussians

    (tmp_path / name).write_text("EXPERIMENT = None\n")
    run_script(monkeypatch, tmp_path / name, gaussians.EXPERIMENT)
    with pytest.raises(UserError, match="start it by python -m"):
        program_of_run.program_of(gaussians.EXPERIMENT)


def test_an_annotated_experiment_is_one(tmp_path, monkeypatch):
    text = "from experiments.gaussians import EXPERIMENT as GIVEN\nEXPERIMENT: object = GIVEN\n"
    (tmp_path / "annotated_fork.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    found = program_of_run.experiment_of({"program": "annotated_fork"}, tmp_path)
    assert found.name == "gaussians"


@pytest.mark.parametrize("name", ["", "my fork", "../evil", "a.b"])
def test_an_experiment_whose_name_is_no_identifier_is_refused(name):
    from experiments import gaussians
    from experiments.many.train import train

    with pytest.raises(UserError, match="the experiment's name is") as told:
        train(gaussians.EXPERIMENT._replace(name=name))
    assert "\n" not in str(told.value)


def test_a_kind_of_samples_that_no_measure_knows_is_told_in_one_line():
    with pytest.raises(UserError, match="of the kind 'smells'"):
        measures.kind_named("smells")
