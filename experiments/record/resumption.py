"""Whether a run may go on with other flags than it was begun with. Pure; imports no JAX."""

from collections.abc import Mapping
from typing import Any

from experiments.command.config import INCIDENTAL, LATER

# How often something happens that the game does not see. With other periods the chunks of steps are cut elsewhere,
# which XLA compiles as other programs: the same steps, but for their last bits.
PERIODS = ("steps_per_call", "log_every", "sample_every", "checkpoint_every", "eval_every")
CONTINUABLE = ("num_steps", *PERIODS)  # what a run may go on with, and what is noted then


def resumable(saved: Mapping[str, Any], now: Mapping[str, Any], step: int) -> list[str]:
    """Say what keeps a run from going on with the flags given now.

    Incidental flags and periods may differ. So may --num_steps, if no learning rate depends on it and the steps
    already taken are not more.

    Args:
      saved: the run's flags by name; one that is older than a flag has what the flag now leaves as it was.
      now: those given.
      step: how many steps the run has taken.

    Returns:
      A reason for each flag, with both values; none if the run may go on.
    """
    saved, now = {**LATER, **saved}, {**LATER, **now}
    reasons = []
    for name in sorted({*saved, *now} - {*INCIDENTAL, *PERIODS}):
        there, here = saved.get(name), now.get(name)
        if there != here and (why := _objection(name, saved, now, step)) is not None:
            reasons.append(f"--{name} (there {there}, here {here}{why})")
    return reasons


def _objection(
    name: str, saved: Mapping[str, Any], now: Mapping[str, Any], step: int
) -> str | None:
    """Say why a flag may not differ, perhaps in no words; None if it may."""
    if name != "num_steps":
        return ""
    if not isinstance(saved.get(name), int) or not isinstance(now.get(name), int):
        return ""
    schedule = saved.get("lr_schedule", "constant")
    if schedule != "constant":
        return f": --lr_schedule={schedule} ends with the training, so other steps would have been taken"
    return f": it has taken {step} steps already" if now[name] < step else None


def program_named(record: Mapping[str, Any]) -> str:
    """Name the program that a run belongs to; a run of version 0.1.0 names its experiment alone.

    Args:
      record: run.json.
    """
    return record.get("program") or f"experiments.{record['experiment']}"


def another_program(there: str | None, here: str | None) -> str:
    """Say that runs are another program's, as the end of a sentence; nothing if they are not, or nobody knows."""
    if not there or not here or there == here:
        return ""
    return f"of another program: {there}; choose another --workdir"


def current_flags(record: Mapping[str, Any]) -> dict[str, Any]:
    """Give the flags that a run has now: those of its start, and those with which it was continued.

    Args:
      record: run.json.
    """
    flags = dict(record["config"])
    for continuation in record.get("continued", ()):
        flags |= continuation["flags"]
    return flags


def continued_with(saved: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """Give those flags that are to be noted when a run goes on with them: the ones that differ."""
    return {name: now[name] for name in CONTINUABLE if now[name] != saved.get(name)}


def in_words(name: str, before: Any, now: Any) -> str:
    """Say that a flag is another from here on, and what follows from it."""
    line = f"--{name} was {before} and is {now} from here on"
    cuts = name in PERIODS
    return f"{line}: the rest of the run may differ in its last bits" if cuts else line
