"""Going on with other flags: periods may differ, a run may be longer, and what cannot be continued says why."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver
from small_runs import Lab, configure

from experiments.command import config as configs
from experiments.command.program import UserError
from experiments.record import run_folder
from experiments.record.restored import restore_run
from experiments.record.resumption import (
    CONTINUABLE,
    PERIODS,
    continued_with,
    current_flags,
    program_named,
    resumable,
)

NOW = dataclasses.asdict(configure(Path("W")))  # 6 steps, constant rates


@pytest.fixture
def lab(monkeypatch) -> Lab:
    return Lab(monkeypatch)


# The rule


def test_the_same_flags_go_on():
    assert resumable(NOW, NOW, 0) == resumable(NOW, NOW, 6) == []


@pytest.mark.parametrize("name", [*PERIODS, *configs.INCIDENTAL])
def test_periods_and_incidental_flags_may_differ(name):
    assert resumable(NOW, {**NOW, name: "another"}, 4) == []


@pytest.mark.parametrize("name", sorted(set(NOW) - {*CONTINUABLE, *configs.INCIDENTAL}))
def test_what_makes_the_game_may_not_differ(name):
    (reason,) = resumable(NOW, {**NOW, name: "another"}, 4)
    assert reason == f"--{name} (there {NOW[name]}, here another)"


@pytest.mark.parametrize("num_steps", [4, 5, 7, 1000])
def test_a_run_may_become_longer_or_shorter_but_not_than_it_is(num_steps):
    assert resumable(NOW, {**NOW, "num_steps": num_steps}, 4) == []


def test_fewer_steps_than_were_taken_are_refused():
    (reason,) = resumable(NOW, {**NOW, "num_steps": 3}, 4)
    assert reason == "--num_steps (there 6, here 3: it has taken 4 steps already)"


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_a_schedule_that_ends_with_the_training_refuses_another_end(schedule):
    saved = {**NOW, "lr_schedule": schedule}
    for num_steps in (5, 12):
        (reason,) = resumable(saved, {**saved, "num_steps": num_steps}, 4)
        assert reason.startswith(
            f"--num_steps (there 6, here {num_steps}: --lr_schedule={schedule}"
        )
    assert resumable(saved, saved, 4) == []


def test_every_reason_is_given():
    assert len(resumable(NOW, {**NOW, "num_steps": 3, "loss": "hinge", "seed": 1}, 4)) == 3


def test_flags_that_are_newer_than_a_run_are_as_they_were_before():
    old = {k: v for k, v in NOW.items() if k not in ("bias_std", "g_warmup_steps")}
    assert resumable(old, NOW, 4) == []
    assert resumable(old, {**NOW, "bias_std": 0.5}, 4) == ["--bias_std (there 0.0, here 0.5)"]
    assert continued_with(old, NOW) == {}


def test_a_flag_that_is_gone_and_one_that_is_missing_are_differences():
    assert resumable({**NOW, "gone": 3}, NOW, 4) == ["--gone (there 3, here None)"]
    missing = {name: value for name, value in NOW.items() if name != "batch_size"}
    assert resumable(missing, NOW, 4) == ["--batch_size (there None, here 4)"]
    missing = {name: value for name, value in NOW.items() if name != "num_steps"}
    assert resumable(missing, NOW, 4) == ["--num_steps (there None, here 6)"]


def test_the_flags_of_a_run_are_those_of_its_last_continuation():
    record = {"config": {"seed": 1, "num_steps": 6}}
    assert current_flags(record) == {"seed": 1, "num_steps": 6}
    continued = [
        {"step": 6, "flags": {"num_steps": 12, "log_every": 5}},
        {"step": 9, "flags": {"num_steps": 10}},
    ]
    found = current_flags(record | {"continued": continued})
    assert found == {"seed": 1, "num_steps": 10, "log_every": 5}
    assert record["config"]["num_steps"] == 6


# Runs


def lines(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def count_steps(metrics: dict, first_step: int) -> dict:
    """Put the number of each step in the place of D's loss, so that means tell which steps they are of."""
    steps = np.arange(first_step, first_step + len(metrics["d_loss"]))
    return metrics | {"d_loss": steps.astype(np.float32)}


@pytest.mark.slow
def test_a_finished_run_goes_on_to_the_end_of_a_longer_one(lab, capsys, tmp_path):
    whole = configure(tmp_path / "whole", num_steps=12)
    run = configure(tmp_path / "run")
    assert lab.train(whole, capsys).code == 0
    assert lab.train(run, capsys).code == 0
    outcome = lab.train(dataclasses.replace(run, num_steps=12), capsys)
    assert outcome.code == 0, outcome.err
    assert "--num_steps was 6 and is 12 from here on\n" in outcome.out
    assert "continuing after step 6" in outcome.out
    one, other = restore_run(tmp_path / "whole"), restore_run(tmp_path / "run")
    assert one.step == other.step == 12
    # Here chunks are cut alike, so nothing differs.
    for a, b in zip(*map(leaves, (one, other)), strict=True):
        assert np.array_equal(a, b)
    assert [line["step"] for line in lines(tmp_path / "run")] == [2, 4, 6, 8, 10, 12]


def leaves(run) -> list:
    import jax

    return [np.asarray(leaf) for leaf in jax.tree.leaves(run.state)]


@pytest.mark.slow
def test_a_continuation_stands_in_the_folder_and_replays(lab, capsys, tmp_path):
    run = configure(tmp_path / "run")
    assert lab.train(run, capsys).code == 0
    start = json.loads((tmp_path / "run" / "run.json").read_text())
    longer = dataclasses.replace(run, num_steps=9, log_every=3)
    assert lab.train(longer, capsys).code == 0
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record == start | {"continued": [{"step": 6, "flags": {"num_steps": 9, "log_every": 3}}]}
    assert run_folder.read_run(tmp_path / "run")["config"] == dataclasses.asdict(longer)
    with flagsaver.flagsaver():
        flags.FLAGS(["program", f"--flagfile={tmp_path}/run/flagfile.txt"])
        assert configs.from_flags() == longer
    before = (tmp_path / "run" / "run.json").read_bytes()
    outcome = lab.train(longer, capsys)
    assert outcome.code == 0 and "from here on" not in outcome.out
    assert (tmp_path / "run" / "run.json").read_bytes() == before
    outcome = lab.train(run, capsys)
    assert outcome.code == 1
    assert "--num_steps (there 9, here 6: it has taken 9 steps already)" in outcome.err
    assert lab.train(dataclasses.replace(longer, num_steps=10), capsys).code == 0
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["continued"][1:] == [{"step": 9, "flags": {"num_steps": 10}}]


def test_a_kill_between_the_two_files_of_a_continuation_costs_nothing(
    lab, capsys, tmp_path, monkeypatch
):
    run = configure(tmp_path / "run")
    assert lab.train(run, capsys).code == 0
    longer = dataclasses.replace(run, num_steps=8)
    real = run_folder.write_text

    def die(path: Path, text: str) -> None:
        if path.name == "run.json":
            raise KeyboardInterrupt
        real(path, text)

    with monkeypatch.context() as patch:
        patch.setattr(run_folder, "write_text", die)
        assert lab.train(longer, capsys).code == 130
    assert lab.train(longer, capsys).code == 0
    assert run_folder.read_run(tmp_path / "run")["config"]["num_steps"] == 8
    assert "--num_steps=8\n" in (tmp_path / "run" / "flagfile.txt").read_text()


@pytest.mark.slow
def test_with_another_log_period_every_step_is_averaged_once(lab, capsys, tmp_path):
    """Killed at step 5, when step 4 had its line and step 5 was in none."""
    lab.meddle = count_steps
    periods = {"log_every": 4, "checkpoint_every": 5, "sample_every": 5}
    run = configure(tmp_path / "run", num_steps=12, **periods)
    assert lab.kill(run, moment_after_the_first_save(lab, run, capsys), capsys)
    assert [line["step"] for line in lines(tmp_path / "run")] == [4]
    outcome = lab.train(dataclasses.replace(run, log_every=3), capsys)
    assert outcome.code == 0, outcome.err
    assert "continuing after step 5" in outcome.out
    assert "--log_every was 4 and is 3 from here on: the rest of the run may differ" in outcome.out
    found = [(line["step"], line["d_loss"]) for line in lines(tmp_path / "run")]
    # Means of 1..4, 5..6, 7..9, 10..12.
    assert found == [(4, 2.5), (6, 5.5), (9, 8.0), (12, 11.0)]


def moment_after_the_first_save(lab: Lab, config, capsys) -> int:
    """The number of the moment that follows the first save, found by a run of its own."""
    apart = dataclasses.replace(config, workdir=f"{config.workdir}.apart")
    assert lab.train(apart, capsys).code == 0
    shutil.rmtree(apart.workdir)
    return lab.moments.index("while a save is written") + 1


@pytest.mark.slow
def test_a_schedule_or_too_few_steps_are_refused_and_nothing_is_touched(lab, capsys, tmp_path):
    run = configure(tmp_path / "run", lr_schedule="linear")
    assert lab.train(run, capsys).code == 0
    before = {p: p.read_bytes() for p in (tmp_path / "run").rglob("*") if p.is_file()}
    for other in ({"num_steps": 12}, {"num_steps": 12, "lr_schedule": "constant"}):
        outcome = lab.train(dataclasses.replace(run, **other), capsys)
        assert outcome.code == 1 and outcome.err.count("\n") == 1
        assert "--lr_schedule" in outcome.err and "--num_steps (there 6, here 12" in outcome.err
    assert {p: p.read_bytes() for p in (tmp_path / "run").rglob("*") if p.is_file()} == before


@pytest.mark.slow
def test_measurements_may_begin_later_and_end_earlier(lab, capsys, tmp_path):
    run = configure(tmp_path / "run")
    assert lab.train(run, capsys).code == 0
    for num_steps, period in ((10, 2), (12, None)):
        longer = dataclasses.replace(run, num_steps=num_steps, eval_every=period)
        assert lab.train(longer, capsys).code == 0
    text = (tmp_path / "run" / "evaluations.jsonl").read_text()
    assert [json.loads(line)["step"] for line in text.splitlines()] == [8, 10]


def test_an_evaluation_without_the_runs_measure_is_damage_that_is_told_at_the_start(
    lab, capsys, tmp_path
):
    run = configure(tmp_path / "run")
    assert lab.train(run, capsys).code == 0
    (tmp_path / "run" / "evaluations.jsonl").write_text('{"step": 2, "other": 1.0}\n')
    outcome = lab.train(dataclasses.replace(run, num_steps=8), capsys)
    assert outcome.code == 1
    assert "evaluations.jsonl is damaged: line 1: distance is missing; put back" in outcome.err


def test_the_owner_is_checked_again_under_the_lock(tmp_path, monkeypatch):
    """Between the first check and the lock another command may have begun a run."""
    config = configure(tmp_path / "run")
    real, calls = run_folder.check_owner, []

    def check(path: Path, config, program) -> None:
        calls.append(path)
        if len(calls) == 2:
            (path / "thesis.tex").write_text("precious")
        real(path, config, program)

    monkeypatch.setattr(run_folder, "check_owner", check)
    with pytest.raises(UserError, match=r"thesis\.tex"), run_folder.claim(config):
        pass


def test_a_fork_does_not_go_on_with_the_run_of_another_program(lab, tmp_path, capsys):
    """Flags and data are the same; the game is not."""
    config = configure(tmp_path / "run")
    assert lab.train(config, capsys).code == 0

    def build(config, sample_shape):
        return original.experiment.build(config, sample_shape)

    build.__module__ = "my_fork"
    original = lab.task
    lab.task = original._replace(experiment=original.experiment._replace(build=build))
    outcome = lab.train(config, capsys)
    assert outcome.code == 1 and outcome.err.count("\n") == 1
    assert "holds a run of another program: experiments.mnist; choose another" in outcome.err
    lab.task = original
    assert lab.train(config, capsys).code == 0


def test_a_run_that_names_no_program_is_that_of_its_experiment(tmp_path):
    assert program_named({"experiment": "mnist"}) == "experiments.mnist"
    assert program_named({"experiment": "mnist", "program": "my_fork"}) == "my_fork"


# Data that are no longer those of the start


def with_data(lab: Lab, name: str):
    """The task of the lab, with data of another checksum."""
    train = lab.task.source.train
    return lab.task._replace(source=lab.task.source._replace(train=train._replace(sha256=name)))


def test_a_run_killed_before_its_first_checkpoint_begins_anew_with_what_it_is_given(
    lab, tmp_path, capsys
):
    config = configure(tmp_path / "run")
    original = lab.task
    lab.task = with_data(lab, "of A")
    assert lab.kill(config, 0, capsys)
    assert json.loads((tmp_path / "run" / "run.json").read_text())["dataset"]["sha256"] == "of A"
    lab.task = original
    outcome = lab.train(dataclasses.replace(config, log_every=3), capsys)
    assert outcome.code == 0 and "from here on" not in outcome.out
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["dataset"]["sha256"] == original.source.train.sha256
    assert record["config"]["log_every"] == 3 and "continued" not in record
    assert "--log_every=3\n" in (tmp_path / "run" / "flagfile.txt").read_text()


def test_a_run_that_is_refused_for_its_data_is_left_as_it_was(lab, tmp_path, capsys):
    config = configure(tmp_path / "run")
    assert lab.train(config, capsys).code == 0
    before = (tmp_path / "run" / "run.json").read_bytes()
    lab.task = with_data(lab, "of B")
    outcome = lab.train(dataclasses.replace(config, num_steps=12), capsys)
    assert outcome.code == 1 and "the data differ from those" in outcome.err
    assert (tmp_path / "run" / "run.json").read_bytes() == before
