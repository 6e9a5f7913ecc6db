"""The type of products' operands where --dtype=auto leaves it to the program: a rule by what the machine has.

No product is timed, since a choice that hangs on a clock could not be made again. What was chosen is a run's own from
then on, on whatever machine it goes on.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax

from experiments.command.config import Config

AUTO = "auto"
UNITS = ("avx512_bf16", "amx_bf16")  # by which a processor multiplies bfloat16, as Linux calls them


class Choice(NamedTuple):
    """A type, and why it was chosen."""

    dtype: str
    reason: str


def choose(platform: str, features: frozenset[str]) -> Choice:
    """Choose by JAX's platform, and on a CPU by the processor's features."""
    if platform != "cpu":
        return Choice("bfloat16", f"a {platform.upper()} has units for bfloat16")
    if found := [unit for unit in UNITS if unit in features]:
        return Choice("bfloat16", f"the processor has {' and '.join(found)}")
    return Choice("float32", f"the processor shows neither {' nor '.join(UNITS)}")


def settle(
    config: Config, begun_with: Callable[[], str | None] = lambda: None, platform: str = ""
) -> tuple[Config, str]:
    """Put a type into the place of "auto".

    Args:
      config: the flags.
      begun_with: reads the type of the runs that the folder holds already, which stays; None: it holds none. Not asked
        where the flags name a type: a folder is then read, and refused, where it is claimed.
      platform: to compile for; empty: JAX's own here.

    Returns:
      The flags with a type, and why that one; no words if the flags name it themselves.
    """
    if config.dtype != AUTO:
        return config, ""
    choice = choose(platform or jax.default_backend(), processor_features())
    begun = begun_with()
    if begun not in (None, choice.dtype):
        choice = Choice(begun, "the folder was begun with it")
    return dataclasses.replace(config, dtype=choice.dtype), choice.reason


def processor_features(cpuinfo: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """List the processor's features as Linux calls them; none where that is not to be read."""
    try:
        lines = cpuinfo.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return frozenset()
    named = (line.partition(":") for line in lines)
    return frozenset(
        next((value.split() for name, _, value in named if name.strip() == "flags"), ())
    )
