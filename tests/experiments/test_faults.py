"""Bad weather: damaged checkpoints, full disks, lost rights, divergence, a second run. What is sound stays so."""

import contextlib
import errno
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from commands import ROOT, call
from kill import differences, evidence
from small_runs import Lab, configure

from experiments.command.program import UserError
from experiments.record import run_folder
from experiments.training import divergence, loop
from gan_jax.checkpoint import disk

NOBODY = 65534


@pytest.fixture
def lab(monkeypatch) -> Lab:
    return Lab(monkeypatch)


@pytest.fixture
def config(tmp_path):
    """Six steps, with a checkpoint, a line and a chunk every two."""
    return configure(tmp_path / "run")


@pytest.fixture(scope="module")
def kept(tmp_path_factory) -> dict:
    """What a run that nothing disturbs ends with, and a folder that was killed after step 4."""
    folder = tmp_path_factory.mktemp("kept") / "run"
    with pytest.MonkeyPatch.context() as monkeypatch:
        lab, config = Lab(monkeypatch), configure(folder)
        assert loop.train(lab.task._replace(config=config)) == 0
        expected = evidence(folder)
        moment = [i for i, name in enumerate(lab.moments) if name == "before a chunk"][2]
        shutil.rmtree(folder)
        lab.listener = lambda name: None
        with contextlib.suppress(StopIteration):
            lab.listener = stop_at(lab, moment)
            loop.train(lab.task._replace(config=config))
    assert disk.list_steps(folder / "checkpoints") == [2, 4]
    return {"evidence": expected, "folder": folder}


def stop_at(lab: Lab, moment: int) -> Callable[[str], None]:
    """Raise at the moment of that number; saves under way are finished."""

    def stop(name: str) -> None:
        if len(lab.moments) == moment + 1:
            raise StopIteration

    lab.moments = []
    return stop


@pytest.fixture
def killed(kept, config) -> Path:
    """The folder of a run of which steps 2 and 4 are kept, and steps 5 and 6 are to come."""
    return Path(shutil.copytree(kept["folder"], config.workdir))


def contents(folder: Path) -> dict[str, bytes | None]:
    paths = sorted(folder.rglob("*"))
    return {str(path): path.read_bytes() if path.is_file() else None for path in paths}


def flip(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 0x10
    path.write_bytes(raw)


DAMAGES = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "halved": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "emptied": lambda path: path.write_bytes(b""),
    "removed": Path.unlink,
    "flipped": flip,
}


def files_of(checkpoint: Path) -> list[Path]:
    """The files of a checkpoint, the largest last."""
    return sorted((p for p in checkpoint.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)


def record_of(checkpoint: Path) -> Path:
    return checkpoint / "record" / "metadata"


def check_recovery(lab: Lab, config, kept: dict, capsys) -> int:
    """Resume; the end is that of the undisturbed run; return the step from which it went on."""
    outcome = lab.train(config, capsys)
    assert (outcome.code, outcome.err) == (0, "")
    skipped = [line for line in outcome.out.splitlines() if "skipped checkpoint" in line]
    step = 2 if skipped else 4
    assert len(skipped) <= 1
    assert f"continuing after step {step} in" in outcome.out
    assert differences(kept["evidence"], evidence(Path(config.workdir))) == []
    return step


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_newest_checkpoint_costs_the_steps_since_the_one_before(
    lab, capsys, config, killed, kept, damage
):
    DAMAGES[damage](record_of(killed / "checkpoints" / "4"))
    assert check_recovery(lab, config, kept, capsys) == 2
    assert (killed / "checkpoints" / "unsound-4").is_dir(), "evidence is not thrown away"


@pytest.mark.slow
@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_to_any_file_of_the_newest_checkpoint_ends_with_the_same_bits(
    lab, capsys, config, killed, kept, damage
):
    fallen_back = 0
    for number in range(len(files_of(killed / "checkpoints" / "4"))):
        shutil.rmtree(killed)
        shutil.copytree(kept["folder"], killed)
        DAMAGES[damage](files_of(killed / "checkpoints" / "4")[number])
        fallen_back += check_recovery(lab, config, kept, capsys) == 2
    assert fallen_back >= 2


@pytest.mark.parametrize("damage", DAMAGES)
def test_if_every_checkpoint_is_damaged_one_line_says_so_and_nothing_changes(
    lab, capsys, config, killed, damage
):
    for path in [record_of(killed / "checkpoints" / "4"), *files_of(killed / "checkpoints" / "2")]:
        DAMAGES[damage](path)
    before = contents(killed)
    outcome = lab.train(config, capsys)
    assert outcome.code == 1
    assert outcome.err.startswith("error: no sound checkpoint in ") and outcome.err.count("\n") == 1
    assert contents(killed) == before


LEFT_BY_A_KILL = (
    [".lock"],
    [".lock", "samples/"],
    [".lock", "samples/", "tensorboard/events.out"],
    [".lock", "samples/", ".flagfile.txt.part"],
    [".lock", "samples/", "flagfile.txt", ".run.json.part"],
)


@pytest.mark.parametrize("names", LEFT_BY_A_KILL)
def test_what_a_kill_at_the_very_start_leaves_does_not_bar_the_folder(config, names):
    for name in names:
        path = Path(config.workdir, name)
        (path if name.endswith("/") else path.parent).mkdir(parents=True, exist_ok=True)
        if not name.endswith("/"):
            path.write_text("half a li")
    with run_folder.claim(config):
        pass


# Folders of unusual names, and links


@pytest.mark.parametrize("name", ["run[1]", "a\\b", "a\nb", os.fsdecode(b"a\xffb")], ids=ascii)
def test_a_folder_in_which_every_checkpoint_would_be_lost_is_refused_before_step_1(
    lab, capsys, tmp_path, name
):
    outcome = lab.train(configure(tmp_path / name), capsys)
    assert outcome.code == 1
    assert outcome.err.startswith("error: checkpoints cannot be kept in ")
    assert "choose another folder" in outcome.err and len(outcome.err.splitlines()) == 1
    assert lab.moments == [] and list(tmp_path.iterdir()) == []


def test_a_run_in_a_folder_of_letters_spaces_and_signs_ends_as_any_other(
    lab, capsys, tmp_path, kept
):
    config = configure(tmp_path / "Läufe 日本 #1 (50 %) $HOME {x} " / "a run")
    assert lab.train(config, capsys).code == 0
    assert differences(kept["evidence"], evidence(Path(config.workdir))) == []


def test_checkpoints_that_are_links_end_no_run_and_what_they_lead_to_stays(
    lab, capsys, config, killed, kept, tmp_path
):
    for step in (2, 4):
        (killed / "checkpoints" / str(step)).rename(tmp_path / str(step))
        (killed / "checkpoints" / str(step)).symlink_to(tmp_path / str(step))
    before = contents(tmp_path / "2")
    outcome = lab.train(config, capsys)
    assert (outcome.code, outcome.err) == (0, "")
    assert differences(kept["evidence"], evidence(killed, checkpoints=2)) == []
    assert contents(tmp_path / "2") == before


# A disk that is full, or refuses


def before(what: str, number: int, lab: Lab, act: Callable[[], object]) -> Callable[[str], None]:
    """Do something before the line, picture or save of that number, counted from 0; no save is under way then."""

    def listen(name: str) -> None:
        if name == f"before a {what}" and lab.moments.count(name) == number + 1:
            if "before a save" in lab.moments:
                lab.checkpoints.steps()
            act()

    return listen


def check_stopped(outcome, folder: Path) -> None:
    """The run was stopped by one line that names the trouble, and what was sound is sound."""
    assert outcome.code == 1
    assert outcome.err.startswith("error: ") and outcome.err.count("\n") == 1, outcome.err
    assert any(word in outcome.err for word in ("too large", "No space", "ermission")), outcome.err
    assert len(outcome.err) < 400, "a page of the library's text helps nobody"
    steps = disk.list_steps(folder / "checkpoints")
    assert steps and all(disk.read_record(folder / "checkpoints", step) for step in steps)
    assert all(disk.read_arrays(folder / "checkpoints", step) for step in steps)


@contextlib.contextmanager
def files_end_at(size: int) -> Iterator[Callable[[], None]]:
    """Give a function from whose call on every file ends there, which to a writer looks like a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "number"), [("line", 2), ("picture", 1), ("save", 1), ("save", 2)]
)
def test_where_no_file_can_grow_the_run_stops_and_later_ends_the_same(
    lab, capsys, config, kept, what, number
):
    with files_end_at(
        600
    ) as fill:  # in the midst of the second line, of every picture, of the weights
        lab.listener = before(what, number, lab, fill)
        outcome = lab.train(config, capsys)
    check_stopped(outcome, Path(config.workdir))
    assert what != "save" or "file too large (" in outcome.err
    lab.listener = lambda name: None
    assert lab.train(config, capsys).code == 0
    assert differences(kept["evidence"], evidence(Path(config.workdir))) == []


@contextlib.contextmanager
def small_disk(megabytes: int) -> Iterator[Path]:
    """A file system of that size, or a skip."""
    with tempfile.TemporaryDirectory() as name:
        command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "small_disk", name]
        try:
            done = subprocess.run(command, capture_output=True, text=True)
        except FileNotFoundError:
            pytest.skip("there is no mount here")
        if done.returncode:
            pytest.skip(f"mounting is not permitted here: {done.stderr.strip()}")
        try:
            yield Path(name)
        finally:
            subprocess.run(["umount", name], check=True)


def fill_up(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError as error:
            assert error.errno == errno.ENOSPC


MOMENTS = [("line", 1), ("picture", 1), ("save", 0), ("save", 1), ("save", 2)]


@pytest.mark.slow
@pytest.mark.parametrize(("what", "number"), MOMENTS)
def test_a_full_disk_stops_the_run_and_more_room_lets_it_end_the_same(
    lab, capfd, kept, what, number
):
    with small_disk(megabytes=3) as disk_folder:
        config, filler = configure(disk_folder / "run"), disk_folder / "filler"
        lab.listener = before(what, number, lab, lambda: fill_up(filler))
        outcome = lab.train(config, capfd)
        assert outcome.code == 1
        assert outcome.err.startswith("error: ") and outcome.err.count("\n") == 1, outcome.err
        assert "No space left" in outcome.err, outcome.err
        assert what != "save" or "disk full (" in outcome.err
        if number:
            check_stopped(outcome, Path(config.workdir))
        filler.unlink()
        lab.listener = lambda name: None
        assert lab.train(config, capfd).code == 0
        assert differences(kept["evidence"], evidence(Path(config.workdir))) == []


def test_a_disk_that_is_full_from_the_start_is_told_in_one_line(lab, capfd):
    with small_disk(megabytes=1) as disk_folder:
        fill_up(disk_folder / "filler")
        outcome = lab.train(configure(disk_folder / "run"), capfd)
        assert outcome.code == 1 and "No space left" in outcome.err
        assert outcome.err.startswith("error: ") and outcome.err.count("\n") == 1, outcome.err
        (disk_folder / "filler").unlink()
        assert lab.train(configure(disk_folder / "run"), capfd).code == 0


@contextlib.contextmanager
def rights_over(folder: Path) -> Iterator[Callable[[], None]]:
    """Give a function from whose call on this process may read the folder and not write to it."""

    def lose() -> None:
        if os.geteuid() == 0:  # whom no mode of a file binds
            os.seteuid(NOBODY)
        else:
            for path in [folder, *folder.rglob("*")]:
                path.chmod(0o555 if path.is_dir() else 0o444)

    was_root = os.geteuid() == 0
    try:
        yield lose
    finally:
        if was_root:
            os.seteuid(0)
        for path in [folder, *folder.rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "number"), [("line", 1), ("picture", 1), ("save", 1), ("save", 2)]
)
def test_a_folder_that_becomes_unwritable_stops_the_run_which_later_ends_the_same(
    lab, capfd, kept, what, number
):
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        config = configure(Path(name, "run"))
        with rights_over(Path(config.workdir)) as lose:
            lab.listener = before(what, number, lab, lose)
            outcome = lab.train(config, capfd)
        check_stopped(outcome, Path(config.workdir))
        lab.listener = lambda name: None
        assert lab.train(config, capfd).code == 0
        assert differences(kept["evidence"], evidence(Path(config.workdir))) == []


# Divergence


def spoil(name: str, step: int, times: float = float("inf"), value: float = np.nan) -> Callable:
    """Make a metric not finite at a step, so many times."""
    left = [times]

    def meddle(metrics: dict, first_step: int) -> dict:
        values = np.array(metrics[name])
        if 0 <= step - first_step < len(values) and left[0] > 0:
            left[0] -= 1
            values[step - first_step] = value
        return {**metrics, name: values}

    return meddle


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["d_loss", "g_loss", "d_grad_norm", "g_grad_norm"])
def test_divergence_stops_the_run_within_its_chunk_naming_step_and_quantity(
    lab, capsys, config, killed, name, value
):
    before = contents(killed / "checkpoints")
    lab.meddle = spoil(name, 5, value=value)
    outcome = lab.train(config, capsys)
    assert outcome.code == 1 and outcome.err.count("\n") == 1
    assert outcome.err.startswith(
        f"error: diverged: {name} not finite at step 5; sound checkpoints"
    )
    assert lab.moments == ["before a chunk", "after a chunk"]
    assert contents(killed / "checkpoints") == before


def test_of_several_bad_quantities_the_first_is_named():
    metrics = {"a": np.array([0.0, 0, np.nan]), "b": np.array([0.0, np.inf, 0]), "c": np.zeros(3)}
    with pytest.raises(divergence.DivergedError, match="diverged: b not finite at step 12"):
        divergence.check_metrics(metrics, 11)


def test_weights_that_are_not_finite_are_not_kept():
    divergence.check_state({"w": jnp.ones(3), "step": jnp.int32(4)}, 4)
    with pytest.raises(divergence.DivergedError, match="weights not finite after step 4"):
        divergence.check_state({"w": jnp.array([1.0, jnp.nan]), "step": jnp.int32(4)}, 4)


def rolling_back(config, **values):
    return configure(Path(config.workdir), on_divergence="rollback", **values)


def test_a_rollback_goes_on_from_the_last_checkpoint_with_fresh_random_numbers(
    lab, capsys, config, kept
):
    lab.meddle = spoil("g_loss", 5, times=1)
    outcome = lab.train(rolling_back(config), capsys)
    assert (outcome.code, outcome.err) == (0, "")
    assert "g_loss not finite at step 5; rolled back to step 4 (1 of 3)" in outcome.out
    found = evidence(Path(config.workdir))
    differing = differences(kept["evidence"], found)
    assert not any(name.startswith("step 4") for name in differing)
    assert any(name.startswith("step 6") for name in differing), "the same numbers would fail again"
    assert found["metrics"][:2] == kept["evidence"]["metrics"][:2]
    assert [record["step"] for record in found["metrics"]] == [2, 4, 6]


@pytest.mark.slow
def test_a_rollback_outlives_a_kill(lab, capsys, config):
    values = {"num_steps": 8}
    lab.meddle = spoil("g_loss", 3, times=1)
    assert lab.train(rolling_back(config, **values), capsys).code == 0
    expected = evidence(Path(config.workdir))
    moment = [i for i, name in enumerate(lab.moments) if name == "before a chunk"][4]
    shutil.rmtree(config.workdir)
    lab.meddle = spoil("g_loss", 3, times=1)
    assert lab.kill(rolling_back(config, **values), moment, capsys)
    outcome = lab.train(rolling_back(config, **values), capsys)
    assert outcome.code == 0 and "continuing after step" in outcome.out
    assert differences(expected, evidence(Path(config.workdir))) == []


@pytest.mark.parametrize("step", [1, 5])  # before there is a checkpoint, and after
def test_a_run_that_diverges_a_fourth_time_is_stopped(lab, capsys, config, step):
    lab.meddle = spoil("d_loss", step)
    outcome = lab.train(rolling_back(config), capsys)
    assert outcome.code == 1 and outcome.err.count("\n") == 1
    assert outcome.out.count("rolled back to step") == 3
    assert f"d_loss not finite at step {step}, after 3 rollbacks" in outcome.err
    checkpoints = Path(config.workdir, "checkpoints")
    assert disk.list_steps(checkpoints) == ([] if step == 1 else [2, 4])


# Two at once, and interruptions


def test_a_second_run_in_a_folder_is_refused_and_the_first_does_not_notice(
    lab, capsys, config, kept
):
    refusals = []

    def intrude(name: str) -> None:
        if name == "after a chunk":
            with pytest.raises(UserError, match="another process is running in") as caught:
                loop.train(lab.task._replace(config=config))
            refusals.append(str(caught.value))

    lab.listener = intrude
    assert lab.train(config, capsys).code == 0
    assert len(refusals) == 3 and all("\n" not in line for line in refusals)
    assert differences(kept["evidence"], evidence(Path(config.workdir))) == []


TWO_SIGNALS = """
import os, signal, sys, time
from experiments.command.interruption import listening
with listening() as interruption:
    os.kill(os.getpid(), int(sys.argv[1]))
    print(interruption.signal.name, interruption.exit_code, flush=True)
    os.kill(os.getpid(), int(sys.argv[2]))
    time.sleep(1)
    print("still here")
"""


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
def test_one_signal_is_noted_and_a_second_of_either_kind_ends_the_process_at_once(first, second):
    command = [sys.executable, "-c", TWO_SIGNALS, str(int(first)), str(int(second))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout == f"{first.name} {128 + first}\n"
    assert done.returncode == -second


def test_data_of_another_sha256_are_refused_before_anything_changes(lab, capsys, config, killed):
    with (killed / "metrics.jsonl").open("a") as log:
        log.write('{"step": 6}\n')  # after the last checkpoint
    before = contents(killed)
    train = lab.task.source.train._replace(sha256="0" * 64)
    lab.task = lab.task._replace(source=lab.task.source._replace(train=train))
    outcome = lab.train(config, capsys)
    assert outcome.code == 1 and "the data differ from those with which" in outcome.err
    assert contents(killed) == before


def test_ctrl_c_before_training_begins_is_one_line_and_not_a_traceback(capsys):
    def impatient():
        raise KeyboardInterrupt

    outcome = call(impatient, [], capsys)
    assert outcome.code == 130
    assert outcome.err.count("\n") == 1 and "SIGINT" in outcome.err
