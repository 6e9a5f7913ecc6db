"""Which checkpoint of a run is meant: the last, the best, or that of a step."""

import re
from pathlib import Path

from experiments.command.program import UserError
from experiments.record.restored import best_and_last
from experiments.record.run_folder import read_run
from gan_jax.checkpoint import Checkpoints

MEANING = "last, best (by --eval_every), or a step"


def check_choice(which: str | None) -> None:
    """Refuse what names no checkpoint of any run.

    Raises:
      UserError: it is neither "last" nor "best" nor a step.
    """
    if which not in (None, "last", "best") and not re.fullmatch("[0-9]{1,10}", which):
        raise UserError(f"--checkpoint={which}: choose {MEANING}")


def find_checkpoint(path: Path, which: str) -> int | None:
    """Give the step of a run's checkpoint; None for the newest sound one.

    Args:
      path: the run folder.
      which: "last", "best", or a step in digits.

    Raises:
      UserError: the folder is no run, or has no such checkpoint.
    """
    check_choice(which)
    read_run(path)
    if which == "last":
        return None
    checkpoints = Checkpoints(path / "checkpoints")
    if which == "best":
        if (best := checkpoints.best_step()) is None:
            raise UserError(
                f"--checkpoint=best: {path} chose none, since it was trained without --eval_every"
            )
        return best
    steps = checkpoints.steps()
    if int(which) not in steps:
        there = ", ".join(map(str, steps)) or "none"
        raise UserError(f"--checkpoint={which}: {path} has none of that step; there are: {there}")
    return int(which)


def checkpoints_to_measure(path: Path, which: str | None) -> dict[str, int | None]:
    """Name the checkpoints that are asked for: the one, or without a choice the last and, if another, the best.

    Raises:
      UserError: as `find_checkpoint`.
    """
    if which is None:
        return best_and_last(path)
    name = which if which in ("last", "best") else f"step_{int(which)}"
    return {name: find_checkpoint(path, which)}
