"""The folder of many runs: one recipe, which runs it holds, which of them diverged. Each run has a folder inside."""

import contextlib
import dataclasses
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from experiments.command.config import INCIDENTAL
from experiments.command.program import UserError
from experiments.many.members import Member
from experiments.record import schema
from experiments.record.files import refuse_links_out, without_part, write_text
from experiments.record.lock import LOCK, hold
from experiments.record.resumption import PERIODS, another_program, program_named, resumable
from experiments.record.run_folder import read_run

POPULATION = "population.json"
DIVERGED = "diverged.json"  # name of a run -> what it said
OURS = (POPULATION, DIVERGED, LOCK, "summary.json", "seeds.png", "curves.png", "report.html")
PATIENCE = 120  # seconds in which another command has read and written what the folder holds
REMEDY = "remove it to have it written anew"


class Population(NamedTuple):
    """What a folder holds.

    Attributes:
      recipe: the flags that all its runs share.
      members: name of a run -> the flags that --sweep gave it.
      groups: names of the runs that share compiled calls; a run alone is a group of one.
      program: that trains them; None: unknown, as of version 0.1.0.
    """

    recipe: dict[str, Any]
    members: dict[str, dict[str, Any]]
    groups: list[list[str]]
    program: str | None = None


def is_population(folder: Path) -> bool:
    """Whether a folder holds many runs."""
    return (folder / POPULATION).is_file()


def dtype_begun(path: Path) -> str | None:
    """Say with which --dtype the run or the runs of a folder were begun; None if there are none, or of several."""
    if (path / "run.json").is_file():
        return read_run(path)["config"].get("dtype")
    if is_population(path):
        return read(path).recipe.get("dtype")
    return None


@contextlib.contextmanager
def claimed(
    folder: Path, asked: list[Member], program: str | None = None, *, writes: bool
) -> Iterator[Population]:
    """Check that a folder is new or holds runs of the same recipe, and hold it while what it holds is written anew.

    Several commands may train in one folder. Between reading and writing, none may come in.

    Args:
      folder: which.
      asked: the runs of this command.
      program: that trains them; None: any.
      writes: whether this process writes; one that only reads holds nothing.

    Raises:
      UserError: it holds something else. Nothing has been written.
    """
    known = claim(folder, asked, program)
    with _held(folder) if writes else contextlib.nullcontext():
        yield claim(folder, asked, program) if writes else known


def _held(folder: Path) -> contextlib.AbstractContextManager[None]:
    refusal = f"another command has not let go of {folder} for {PATIENCE} seconds: end it"
    return hold(folder, patience=PATIENCE, refusal=refusal)


def claim(folder: Path, asked: list[Member], program: str | None = None) -> Population:
    """Check that the folder is new or holds runs of the same recipe; nothing is written.

    Returns:
      What it holds, with the recipe as it is now: periods and --num_steps may differ as they may in a single run.

    Raises:
      UserError: it holds something else.
    """
    if (folder / "run.json").exists():
        raise UserError(
            f"--workdir={folder} holds a single run: choose another folder for --seeds and --sweep"
        )
    if folder.exists() and not folder.is_dir():
        raise UserError(f"--workdir={folder} is a file: choose a folder")
    _refuse_links(folder, (member.name for member in asked))
    if not is_population(folder):
        _refuse_strangers(folder, asked)
        return Population(recipe_of(asked[0]), {}, [], program)
    known, recipe = read(folder), recipe_of(asked[0])
    if other := another_program(_program_of(folder, known), program):
        raise UserError(f"{folder} holds runs {other}")
    reasons = _objections(folder, known, recipe)
    if reasons:
        raise UserError(
            f"{folder} holds runs of another configuration: {'; '.join(reasons)}. Choose another --workdir"
        )
    return known._replace(recipe=recipe, program=program or known.program)


def _program_of(folder: Path, known: Population) -> str | None:
    """Name the program of a folder's runs: those of a folder that does not say, do."""
    begun = (folder / name for name in known.members if (folder / name / "run.json").is_file())
    first = None if known.program else next(begun, None)
    return known.program if first is None else program_named(read_run(first))


def _objections(folder: Path, known: Population, recipe: dict[str, Any]) -> list[str]:
    """Say what keeps the runs of a folder from going on with a recipe: the first run's reasons that has any."""
    for name, swept in known.members.items() or [("", {})]:
        there, here = known.recipe | swept, recipe | swept
        step = _steps_taken(folder / name) if there.get("num_steps") != here.get("num_steps") else 0
        if reasons := resumable(there, here, step):
            return reasons
    return []


def _steps_taken(run: Path) -> int:
    from gan_jax.checkpoint import Checkpoints  # imports JAX

    return max(Checkpoints(run / "checkpoints").steps(), default=0)


def steps_asked_of(population: Population, name: str) -> int | None:
    """Say how many steps a run of a folder is to take, by the command that last trained there."""
    return population.members[name].get("num_steps", population.recipe.get("num_steps"))


def recipe_of(member: Member) -> dict[str, Any]:
    """Give the flags that make a recipe: neither the seed nor what is swept, nor where things lie or how often."""
    apart = {"seed", *INCIDENTAL, *PERIODS, *member.swept}
    flags = dataclasses.asdict(member.config)
    recipe = {name: value for name, value in flags.items() if name not in apart}
    return recipe | {"sweep": sorted(member.swept)}


def _refuse_strangers(folder: Path, asked: list[Member]) -> None:
    ours = {*OURS, *(member.name for member in asked)}
    entries = folder.iterdir() if folder.is_dir() else ()
    strangers = sorted({without_part(entry.name) for entry in entries} - ours)
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
        table = {k: v for k, v in population._asdict().items() if v is not None}
        _write(folder / POPULATION, table)
    except OSError as error:
        raise UserError(f"cannot write to --workdir={folder}: {error.strerror}") from error


def read(folder: Path) -> Population:
    """Read what a folder holds.

    Raises:
      UserError: its population.json is damaged, or a run in it lies elsewhere.
    """
    file = folder / POPULATION
    found = schema.read(file, schema.POPULATION, REMEDY)
    population = Population(**{name: found.get(name) for name in Population._fields})
    if sorted(name for group in population.groups for name in group) != sorted(population.members):
        raise schema.damaged(file, "groups and members do not agree", REMEDY)
    _refuse_links(folder, population.members)
    return population


def _refuse_links(folder: Path, names: Iterable[str]) -> None:
    refuse_links_out(folder, (folder / name for name in names))


def read_diverged(folder: Path) -> dict[str, str]:
    """Read which runs diverged, and what they said; a run whose folder was removed counts no longer.

    Raises:
      UserError: the file is damaged.
    """
    file = folder / DIVERGED
    found = schema.read(file, schema.DIVERGED, REMEDY) if file.is_file() else {}
    return {name: said for name, said in found.items() if (folder / name).is_dir()}


def note_divergence(folder: Path, name: str, message: str) -> None:
    """Count a run as diverged: the same command does not try it again, since the same bits would follow."""
    with _held(folder):
        _write(folder / DIVERGED, read_diverged(folder) | {name: message})


def _write(file: Path, table: dict[str, Any]) -> None:
    write_text(file, json.dumps(table, indent=2) + "\n")
