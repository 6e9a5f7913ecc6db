"""Which program a run belongs to, and that program's experiment: the game of a run that is read back.

A run folder may come from anyone, so a module that it names is looked at before it is imported: nothing runs but what
says at its top level that it is a training program, `EXPERIMENT = ...`, in a package on Python's own path.
"""

import ast
import importlib
import importlib.util
import sys
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

from experiments.command.experiment import Experiment
from experiments.command.program import UserError

NAME = "EXPERIMENT"


def program_of(experiment: Experiment) -> str:
    """Name the module that `python -m` starts for an experiment; a script's path where it was started as one.

    Raises:
      UserError: the program that runs would train something else when it is read back.
    """
    main = sys.modules["__main__"]
    module = getattr(experiment.build, "__module__", None)
    if getattr(main, NAME, None) is experiment:
        return _running()
    if module in (None, "__main__"):
        raise UserError(
            f"this program trains an experiment that is not its {NAME}, so that its runs could not be read back: "
            f"give the experiment that name, at the top level"
        )
    return module


def experiment_of(facts: dict[str, Any], folder: Path) -> Experiment:
    """Find the experiment of a run.

    Args:
      facts: from the run's run.json; folders of version 0.1.0 name their experiment and no program.
      folder: of the run, for the message.

    Raises:
      UserError: its program is not to be found, or is none of training.
    """
    name = facts.get("program") or f"experiments.{facts['experiment']}"
    if name == _running():
        module = sys.modules["__main__"]
    elif name in sys.modules:
        module = sys.modules[name]
    else:
        module = _load(name, folder)
    found = getattr(module, NAME, None)
    if not isinstance(found, Experiment):
        raise UserError(f"{folder} was trained by {name}, which has no {NAME} of its own")
    return found


def _running() -> str:
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    return spec.name if spec else str(getattr(main, "__file__", "an interactive session"))


def _load(name: str, folder: Path) -> ModuleType:
    trained = f"{folder} was trained by {name}"
    if not all(part.isidentifier() for part in name.split(".")):
        raise UserError(
            f"{trained}, which is no module: start it by python -m, then it is found again"
        )
    source = _source(name)
    if source is None:
        raise UserError(
            f"{trained}, which cannot be imported from here: start this command where python -m {name} works"
        )
    if not _is_training_program(source):
        raise UserError(
            f"{trained}, which is no training program: it has no {NAME} at its top level"
        )
    return importlib.import_module(name)


def _source(name: str) -> Path | None:
    """Find a module's file; unlike `importlib.util.find_spec` this imports no package on the way."""
    package, *rest = name.split(".")
    spec = importlib.util.find_spec(package)
    for number in range(1, len(rest) + 1):
        if spec is None or spec.submodule_search_locations is None:
            return None
        below = ".".join([package, *rest[:number]])
        spec = PathFinder.find_spec(below, spec.submodule_search_locations)
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    return Path(spec.origin)


def _is_training_program(source: Path) -> bool:
    try:
        body = ast.parse(source.read_bytes()).body
    except (SyntaxError, ValueError, RecursionError):
        return False
    targets = [target for node in body if isinstance(node, ast.Assign) for target in node.targets]
    return any(isinstance(target, ast.Name) and target.id == NAME for target in targets)
