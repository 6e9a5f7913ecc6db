"""Runs side by side, each in a process of its own: told, stopped and counted as runs one after another."""

import contextlib
import os
import signal
import sys
import threading
import time
from pathlib import Path

import filelock
import pytest
from absl import flags
from absl.testing import flagsaver
from commands import TINY, call, import_main, start
from kill import differences, evidence

from experiments.command.program import UserError
from experiments.many import side_by_side

gaussians_main = import_main("gaussians")

GB = 2**30
POINTS = (*TINY, "--dataset=ring", "--latent_dim=2", "--batch_size=8", "--together=no")


def play(script: str, names: str, num: int = 2) -> side_by_side.Ended:
    """Let a script stand in for a training program: it finds its run's name in `name`."""
    begin = "import signal, sys, time, pathlib; name = sys.argv[-1].removeprefix('--only=')\n"
    return side_by_side.play(list(names), num, [sys.executable, "-c", begin + script])


def test_a_run_that_fails_is_told_behind_its_name_and_counted_and_the_others_go_on(capfd):
    ended = play("print('hello'); sys.exit('error: no room' if name == 'a' else 0)", "abc")
    assert ended == side_by_side.Ended(0, {"a": "no room"})
    said = capfd.readouterr().out.splitlines()
    assert sorted(said) == ["a: error: no room", "a: hello", "b: hello", "c: hello"]


def test_a_process_that_is_killed_is_a_run_that_failed():
    ended = play("import os; os.kill(os.getpid(), signal.SIGKILL)", "a")
    assert "signal 9" in ended.failed["a"] and "--processes" in ended.failed["a"]


def test_no_more_runs_are_under_way_than_was_asked_for(tmp_path):
    script = f"""
here = pathlib.Path({str(tmp_path)!r})
(here / name).touch()
seen = len(list(here.glob('?')))
time.sleep(0.1)
(here / name).rename(here / f'done-{{name}}-{{seen}}')
"""
    assert play(script, "abcde", 2) == side_by_side.Ended(0, {})
    seen = [int(path.name.split("-")[-1]) for path in tmp_path.iterdir()]
    assert len(seen) == 5 and max(seen) == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_reaches_every_run_once_and_all_are_waited_for(tmp_path, number):
    script = f"""
here = pathlib.Path({str(tmp_path)!r})
def save(number, frame):
    signal.signal(number, signal.SIG_DFL)  # a second one would end it
    time.sleep(0.1)
    (here / f'saved-{{name}}').touch()
    sys.exit(143)
signal.signal(signal.SIGTERM, save)
(here / f'ready-{{name}}').touch()
time.sleep(60)
"""

    def interrupt() -> None:
        while len(list(tmp_path.glob("ready-*"))) < 2:
            time.sleep(0.01)
        os.kill(os.getpid(), number)

    threading.Thread(target=interrupt, daemon=True).start()
    assert play(script, "abc") == side_by_side.Ended(128 + number, {})
    assert sorted(path.name for path in tmp_path.glob("saved-*")) == ["saved-a", "saved-b"]
    assert not list(tmp_path.glob("ready-c"))


def test_without_a_reader_the_runs_are_stopped(monkeypatch):
    def nobody_reads(*words: object, **options: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(side_by_side, "print", nobody_reads, raising=False)
    with pytest.raises(BrokenPipeError):
        play("print('hello', flush=True); time.sleep(60)", "ab")


@pytest.mark.parametrize(
    ("wish", "runs", "memory", "number"),
    [
        ("auto", 20, None, 8), ("auto", 3, None, 3), ("auto", 1, None, 1), ("5", 20, None, 5), ("5", 3, None, 3),
        ("auto", 20, (10 * GB, GB), 5), ("auto", 20, (GB, 4 * GB), 1), ("5", 20, (GB, GB), 5),
    ],
)  # fmt: skip
def test_auto_is_a_process_for_each_core_as_far_as_memory_and_runs_go(
    monkeypatch, wish, runs, memory, number
):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)))
    monkeypatch.setattr(side_by_side, "_memory", lambda: memory)
    flags.FLAGS.mark_as_parsed()
    with flagsaver.flagsaver(processes=wish):
        assert side_by_side.choose_number(runs) == number


def test_a_device_that_serves_one_process_has_one(monkeypatch):
    monkeypatch.setattr(side_by_side.jax, "default_backend", lambda: "gpu")
    flags.FLAGS.mark_as_parsed()
    with flagsaver.flagsaver(processes="auto"):
        assert side_by_side.choose_number(8) == 1
    with flagsaver.flagsaver(processes="2"), pytest.raises(UserError, match="--processes=2"):
        side_by_side.choose_number(8)


class Unread:
    """Stands in for capsys where no test has one."""

    def readouterr(self):
        return self

    out = err = ""


@pytest.fixture(scope="module")
def in_turn(tmp_path_factory) -> Path:
    """Two runs, one after another."""
    folder = tmp_path_factory.mktemp("in_turn") / "many"
    arguments = [*POINTS, "--seeds=0,1", "--processes=1", f"--workdir={folder}"]
    assert call(gaussians_main, arguments, Unread()).code == 0
    return folder


def assert_same(one: Path, other: Path) -> None:
    for name in ("seed_0", "seed_1"):
        assert not differences(evidence(one / name), evidence(other / name))


@pytest.mark.slow
def test_runs_side_by_side_are_those_in_turn_bit_for_bit(in_turn, tmp_path, capfd):
    folder = tmp_path / "many"
    arguments = [*POINTS, "--seeds=0,1", "--processes=2", f"--workdir={folder}"]
    assert call(gaussians_main, arguments, capfd).code == 0
    assert_same(folder, in_turn)
    one, other = (place / "summary.json" for place in (folder, in_turn))
    assert one.read_text() == other.read_text()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_runs_whose_command_is_ended_lose_nothing_and_go_on(tmp_path, number):
    """A command that is killed outright cannot pass the signal on: its runs notice that it is gone."""
    periods = [f"--{name}=20" for name in ("steps_per_call", "log_every", "checkpoint_every")]
    arguments = [*POINTS, *periods, "--seeds=0,1", "--num_steps=600", "--sample_every=600"]
    undisturbed, folder = tmp_path / "undisturbed", tmp_path / "many"
    assert finish(*arguments, "--processes=1", f"--workdir={undisturbed}") == 0
    arguments += ["--processes=2", f"--workdir={folder}"]
    logs = [folder / name / "metrics.jsonl" for name in ("seed_0", "seed_1")]
    with start("gaussians", *arguments) as process:
        while not all(log.exists() and log.stat().st_size for log in logs):
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(number)
        process.communicate(timeout=600)
    assert process.returncode == (143 if number == signal.SIGTERM else -9)
    while not all(is_free(log.parent) for log in logs):
        assert number == signal.SIGKILL
        time.sleep(0.1)
    lines = [log.read_text().count("\n") for log in logs]
    assert all(1 <= number < 30 for number in lines)
    assert finish(*arguments) == 0
    assert_same(folder, undisturbed)


def finish(*arguments: str) -> int:
    with start("gaussians", *arguments) as process:
        process.communicate(timeout=600)
    return process.returncode


def is_free(folder: Path) -> bool:
    """Whether no process trains in a folder any more."""
    lock = filelock.FileLock(folder / ".lock")
    with contextlib.suppress(filelock.Timeout), lock.acquire(timeout=0):
        return True
    return False
