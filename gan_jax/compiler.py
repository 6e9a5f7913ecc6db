"""Which versions of jaxlib sum wrongly on CPU, and the flag that makes them right. Imports no JAX.

XLA:CPU hands some reductions to YNNPACK, one call for a matrix product and the sum or maximum of its columns. In
jaxlib 0.10 such a call leaves wrong numbers in every row after the 32,768th (float64: the 16,384th), silently:

    m = jnp.eye(3)
    jax.jit(jax.vmap(lambda row: jnp.sum(m @ row)))(rows)  # rows [32769, 3]: the last one is wrong

0.10.0 and 0.10.1 do so for plain sums and maxima, 0.10.2 also where something is computed in between, as in a sum of
squares (jax-ml/jax#39103); 0.11 and 0.12 are right. Without reductions among its calls YNNPACK is right in all of them.
"""

import importlib.metadata
import os
import re
import warnings

FUSION_FLAG = "--xla_cpu_experimental_ynn_fusion_type"
CURE = f"{FUSION_FLAG}=-reduce"


def jaxlib_version() -> str:
    """Look up the installed jaxlib; "" if there is none."""
    try:
        return importlib.metadata.version("jaxlib")
    except importlib.metadata.PackageNotFoundError:
        return ""


def release(version: str) -> tuple[int, ...]:
    """Read the numbers that a version begins with: "0.10.2.dev1" is (0, 10, 2), "" is ()."""
    match = re.match(r"\d+(\.\d+)*", version)
    return tuple(map(int, match[0].split("."))) if match else ()


def faulty(version: str) -> bool:
    """Whether this jaxlib sums wrongly unless told otherwise: all of 0.10."""
    return release(version)[:2] == (0, 10)


def cured(xla_flags: str) -> bool:
    """Whether these XLA_FLAGS keep reductions from YNNPACK.

    Tried: "-reduce", alone or among others, and an empty value, which turns all of YNNPACK off. A list without signs
    does not cure: on 0.10.1, which is right about sums of squares by itself, "dot" makes them wrong; and beside
    another setting of the same flag, before or after it, "-reduce" is lost.
    """
    values = [word.partition("=")[2] for word in xla_flags.split() if sets_fusions(word)]
    return bool(values) and all(not value or "-reduce" in value.split(",") for value in values)


def sets_fusions(word: str) -> bool:
    """Whether one word of XLA_FLAGS chooses what YNNPACK is given."""
    return word.startswith(f"{FUSION_FLAG}=")


def complaint(version: str, xla_flags: str) -> str | None:
    """Say in one line what is wrong with this jaxlib under these XLA_FLAGS, and the remedy; None if nothing is."""
    if not faulty(version) or cured(xla_flags):
        return None
    return (
        f"jaxlib {version} computes some sums of large arrays wrongly on CPU: set XLA_FLAGS={CURE} in the environment "
        "before JAX starts, or install a jaxlib of 0.11 or later (Python 3.12 or later)"
    )


def warn_if_faulty() -> None:
    """Warn where the installed jaxlib sums wrongly and XLA_FLAGS do not keep it from that."""
    message = complaint(jaxlib_version(), os.environ.get("XLA_FLAGS", ""))
    if message:
        warnings.warn(message, stacklevel=2)
