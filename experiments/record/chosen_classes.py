"""Which classes a run with labels is asked to draw: --label."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from experiments.command.program import UserError
from experiments.record.restored import RestoredRun
from gan_jax.types import Array, Labels

NAMED = 20  # classes that a message lists, at most
MOST_DIGITS = 20  # of a class's number


def choose_labels(run: RestoredRun, label: str | None, num: int, seed: int) -> Labels | None:
    """Give each of `num` samples its class, i32[num]; None of a game without labels.

    Args:
      run: whose classes.
      label: a class by name or number; "each" for all alike, one after another; None for the data's frequencies.
      num: samples.
      seed: of the frequencies' draw.

    Raises:
      UserError: the run knows no such class, or no classes at all.
    """
    if label is None:
        return run.draw_labels(seed, num)
    _check_classes(run, label)
    if label == "each":
        return jnp.asarray(np.arange(num) * len(run.class_names) // num, jnp.int32)
    return jnp.full(num, class_number(label, run.class_names), jnp.int32)


def walk_between(run: RestoredRun, label: str, num: int, length: int) -> Array:
    """Walk from one class to another, `num` times: shares of the classes, f32[num * length, K].

    Args:
      run: whose classes.
      label: the two of them, as in "3:8".
      num: walks.
      length: steps of each, both ends included.

    Raises:
      UserError: the run knows no such class, or no classes at all.
    """
    _check_classes(run, label)
    names = run.class_names
    start, end = (class_number(text, names) for text in label.split(":", 1))
    far, one_hot = np.linspace(0, 1, length, dtype=np.float32)[:, None], np.eye(len(names))
    walk = (1 - far) * one_hot[start] + far * one_hot[end]
    return jnp.tile(jnp.asarray(walk, jnp.float32), (num, 1))


def is_walk(run: RestoredRun, label: str | None) -> bool:
    """Whether a label names two classes, as "3:8" does, unless a class bears that very name."""
    return label is not None and ":" in label and label not in run.class_names


def class_number(text: str, names: Sequence[str]) -> int:
    """Find a class by its name, or else by its number.

    Raises:
      UserError: there is none.
    """
    if text in names:
        return names.index(text)
    # Python refuses to read a number of more than 4,300 digits.
    if text.isdecimal() and len(text) <= MOST_DIGITS and int(text) < len(names):
        return int(text)
    listed = ", ".join(names[:NAMED]) + (", ..." if len(names) > NAMED else "")
    raise UserError(
        f"--label={text[:60]} is no class of the run: choose a number below {len(names)}, or one of {listed}"
    )


def _check_classes(run: RestoredRun, label: str) -> None:
    if not run.class_names:
        raise UserError(f"--label={label}: the run knows no classes; train it with --conditional")
