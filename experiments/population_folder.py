"""The folder of many runs: which runs it holds, and which of them diverged. Each run has a folder of its own inside."""

import json
from pathlib import Path
from typing import Any

from experiments.members import Member
from experiments.program import UserError
from experiments.run_folder import write_text

MEMBERS = "population.json"  # name of a run -> the flags that --sweep gave it
DIVERGED = "diverged.json"  # name of a run -> what it said


def is_population(folder: Path) -> bool:
    """Whether a folder holds many runs."""
    return (folder / MEMBERS).is_file()


def claim(folder: Path, asked: list[Member]) -> None:
    """Make the folder if need be, and note the runs beside those that are there.

    Raises:
      UserError: the folder holds something else, or cannot be written.
    """
    if (folder / "run.json").exists():
        raise UserError(
            f"--workdir={folder} holds a single run: choose another folder for --seeds and --sweep"
        )
    if folder.exists() and not folder.is_dir():
        raise UserError(f"--workdir={folder} is a file: choose a folder")
    if folder.is_dir() and not is_population(folder) and any(folder.iterdir()):
        raise UserError(f"--workdir={folder} holds other files: choose an empty folder")
    known = read_members(folder) if is_population(folder) else {}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / MEMBERS, known | {member.name: member.swept for member in asked})
    except OSError as error:
        raise UserError(f"cannot write to --workdir={folder}: {error.strerror}") from error


def read_members(folder: Path) -> dict[str, dict[str, Any]]:
    """Read which runs a folder holds, with their swept flags.

    Raises:
      UserError: the file is damaged.
    """
    found = _read(folder / MEMBERS)
    if not all(isinstance(swept, dict) for swept in found.values()):
        raise UserError(f"{folder / MEMBERS} is damaged: remove it to have it written anew")
    return found


def read_diverged(folder: Path) -> dict[str, str]:
    """Read which runs diverged, and what they said.

    Raises:
      UserError: the file is damaged.
    """
    return _read(folder / DIVERGED) if (folder / DIVERGED).is_file() else {}


def note_divergence(folder: Path, name: str, message: str) -> None:
    """Count a run as diverged: the same command does not try it again, since the same bits would follow."""
    _write(folder / DIVERGED, read_diverged(folder) | {name: message})


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text())
        if not isinstance(found, dict):
            raise TypeError("it holds no table")
    except (ValueError, TypeError, RecursionError) as error:
        raise UserError(
            f"{file} is damaged ({error}): remove it to have it written anew"
        ) from error
    return found


def _write(file: Path, table: dict[str, Any]) -> None:
    write_text(file, json.dumps(table, indent=2) + "\n")
