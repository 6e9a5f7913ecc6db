"""Exact resume: a run that was stopped, wherever that was, ends as the run that nothing stopped."""

import asyncio
import json
import os
import re
import shlex
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from commands import TINY, start
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from kill import differences, evidence
from kill import main as kill
from small_runs import Lab, configure

from gan_jax.checkpoint import orbax_arrays

STEPS = 7
PERIODS = st.fixed_dictionaries(
    {
        "steps_per_call": st.integers(1, 4),
        "log_every": st.integers(1, 4),
        "sample_every": st.integers(2, STEPS),
        "checkpoint_every": st.integers(1, 4),
        "eval_every": st.none() | st.integers(1, 5),
    }
)
MOMENTS = st.integers(0, 40)
SIGNALS = st.sampled_from([signal.SIGTERM, signal.SIGINT])
AWKWARD = {
    "steps_per_call": 3,
    "log_every": 2,
    "sample_every": 5,
    "checkpoint_every": 4,
    "eval_every": 5,
}
WHEREVER = settings(max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def lab(monkeypatch) -> Lab:
    return Lab(monkeypatch)


@contextmanager
def small_run(**values: int) -> Iterator:
    """The configuration of a run in a folder that is removed afterwards."""
    with tempfile.TemporaryDirectory() as name:
        yield configure(Path(name, "run"), **{"num_steps": STEPS, **values})


UNDISTURBED: dict[tuple, dict] = {}


def undisturbed(lab: Lab, periods: dict[str, int], capsys) -> dict[str, object]:
    """The evidence of a run that nothing stops."""
    key = tuple(periods.items())
    if key not in UNDISTURBED:
        with small_run(**periods) as config:
            outcome = lab.train(config, capsys)
            assert outcome.code == 0, outcome.err
            UNDISTURBED[key] = evidence(Path(config.workdir))
    return UNDISTURBED[key]


@pytest.mark.slow
@given(PERIODS, st.lists(MOMENTS, min_size=1, max_size=3))
@example(AWKWARD, [0, 1, 7])  # before the first picture; in the first chunk; at a line of the log
@example(AWKWARD, [10, 4])
@WHEREVER
def test_a_killed_run_ends_as_one_that_nothing_stopped(lab, capsys, periods, kills):
    expected = undisturbed(lab, periods, capsys)
    with small_run(**periods) as config:
        for moment in kills:
            lab.kill(config, moment, capsys)
        outcome = lab.train(config, capsys)
        assert outcome.code == 0, outcome.err
        assert differences(expected, evidence(Path(config.workdir))) == []
        assert "skipped checkpoint" not in outcome.out, "a kill leaves no unsound checkpoint"


@given(PERIODS, st.lists(st.tuples(MOMENTS, SIGNALS), min_size=1, max_size=2))
@example(AWKWARD, [(1, signal.SIGTERM), (2, signal.SIGINT)])
@WHEREVER
def test_a_run_asked_to_stop_finishes_its_chunk_saves_says_how_to_go_on_and_ends_the_same(
    lab, capsys, periods, requests
):
    expected = undisturbed(lab, periods, capsys)
    with small_run(**periods) as config:
        step = 0
        for moment, number in requests:
            outcome = lab.signal(config, moment, number, capsys)
            begun = f"continuing after step {step} in" if step else "starting in"
            assert begun in outcome.out, "nothing is lost"
            if moment >= len(lab.moments) or lab.moments[moment] in Lab.ENDING:
                assert outcome.code == 0
                step = STEPS
                continue
            assert outcome.code == 128 + number and outcome.err == ""
            last = outcome.out.splitlines()[-1]
            assert last.startswith(f"stopped by {number.name} after step ")
            assert f"--flagfile={config.workdir}/flagfile.txt" in last
            step = int(re.search("after step ([0-9]+);", last)[1])
        outcome = lab.train(config, capsys)
        assert outcome.code == 0, outcome.err
        found = evidence(Path(config.workdir), checkpoints=1)
        assert differences({name: expected[name] for name in found}, found) == []
        assert found["metrics"] == expected["metrics"]


@pytest.mark.slow
def test_every_interval_is_logged_once_however_often_the_run_is_killed(lab, capsys):
    periods = {"steps_per_call": 1, "log_every": 1, "sample_every": STEPS, "checkpoint_every": 3}
    with small_run(**periods) as config:
        for moment in (6, 9, 12, 15):
            lab.kill(config, moment, capsys)
        assert lab.train(config, capsys).code == 0
        lines = Path(config.workdir, "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == list(range(1, STEPS + 1))


@pytest.mark.slow
def test_a_kill_loses_at_most_checkpoint_every_steps_however_slow_the_disk(
    lab, capsys, monkeypatch
):
    write = orbax_arrays._settle

    async def write_slowly(jobs):
        await asyncio.sleep(0.5)
        return await write(jobs)

    monkeypatch.setattr(orbax_arrays, "_settle", write_slowly)
    with small_run(steps_per_call=2, checkpoint_every=2) as config:
        moments = []
        lab.listener = moments.append
        assert lab.train(config, capsys).code == 0
        shutil.rmtree(config.workdir)
        saves = [number for number, name in enumerate(moments) if name == "before a save"]
        assert lab.kill(config, saves[1], capsys)  # after step 4
        opening = lab.train(config, capsys).out.splitlines()[0]
    assert opening.startswith("continuing after step 2 in")


@pytest.mark.slow
def test_runs_that_differ_in_steps_per_call_alone_differ_in_the_last_bits_at_most(lab, capsys):
    """XLA compiles a chunk of another length as another program."""
    whole = {"log_every": STEPS, "sample_every": STEPS, "checkpoint_every": STEPS}
    runs = [undisturbed(lab, {"steps_per_call": n, **whole}, capsys) for n in (1, 2, 3, STEPS)]
    for other in runs[1:]:
        assert largest_difference(runs[0], other) <= 1e-6


def largest_difference(one: dict, other: dict) -> float:
    """The largest difference between numbers of two states."""
    largest = 0.0
    for name in (name for name in one if name.startswith("step ") and "[" in name):
        arrays = [np.frombuffer(found[name][2], found[name][0]) for found in (one, other)]
        largest = max(largest, float(np.abs(arrays[0] - arrays[1].astype(np.float64)).max()))
    return largest


LONG = ("--num_steps=1000000", "--steps_per_call=20", "--checkpoint_every=100", "--log_every=20")


@contextmanager
def real_run(*arguments: object) -> Iterator:
    """A run in a process of its own, which does not outlive the block."""
    # On a CPU by name: where libtpu is installed it has its own say on stderr when it is looked for.
    process = start("mnist", *arguments, env=os.environ | {"JAX_PLATFORMS": "cpu"})
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_a_second_signal_ends_a_real_run_at_once(tmp_path):
    periods = ("num_steps", "steps_per_call", "log_every", "sample_every", "checkpoint_every")
    endless = [f"--{name}=1000000" for name in periods]
    with real_run(*TINY, *endless, f"--workdir={tmp_path}/run") as process:
        wait_for(tmp_path / "run" / "samples" / "0.png")
        time.sleep(2)  # the one chunk has begun
        process.send_signal(signal.SIGTERM)
        time.sleep(1)
        assert process.poll() is None, "the first signal lets the chunk end"
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == -signal.SIGINT


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_real_run_asked_to_stop_goes_on_by_the_line_that_it_prints(tmp_path, number, code):
    with real_run(*TINY, *LONG, f"--workdir={tmp_path}/run") as process:
        wait_for(tmp_path / "run" / "checkpoints" / "100")
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (code, "")
    step = int(re.search("after step ([0-9]+); this goes on from there", out)[1])
    words = shlex.split(out.splitlines()[-1].partition("there: ")[2])
    assert words[:3] == ["python", "-m", "experiments.mnist"]
    assert words[3:] == [f"--flagfile={tmp_path}/run/flagfile.txt", f"--workdir={tmp_path}/run"]
    with real_run(*words[3:]) as again:
        wait_for(tmp_path / "run" / "checkpoints" / str(step + 100 - step % 100))
        again.send_signal(number)
        assert f"continuing after step {step} in" in again.communicate(timeout=60)[0]


def wait_for(path: Path, seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < until, f"{path} does not come"
        time.sleep(0.05)


@pytest.mark.slow
def test_real_kills_at_random_moments_cost_time_and_nothing_else(capsys):
    assert kill(["--kills=3", "--seed=1"]) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert report["kills"] == 3 and report["differences"] == []
