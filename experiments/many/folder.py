"""The folder of many runs: one recipe, which runs it holds, which of them diverged. Each run has a folder inside."""

import dataclasses
import json
from pathlib import Path
from typing import Any, NamedTuple

from experiments.command.config import INCIDENTAL
from experiments.command.program import UserError
from experiments.many.members import Member
from experiments.record.run_folder import write_text

POPULATION = "population.json"
DIVERGED = "diverged.json"  # name of a run -> what it said
OURS = (POPULATION, DIVERGED, "summary.json", "seeds.png", "curves.png")


class Population(NamedTuple):
    """What a folder holds.

    Attributes:
      recipe: the flags that all its runs share.
      members: name of a run -> the flags that --sweep gave it.
      groups: names of the runs that share compiled calls; a run alone is a group of one.
    """

    recipe: dict[str, Any]
    members: dict[str, dict[str, Any]]
    groups: list[list[str]]


def is_population(folder: Path) -> bool:
    """Whether a folder holds many runs."""
    return (folder / POPULATION).is_file()


def claim(folder: Path, asked: list[Member]) -> Population:
    """Check that the folder is new or holds runs of the same recipe; nothing is written.

    Raises:
      UserError: it holds something else.
    """
    if (folder / "run.json").exists():
        raise UserError(
            f"--workdir={folder} holds a single run: choose another folder for --seeds and --sweep"
        )
    if folder.exists() and not folder.is_dir():
        raise UserError(f"--workdir={folder} is a file: choose a folder")
    if not is_population(folder):
        _refuse_strangers(folder, asked)
        return Population(recipe_of(asked[0]), {}, [])
    known = read(folder)
    recipe = recipe_of(asked[0])
    differing = [
        f"--{name} (there {known.recipe.get(name)}, here {recipe.get(name)})"
        for name in sorted({*known.recipe, *recipe})
        if known.recipe.get(name) != recipe.get(name)
    ]
    if differing:
        raise UserError(
            f"{folder} holds runs of another configuration: {'; '.join(differing)}. Choose another --workdir"
        )
    return known


def recipe_of(member: Member) -> dict[str, Any]:
    """Give the flags that make a recipe: all but the seed, what is swept, and where things lie."""
    apart = {"seed", *INCIDENTAL, *member.swept}
    flags = dataclasses.asdict(member.config)
    recipe = {name: value for name, value in flags.items() if name not in apart}
    return recipe | {"sweep": sorted(member.swept)}


def _refuse_strangers(folder: Path, asked: list[Member]) -> None:
    ours = {*OURS, *(member.name for member in asked)}
    entries = folder.iterdir() if folder.is_dir() else ()
    strangers = sorted(
        e.name for e in entries if e.name.strip(".").removesuffix(".part") not in ours
    )
    if strangers:
        raise UserError(
            f"--workdir={folder} holds other files ({strangers[0]}, ...): choose an empty folder"
        )


def write(folder: Path, population: Population) -> None:
    """Make the folder if need be, and note what it holds.

    Raises:
      UserError: it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / POPULATION, population._asdict())
    except OSError as error:
        raise UserError(f"cannot write to --workdir={folder}: {error.strerror}") from error


def read(folder: Path) -> Population:
    """Read what a folder holds.

    Raises:
      UserError: its population.json is damaged.
    """
    found = _read(folder / POPULATION)
    try:
        population = Population(**found)
        names = [name for group in population.groups for name in group]
        if not all(isinstance(swept, dict) for swept in population.members.values()):
            raise TypeError("the flags of a run are no table")
        if sorted(names) != sorted(population.members) or not isinstance(population.recipe, dict):
            raise TypeError("groups and members do not agree")
    except (TypeError, AttributeError) as error:
        raise _damaged(folder / POPULATION, error) from error
    return population


def read_diverged(folder: Path) -> dict[str, str]:
    """Read which runs diverged, and what they said; a run whose folder was removed counts no longer.

    Raises:
      UserError: the file is damaged.
    """
    found = _read(folder / DIVERGED) if (folder / DIVERGED).is_file() else {}
    return {name: said for name, said in found.items() if (folder / name).is_dir()}


def note_divergence(folder: Path, name: str, message: str) -> None:
    """Count a run as diverged: the same command does not try it again, since the same bits would follow."""
    _write(folder / DIVERGED, read_diverged(folder) | {name: message})


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text())
        if not isinstance(found, dict):
            raise TypeError("it holds no table")
    except (ValueError, TypeError, RecursionError) as error:
        raise _damaged(file, error) from error
    return found


def _damaged(file: Path, error: Exception) -> UserError:
    return UserError(f"{file} is damaged ({error}): remove it to have it written anew")


def _write(file: Path, table: dict[str, Any]) -> None:
    write_text(file, json.dumps(table, indent=2) + "\n")
