"""The runs that one command asks for: one for each of --seeds and each value of --sweep. Imports no JAX."""

import dataclasses
import itertools
import math
import re
from typing import Any, NamedTuple

from absl import flags

from experiments.command import config as configs
from experiments.command import shared_flags, usage
from experiments.command.config import Config
from experiments.command.program import UserError

MOST = 10_000  # runs of one command
# What a run is told apart by, or what one command shares between all its runs.
FIXED = ("seed", "dataset", *configs.OWN_DATA, *configs.INCIDENTAL)


class Member(NamedTuple):
    """One of the runs.

    Attributes:
      name: of its folder inside the command's --workdir.
      config: its flags.
      swept: the flags that --sweep gave it; empty if only seeds differ.
    """

    name: str
    config: Config
    swept: dict[str, Any]


def define_flags() -> None:
    """Define the shared flags, and those that ask for many runs."""
    shared_flags.define_flags()
    if "seeds" in flags.FLAGS:
        return
    with usage.group("many runs"):
        _define()


def _define() -> None:
    flags.DEFINE_string(
        "seeds", None, "train a run for each of these seeds, as in 0..9 or 0,3,7; then measure all and sum up"
    )  # fmt: skip
    flags.DEFINE_multi_string(
        "sweep", [], "train a run for each value of a flag, as in r1_gamma:0.1,1,10; given twice, for each pair"
    )  # fmt: skip
    flags.DEFINE_enum(
        "together", "auto", ("auto", "yes", "no"), "take the steps of all runs in one compiled call, one run after "
        "another, or whichever is faster; the results differ by rounding"
    )  # fmt: skip
    flags.DEFINE_string(
        "processes", "auto", "runs that are trained side by side, each by a process of its own; auto: one for each "
        "core of the processor, as far as memory goes; 1: one after another; the results are the same"
    )  # fmt: skip
    flags.register_validator("processes", _is_number_of_processes)
    flags.DEFINE_string(
        "only", None, "train this one of the runs, as in seed_3, and measure nothing: one for each job of a cluster; "
        "the same command without it measures and sums up"
    )  # fmt: skip
    flags.DEFINE_bool("report", True, "make report.html at the end, a page that opens anywhere")


def _is_number_of_processes(value: str) -> bool:
    if value == "auto" or (value.isascii() and value.isdecimal() and 1 <= int(value[:5]) <= 1024):
        return True
    raise flags.ValidationError("must be auto or a number from 1 to 1024")


def are_asked_for() -> bool:
    """Whether the command asks for more than the one run."""
    asked = flags.FLAGS
    return asked.seeds is not None or bool(asked.sweep) or asked.only is not None


def default_name(config: Config) -> str:
    """Name a folder after the seed of the one run, or after there being many."""
    return "many" if are_asked_for() else str(config.seed)


def from_flags(workdir: str, dtype: str | None = None) -> list[Member]:
    """List the runs that --seeds and --sweep ask for, each with its folder inside `workdir`.

    Args:
      workdir: of all.
      dtype: what the program has chosen for all where --dtype leaves it to it; None: nothing yet.

    Raises:
      UserError: a list does not parse, or names a flag that cannot be swept.
      flags.Error: a value that its flag does not take.
    """
    seeds = [flags.FLAGS.seed] if flags.FLAGS.seeds is None else parse_seeds(flags.FLAGS.seeds)
    sweeps = dict(_parse_sweep(text) for text in flags.FLAGS.sweep)
    if len(sweeps) < len(flags.FLAGS.sweep):
        raise UserError("--sweep names the same flag twice: put all its values into one list")
    if math.prod(map(len, sweeps.values())) * len(seeds) > MOST:
        raise UserError(f"--seeds and --sweep ask for more than {MOST:,} runs: shorten the lists")
    runs = [
        _member(workdir, dict(zip(sweeps, values, strict=True)), seed, dtype)
        for values in itertools.product(*sweeps.values())
        for seed in seeds
    ]
    if len({dataclasses.replace(run.config, workdir="") for run in runs}) < len(runs):
        raise UserError("--sweep names the same value twice, in other words")
    return runs


def parse_seeds(text: str) -> list[int]:
    """Read a list of seeds: "0..9", "0,3,7", "0..4,10".

    Raises:
      UserError: it is no such list, or names a seed twice.
    """
    seeds: list[int] = []
    for part in text.split(","):
        found = re.fullmatch(r"\s*(\d{1,10})(?:\.\.(\d{1,10}))?\s*", part, re.ASCII)
        low, high = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
        if not low <= high < 2**32 or high - low >= MOST:
            raise UserError(f"--seeds={text} is no list of seeds: write 0..9 or 0,3,7")
        seeds.extend(range(low, high + 1))
    if len(set(seeds)) < len(seeds):
        raise UserError(f"--seeds={text} names a seed twice")
    return seeds


def _parse_sweep(text: str) -> tuple[str, list[str]]:
    name, colon, values = text.partition(":")
    name = name.strip().lstrip("-")
    listed = [value.strip() for value in values.split(",")]
    if not (name and colon) or "" in listed:
        raise UserError(f"--sweep={text} is not FLAG:VALUE,VALUE,..., as in r1_gamma:0.1,1,10")
    known = {field.name for field in dataclasses.fields(Config)} - set(FIXED)
    if name not in known:
        raise UserError(f"--sweep={text}: --{name} cannot be swept")
    if len(set(listed)) < len(listed):
        raise UserError(f"--sweep={text} names a value twice")
    if name == "dtype" and "auto" in listed:
        raise UserError(f"--sweep={text}: auto is one of the others: name float32 and bfloat16")
    return name, listed


def _member(workdir: str, swept: dict[str, str], seed: int, dtype: str | None) -> Member:
    name = "-".join([*(f"{flag}_{value}" for flag, value in swept.items()), f"seed_{seed}"])
    saved = {flag: flags.FLAGS[flag].value for flag in (*swept, "seed")}
    try:
        for flag, value in swept.items():
            setattr(flags.FLAGS, flag, flags.FLAGS[flag].parser.parse(value))  # validators included
        flags.FLAGS.seed = seed
        config = configs.from_flags()
    except (ValueError, TypeError) as error:
        raise UserError(f"--sweep: {swept}: {error}") from error
    finally:
        for flag, value in saved.items():
            flags.FLAGS[flag].value = value
    chosen = {"dtype": dtype} if dtype and "dtype" not in swept else {}
    config = dataclasses.replace(config, workdir=f"{workdir}/{name}", **chosen)
    return Member(name, config, {flag: getattr(config, flag) for flag in swept})
