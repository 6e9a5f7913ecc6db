"""Which commit a run is said to be made of: that of gan_jax's own repository, or none."""

import os
import subprocess
from pathlib import Path

import pytest

from experiments.record import provenance

PLACE = Path("experiments", "record", "provenance.py")


def git(folder: Path, *arguments: str) -> None:
    who = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main")
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)


def repository(folder: Path, name: str = "gan_jax", at: Path = PLACE, tracked: bool = True) -> Path:
    """Make a repository of a project, which holds the package's file; return that file."""
    file = folder / at
    file.parent.mkdir(parents=True)
    (folder / "setup.cfg").write_text(f"[metadata]\nname = {name}\ndescription = 100 % ours\n")
    git(folder, "init")
    if tracked:
        file.write_text("code\n")
    git(folder, "add", ".")
    git(folder, "commit", "--message=first")
    file.write_text("code\n")
    return file


def commit(file: Path, monkeypatch) -> str | None:
    monkeypatch.setattr(provenance, "__file__", str(file))
    return provenance._commit()


def trap(folder: Path) -> Path:
    """Have git run a program of the repository, which leaves a trace; return the trace."""
    trace, script = folder.parent / "trace", folder / ".git" / "trap"
    script.write_text(f"#!/bin/sh\ntouch {trace}\n")
    script.chmod(0o755)
    git(folder, "config", "core.fsmonitor", str(script))
    (folder / ".git" / "hooks").mkdir(exist_ok=True)
    (folder / ".git" / "hooks" / "post-index-change").write_text(script.read_text())
    (folder / ".git" / "hooks" / "post-index-change").chmod(0o755)
    return trace


def test_the_commit_of_our_own_repository_is_recorded_and_that_it_was_changed(
    tmp_path, monkeypatch
):
    file = repository(tmp_path / "ours")
    found = commit(file, monkeypatch)
    assert len(found) == 12 and int(found, 16) >= 0
    file.write_text("changed\n")
    assert commit(file, monkeypatch) == f"{found}-dirty"


def test_what_git_cannot_tell_counts_as_changed(tmp_path, monkeypatch):
    file = repository(tmp_path / "ours")
    found, ask = commit(file, monkeypatch), provenance._git

    def ask_or_fail(root: Path, *arguments: str) -> str | None:
        return None if arguments[0] == "status" else ask(root, *arguments)

    monkeypatch.setattr(provenance, "_git", ask_or_fail)
    assert commit(file, monkeypatch) == f"{found}-dirty"


@pytest.mark.parametrize("tracked", [True, False])
def test_a_virtual_environment_in_another_repository_has_no_commit(tmp_path, monkeypatch, tracked):
    inside = Path(".venv", "lib", "python3.11", "site-packages") / PLACE
    file = repository(tmp_path / "thesis", "thesis", inside, tracked)
    trace = trap(tmp_path / "thesis")
    assert commit(file, monkeypatch) is None
    assert not trace.exists(), "a program of the other repository was run"


def test_a_repository_that_vendors_us_has_no_commit_of_ours(tmp_path, monkeypatch):
    assert commit(repository(tmp_path / "a", "thesis"), monkeypatch) is None
    assert commit(repository(tmp_path / "b", at=Path("vendor") / PLACE), monkeypatch) is None
    assert commit(repository(tmp_path / "c", tracked=False), monkeypatch) is None
    unreadable = repository(tmp_path / "d")
    (tmp_path / "d" / "setup.cfg").write_bytes(b"\xff[")
    assert commit(unreadable, monkeypatch) is None


def test_a_folder_without_a_repository_has_no_commit(tmp_path, monkeypatch):
    assert commit(tmp_path / PLACE, monkeypatch) is None


def test_no_program_of_our_own_repository_is_run_and_the_index_is_left_alone(tmp_path, monkeypatch):
    file = repository(tmp_path / "ours")
    trace = trap(tmp_path / "ours")
    os.utime(file, (1, 1))  # so that git would refresh the index
    before = (tmp_path / "ours" / ".git" / "index").read_bytes()
    assert commit(file, monkeypatch)
    assert not trace.exists()
    assert (tmp_path / "ours" / ".git" / "index").read_bytes() == before


def test_another_repository_that_the_environment_names_is_not_asked(tmp_path, monkeypatch):
    """As in a hook of it, from which a run is started."""
    file = repository(tmp_path / "ours")
    expected = commit(file, monkeypatch)
    other = repository(tmp_path / "other", "thesis").parents[2]
    git(other, "commit", "--allow-empty", "--message=second")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    assert commit(file, monkeypatch) == expected
