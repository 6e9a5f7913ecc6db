"""What is written into a folder: whole or not at all, by one process, and nowhere else."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import filelock
import pytest
from small_runs import configure

from experiments.command.program import UserError
from experiments.record import run_folder
from experiments.record.files import refuse_links_out, without_part, write_text
from experiments.record.lock import hold
from gan_jax.plots import files as pictures


def test_what_is_written_can_be_read_and_leaves_nothing_beside_it(tmp_path):
    for text in ("first\n", "second, \u00e9\n"):
        write_text(tmp_path / "a.json", text)
        assert (tmp_path / "a.json").read_bytes() == text.encode("utf-8")
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize("planted", [".a.json.part", "a.json"])
def test_a_planted_link_is_not_written_through(tmp_path, planted):
    precious = tmp_path / "precious"
    precious.write_text("precious")
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / planted).symlink_to(precious)
    write_text(folder / "a.json", "{}")
    assert precious.read_text() == "precious" and (folder / "a.json").read_text() == "{}"


def test_what_lies_under_the_name_of_the_part_is_never_written_to(tmp_path, monkeypatch):
    monkeypatch.setattr("secrets.token_hex", lambda length: "0" * (2 * length))
    (tmp_path / f".a.json.{'0' * 16}.part").write_text("another's")
    with pytest.raises(FileExistsError):
        write_text(tmp_path / "a.json", "{}")
    assert (tmp_path / f".a.json.{'0' * 16}.part").read_text() == "another's"
    (tmp_path / f".a.png.{'0' * 16}.tmp").write_text("another's")
    with pytest.raises(FileExistsError):
        pictures.write_atomically(tmp_path / "a.png", lambda file: file.write(b""))
    assert (tmp_path / f".a.png.{'0' * 16}.tmp").read_text() == "another's"


def test_a_file_has_the_permissions_that_the_umask_leaves(tmp_path):
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "a", "")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


def test_a_write_that_fails_leaves_the_old_file_and_no_part(tmp_path, monkeypatch):
    write_text(tmp_path / "a", "old")

    def fail(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(KeyboardInterrupt):
        write_text(tmp_path / "a", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_text() == "old"


@pytest.mark.parametrize(
    ("name", "whole"),
    [
        (".run.json.0123456789abcdef.part", "run.json"),
        (".run.json.part", "run.json"),  # of version 0.1.0
        ("run.json", "run.json"),
        ("thesis.part", "thesis.part"),
        (".thesis.0123.part", "thesis.0123"),
        (".part", ".part"),
    ],
)
def test_a_left_over_part_is_known_by_its_name(name, whole):
    assert without_part(name) == whole


def test_parts_that_a_killed_process_left_do_not_bar_the_folder(tmp_path):
    config = configure(tmp_path / "run")
    (tmp_path / "run").mkdir()
    for name in ("run.json", "flagfile.txt"):
        (tmp_path / "run" / f".{name}.0123456789abcdef.part").write_text("half a li")
    with run_folder.claim(config):
        pass
    (tmp_path / "run" / ".thesis.tex.0123456789abcdef.part").write_text("precious")
    with pytest.raises(UserError, match="holds other files"), run_folder.claim(config):
        pass


# Links that lead out


def test_only_links_out_are_refused(tmp_path):
    folder, outside = tmp_path / "folder", tmp_path / "folder-of-others"
    (folder / "inside").mkdir(parents=True)
    outside.mkdir()
    (folder / "home").symlink_to(folder / "inside")
    (folder / "out").symlink_to(outside)
    (folder / "nowhere").symlink_to(tmp_path / "nowhere")
    (tmp_path / "link").symlink_to(folder)
    refuse_links_out(folder, [folder / "home", folder / "new", folder / "inside" / "new"])
    refuse_links_out(tmp_path / "link", [tmp_path / "link" / "inside"])
    for name in ("out", "out/new", "nowhere", "../folder-of-others"):
        with pytest.raises(UserError, match="leads out of the folder"):
            refuse_links_out(folder, [folder / name])


@pytest.mark.parametrize(
    "name", ["samples", "metrics.jsonl", "evaluations.jsonl", "tensorboard", ".lock"]
)
def test_a_run_writes_through_no_link_that_leads_out_of_its_folder(tmp_path, name):
    folder, outside = tmp_path / "run", tmp_path / "outside"
    folder.mkdir()
    if name in ("samples", "tensorboard"):
        outside.mkdir()
    else:
        outside.write_text("precious")
    (folder / name).symlink_to(outside)
    with (
        pytest.raises(UserError, match=f"{name} is a link that leads out"),
        run_folder.claim(configure(folder)),
    ):
        pass
    assert sorted(path.name for path in folder.iterdir()) == [name]


# The lock


def test_a_folder_is_held_by_one_and_free_again_afterwards(tmp_path):
    for _ in range(2):
        with (
            hold(tmp_path / "new", patience=0, refusal="held"),
            pytest.raises(UserError, match="held"),
            hold(tmp_path / "new", patience=0, refusal="held"),
        ):
            pass
    with pytest.raises(KeyError), hold(tmp_path / "new", patience=0, refusal="held"):
        raise KeyError
    with hold(tmp_path / "new", patience=0, refusal="held"):
        pass


def test_who_is_patient_gets_the_folder_once_it_is_free(tmp_path):
    waiting, order = threading.Event(), []

    def wait() -> None:
        waiting.set()
        with hold(tmp_path, patience=30, refusal="held"):
            order.append("second")

    with hold(tmp_path, patience=0, refusal="held"):
        other = threading.Thread(target=wait)
        other.start()
        waiting.wait()
        time.sleep(0.1)
        order.append("first")
    other.join()
    assert order == ["first", "second"]


@pytest.mark.parametrize("patience", [0, 7.5])
def test_the_folder_is_waited_for_as_long_as_was_said(tmp_path, monkeypatch, patience):
    waited = []

    def acquire(lock, timeout: float) -> None:
        waited.append(timeout)
        raise filelock.Timeout(lock.lock_file)

    monkeypatch.setattr(filelock.FileLock, "acquire", acquire)
    with pytest.raises(UserError, match="held"), hold(tmp_path, patience=patience, refusal="held"):
        pass
    assert waited == [patience]


def test_a_lock_that_is_a_link_out_of_the_folder_is_not_opened(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / ".lock").symlink_to(tmp_path / "precious")
    with (
        pytest.raises(UserError, match="lock is a link that leads out"),
        hold(tmp_path / "folder", patience=0, refusal="held"),
    ):
        pass
    assert not (tmp_path / "precious").exists()


HOLDER = """
import sys, time
from pathlib import Path
from experiments.record.lock import hold
with hold(Path(sys.argv[1]), patience=0, refusal="held"):
    print("holding", flush=True)
    time.sleep(60)
"""


def test_a_process_that_died_holds_nothing(tmp_path):
    root = Path(run_folder.__file__).parents[2]
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "holding\n"
            with pytest.raises(UserError, match="held"), hold(tmp_path, patience=0, refusal="held"):
                pass
        finally:
            process.kill()
    with hold(tmp_path, patience=5, refusal="held"):
        pass


def test_a_run_folder_can_be_used_where_there_is_no_fcntl():
    """As on Windows, where importing it fails."""
    code = "import sys; sys.modules['fcntl'] = None; import experiments.record.run_folder"
    root = Path(run_folder.__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_folder_that_cannot_be_written_is_refused_in_a_line(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(UserError, match="cannot write to --workdir"),
        hold(tmp_path / "file" / "below", patience=0, refusal="held"),
    ):
        pass
