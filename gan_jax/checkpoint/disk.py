"""What is on disk: folders named by step, their records and their arrays."""

import importlib
import json
import zlib
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gan_jax.checkpoint.error import CheckpointError, brief
from gan_jax.checkpoint.orbax_arrays import array_handler, import_orbax


class UnsoundError(Exception):
    """A checkpoint on disk is not what was saved; the message says where it differs."""


def list_steps(folder: Path) -> list[int]:
    """List the steps of finished checkpoints, sound or not, in rising order; [] if there is no folder.

    Args:
      folder: of all checkpoints of a run.

    Raises:
      CheckpointError: the folder is there and cannot be listed.
    """
    try:
        names = [path.name for path in folder.iterdir() if path.is_dir()]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise CheckpointError(f"cannot list the checkpoints in {folder}: {brief(error)}") from error
    return sorted(int(name) for name in names if is_step(name))


def is_step(name: str) -> bool:
    """Say whether a folder of this name is a checkpoint: a number as Python writes it.

    Args:
      name: without its folder.
    """
    return name.isdecimal() and name == str(int(name))


def seal(body: dict[str, Any]) -> dict[str, Any]:
    """Wrap plain JSON values with the checksum of their canonical text.

    Args:
      body: string -> anything that JSON can express.

    Raises:
      CheckpointError: JSON cannot express it.
    """
    try:
        # As it will come back: lists for tuples, strings as keys.
        body = json.loads(json.dumps(body))
    except (TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(f"metadata must be plain JSON values: {brief(error)}") from error
    return {"crc32": zlib.crc32(_canonical(body)), "body": body}


def read_record(folder: Path, step: int) -> dict[str, Any]:
    """Read what `seal` wrapped, from a checkpoint.

    Args:
      folder: of all checkpoints of a run.
      step: which checkpoint.

    Raises:
      UnsoundError: it is missing, illegible, altered, or of another step.
    """
    try:
        sealed = json.loads((folder / str(step) / "record" / "metadata").read_bytes())
        body, crc = sealed["body"], sealed["crc32"]
        if (actual := zlib.crc32(_canonical(body))) != crc:
            raise UnsoundError(f"CRC-32 of its record is {actual}, expected {crc}")
        if body["step"] != step:
            raise UnsoundError(f"its record is of step {body['step']}")
    except UnsoundError:
        raise
    except Exception as error:  # damage takes any form
        raise UnsoundError(f"its record is illegible: {brief(error)}") from error
    return body


def read_arrays(
    folder: Path, step: int, names: Collection[str] | None = None
) -> dict[str, np.ndarray]:
    """Read a checkpoint's arrays, whatever they are now.

    Args:
      folder: of all checkpoints of a run.
      step: which checkpoint.
      names: of those to be read, the others may be damaged; None for all. Names that are not there are left out.

    Raises:
      UnsoundError: Orbax cannot read them.
    """
    restore = import_orbax().args.PyTreeRestore
    wanted = {} if names is None else {"item": dict.fromkeys(names, 0), "partial_restore": True}
    path = importlib.import_module("etils.epath").Path(folder / str(step) / "state")
    if not (
        path / "_METADATA"
    ).exists():  # without it some of the arrays could be read, but not all
        raise UnsoundError(
            "its arrays are illegible: the description of their structure is missing"
        )
    try:
        # The handler itself: no barrier between processes, of which one may fail and leave the others waiting.
        arrays = array_handler().restore(path, args=restore(**wanted))
        # A name that is not there keeps the 0 that stood for it.
        return {
            name: np.asarray(array) for name, array in arrays.items() if hasattr(array, "dtype")
        }
    except Exception as error:  # damage takes any form
        raise UnsoundError(f"its arrays are illegible: {brief(error)}") from error


def read_measures(folder: Path, steps: Sequence[int]) -> dict[int, float]:
    """Return step -> measure of the checkpoints that have one and whose record is sound.

    Args:
      folder: of all checkpoints of a run.
      steps: which checkpoints.
    """
    measures = {}
    for step in steps:
        try:
            measure = read_record(folder, step)["measure"]
        except UnsoundError:
            continue
        if measure is not None:
            measures[step] = measure
    return measures


def _canonical(body: Any) -> bytes:
    return json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
