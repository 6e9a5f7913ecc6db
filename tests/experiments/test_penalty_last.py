"""`--penalty_last`: penalties fall in a run wherever it goes, and a run without it is what it always was."""

import json
import shutil
from functools import partial

import jax
import numpy as np
import pytest
from commands import TINY, call, import_main
from small_runs import configure
from tiny import assert_close, bits, quick_jit

from experiments import mnist
from experiments.command.experiment import Source, Task
from experiments.command.program import UserError
from experiments.measuring import landscape
from experiments.record.restored import restore_run
from gan_jax.data.dataset import make_dataset
from gan_jax.steps import init_state
from gan_jax.types import Batch


def task(tmp_path, **values) -> Task:
    pixels = np.random.default_rng(0).integers(0, 256, (30, 8, 8, 1), np.uint8)
    config = configure(tmp_path / "run", num_steps=4, **values)
    return Task(mnist.EXPERIMENT, config, Source(make_dataset(pixels, None, "x")))


def test_without_it_game_and_rule_are_what_they_always_were(tmp_path):
    plain = task(tmp_path, r1_gamma=2.0)
    assert plain.rule is plain.experiment.rule(plain.config)
    gan = plain.gan
    assert plain.as_played(gan, None) is gan


def test_the_game_is_looked_at_as_it_is_played_at_a_step(tmp_path):
    falling = task(tmp_path, r1_gamma=2.0, penalty_last=0.01)
    gan = falling.gan
    batch = Batch(np.zeros((4, 8, 8, 1), np.float32))
    state = quick_jit(partial(init_state, gan))(jax.random.key(0), batch)
    state = state._replace(step=np.int32(2))
    assert gan.penalties[0].weight == 2.0
    np.testing.assert_allclose(falling.as_played(gan, state).penalties[0].weight, 0.2, rtol=1e-6)
    metrics = {}
    for name, each in {"falling": falling, "lighter": task(tmp_path, r1_gamma=0.2)}.items():
        step = quick_jit(partial(each.rule.step, each.gan))
        metrics[name] = step(state, batch, key=jax.random.key(1))[1]
    np.testing.assert_allclose(
        metrics["falling"]["d_penalty"], metrics["lighter"]["d_penalty"], rtol=1e-5
    )


def test_a_game_without_penalties_refuses_it(tmp_path):
    with pytest.raises(UserError, match="--penalty_last is of penalties: give one a weight"):
        _ = task(tmp_path, penalty_last=0.1).gan


def test_a_share_of_nothing_is_refused_in_a_line(tmp_path, capsys):
    line = [f"--workdir={tmp_path}/run", "--r1_gamma=1", "--penalty_last=0"]
    outcome = call(import_main("mnist"), line, capsys)
    assert outcome.code == 1 and "--penalty_last" in outcome.err and outcome.err.count("\n") == 1


@pytest.mark.slow
def test_a_run_that_goes_on_ends_in_the_same_bits(tmp_path, capsys):
    line = [*TINY, "--compilation_cache=", "--r1_gamma=1", "--penalty_last=0.01", "--num_steps=8"]
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert call(import_main("mnist"), [*line, f"--workdir={whole}"], capsys).code == 0
    shutil.copytree(whole, cut)
    for later in (6, 8):
        shutil.rmtree(cut / "checkpoints" / str(later))
    assert call(import_main("mnist"), [*line, f"--workdir={cut}"], capsys).code == 0
    assert bits(restore_run(cut).state) == bits(restore_run(whole).state)
    logged = [json.loads(text) for text in (whole / "metrics.jsonl").read_text().splitlines()]
    assert [record["step"] for record in logged] == [2, 4, 6, 8]


@pytest.mark.slow
def test_shares_are_swept_in_one_call_as_they_are_run_alone(tmp_path, capsys):
    main = import_main("mnist")
    line = [*TINY, "--compilation_cache=", "--r1_gamma=1", "--num_steps=8"]
    swept = [*line, "--sweep=penalty_last:0.01,1", f"--workdir={tmp_path}/many"]
    outcome = call(main, swept, capsys)
    assert outcome.code == 0 and "2 runs in one call" in outcome.out + outcome.err
    members = sorted(path.parent for path in (tmp_path / "many").glob("*/run.json"))
    for member, last in zip(members, ("0.01", "1"), strict=True):
        alone = tmp_path / last
        assert call(main, [*line, f"--penalty_last={last}", f"--workdir={alone}"], capsys).code == 0
        assert f"penalty_last_{last}-" in member.name
        assert_close(restore_run(member).state.ema_params, restore_run(alone).state.ema_params)


@pytest.mark.slow
def test_the_landscape_of_a_checkpoint_is_that_of_the_game_as_it_is_played_there(tmp_path):
    tasks = task(tmp_path, r1_gamma=2.0, penalty_last=0.01), task(tmp_path, r1_gamma=0.2)
    batch = Batch(np.zeros((4, 8, 8, 1), np.float32))
    gan, rule = tasks[0].gan, tasks[0].rule
    first = state = quick_jit(partial(init_state, gan))(jax.random.key(0), batch)
    step = quick_jit(partial(rule.step, gan))
    for number in range(2):
        state, _ = step(state, batch, key=jax.random.key(number))
    request = landscape.Request(num_eigenvalues=2, num_samples=4, gap_steps=2)
    falling, lighter = (
        landscape.measure(landscape.Opened(each, each.gan, {0: first, 2: state}), request)
        for each in tasks
    )
    one, other = (found["checkpoints"][1] for found in (falling, lighter))
    for name in (
        "field_norm",
        "rotation",
        "duality_gap",
        "plain_eigenvalues",
        "d_hessian_eigenvalues",
    ):
        assert_close(one[name], other[name], rtol=1e-3, atol=1e-4)
    assert_close(falling["path"]["norm"], lighter["path"]["norm"], rtol=1e-3)
    heavier = landscape.measure(
        landscape.Opened(tasks[0], tasks[0].gan, {0: state._replace(step=np.int32(0))}), request
    )["checkpoints"][0]
    heavy, light = (each["field_norm"]["discriminator"] for each in (heavier, other))
    assert abs(heavy - light) > 1e-2 * light
