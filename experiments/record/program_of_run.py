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
from typing import Any, NoReturn

from experiments.command.experiment import Experiment
from experiments.command.program import UserError
from experiments.record.resumption import program_named

NAME = "EXPERIMENT"


def program_of(experiment: Experiment) -> str:
    """Name the module that `python -m` starts for an experiment, also where it was started as a script.

    Raises:
      UserError: the program that runs would not be found, or train something else, when it is read back.
    """
    main = sys.modules["__main__"]
    module = getattr(experiment.build, "__module__", None)
    if getattr(main, NAME, None) is experiment:
        return _running() or _refuse_script()
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
    name = program_named(facts)
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


def _running() -> str | None:
    """Name the module that runs; a script that no import finds has no name."""
    main = sys.modules["__main__"]
    if spec := getattr(main, "__spec__", None):
        return spec.name
    if (file := getattr(main, "__file__", None)) is None:  # an interactive session
        return None
    path = Path(file).resolve()
    name, folder = path.stem, path.parent
    while (folder / "__init__.py").exists():
        name, folder = f"{folder.name}.{name}", folder.parent
    # A package without __init__.py, as `experiments` is, looks like any folder: the longer name first.
    for candidate in (f"{folder.name}.{name}", name):
        found = _source(candidate) if _is_module_name(candidate) else None
        if found is not None and found.resolve() == path:
            return candidate
    return None


def _refuse_script() -> NoReturn:
    name = Path(getattr(sys.modules["__main__"], "__file__", "NAME")).stem
    raise UserError(
        f"no import finds this program, so that its runs could not be read back: start it by python -m {name}, "
        "from a folder where that works"
    )


def _is_module_name(name: str) -> bool:
    return all(part.isidentifier() for part in name.split("."))


def _load(name: str, folder: Path) -> ModuleType:
    trained = f"{folder} was trained by {name}"
    if not _is_module_name(name):
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
    try:
        return importlib.import_module(name)
    except Exception as error:  # whatever a program may raise
        reason = str(error).partition("\n")[0]
        raise UserError(
            f"{trained}, which cannot be imported: {type(error).__name__}: {reason}"
        ) from error


def _source(name: str) -> Path | None:
    """Find a module's file; unlike `importlib.util.find_spec` this imports no package on the way."""
    package, *rest = name.split(".")
    try:
        spec = importlib.util.find_spec(package)
    except (
        ImportError,
        ValueError,
    ):  # a module that is loaded already and has no spec, as a script's
        spec = PathFinder.find_spec(package)
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
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    targets = [target for node in body for target in _targets(node)]
    return any(isinstance(target, ast.Name) and target.id == NAME for target in targets)


def _targets(node: ast.stmt) -> list[ast.expr]:
    if isinstance(node, ast.AnnAssign) and node.value is not None:
        return [node.target]
    return node.targets if isinstance(node, ast.Assign) else []
