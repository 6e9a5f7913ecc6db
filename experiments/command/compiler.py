"""Put the environment right before JAX starts: sums that are right, and no false alarms. Imports no JAX."""

import os
from collections.abc import MutableMapping

from experiments.command import streams
from gan_jax.compiler import CURE, complaint, jaxlib_version, release, sets_fusions


def cure() -> None:
    """Prepare this process for the installed jaxlib, and its children; say in one line if that changes results.

    XLA reads its flags when the first device is used: call this before.
    """
    note = prepare(os.environ, jaxlib_version())
    if note:
        streams.complain(note)


def prepare(environment: MutableMapping[str, str], version: str) -> str | None:
    """Set what this jaxlib needs and the user has not set; return what the user should know."""
    if release(version) < (0, 10, 2):
        # For AVX-512 XLA adds its own tuning hints (+prefer-no-gather, +prefer-no-scatter) to a program's machine
        # features, does not find them among the processor's when it takes the program from the compilation cache, and
        # says so as an error, a page for each program (openxla/xla#44565, jax-ml/jax#38445). The program is sound: its
        # entry's key holds the processor's features. The lines have no level of their own, so errors are hidden; what
        # goes wrong still arrives as an exception. 0.10.2 and later are quiet.
        environment.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    flags = environment.get("XLA_FLAGS", "")
    wrong = complaint(version, flags)
    if wrong is None:
        return None
    if any(map(sets_fusions, flags.split())) or names_file(flags):
        return f"warning: {wrong}"
    environment["XLA_FLAGS"] = f"{flags} {CURE}".strip()
    return f"note: jaxlib {version} computes some sums wrongly on CPU; added {CURE} to XLA_FLAGS"


def names_file(flags: str) -> bool:
    """Whether XLA would read its flags from a file of this name."""
    return bool(flags.strip()) and not flags.strip().startswith("-")
