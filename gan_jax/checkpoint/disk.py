"""What is on disk: folders named by step, their records, Orbax's reader and writer, and what is kept."""

import asyncio
import errno
import importlib
import json
import logging
import time
import zlib
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from gan_jax.checkpoint.error import CheckpointError, brief

NEWEST = 2  # checkpoints kept besides the best one


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
    return sorted(int(name) for name in names if name.isdecimal() and name == str(int(name)))


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


def read_arrays(folder: Path, step: int) -> dict[str, np.ndarray]:
    """Read a checkpoint's arrays, whatever they are now.

    Args:
      folder: of all checkpoints of a run.
      step: which checkpoint.

    Raises:
      UnsoundError: Orbax cannot read them.
    """
    ocp = import_orbax()
    path = importlib.import_module("etils.epath").Path(folder / str(step) / "state")
    try:
        # The handler itself: no barrier between processes, of which one may fail and leave the others waiting.
        arrays = _array_handler(ocp).restore(path, args=ocp.args.PyTreeRestore())
        return {name: np.asarray(array) for name, array in arrays.items()}
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


def set_aside(folder: Path, step: int) -> None:
    """Rename an unsound checkpoint so that it no longer counts; nothing happens if it is gone.

    Args:
      folder: of all checkpoints of a run.
      step: which checkpoint.
    """
    names = [f"unsound-{step}", *(f"unsound-{step}-{number}" for number in range(2, 1000))]
    target = next(folder / name for name in names if not (folder / name).exists())
    if (folder / str(step)).exists():
        (folder / str(step)).rename(target)


def open_writer(folder: Path, measures: dict[int, float]) -> Any:
    """Create the folder if need be, clear the remains of interrupted saves, and return Orbax's manager.

    Args:
      folder: of all checkpoints of a run.
      measures: step -> measure; of a new checkpoint to be added before it is saved.
    """
    ocp = import_orbax()
    options = ocp.CheckpointManagerOptions(
        preservation_policy=NewestAndBest(measures),
        cleanup_tmp_directories=True,
        # A folder that cannot be made is an error at once, and not after five minutes of waiting for it.
        async_options=ocp.AsyncOptions(create_directories_asynchronously=False),
        save_root_metadata=False,
        lightweight_initialize=True,  # else it reads every checkpoint, and stops at a damaged file
    )
    handlers = ocp.handlers.create_default_handler_registry(
        state=_array_handler(ocp),
        record=ocp.JsonCheckpointHandler(),
    )
    for seconds in (0.1, 0.3, 1.0):
        try:
            return ocp.CheckpointManager(folder, options=options, handler_registry=handlers)
        except OSError as error:  # a save that failed a moment ago is still writing what is cleared
            if error.errno != errno.ENOTEMPTY:
                raise
            time.sleep(seconds)
    return ocp.CheckpointManager(folder, options=options, handler_registry=handlers)


class NewestAndBest:
    """Orbax's preservation policy: the newest two, and the one of lowest measure.

    Orbax's own `BestN` takes its measures from a file that nothing protects.
    """

    def __init__(self, measures: dict[int, float]) -> None:
        """Keep a reference to step -> measure."""
        self.measures = measures

    def should_preserve(self, checkpoints: Sequence[Any], *, context: Any) -> Sequence[bool]:
        """Say for each checkpoint, in rising order of steps, whether it stays."""
        del context  # Orbax has nothing in it
        steps = [checkpoint.step for checkpoint in checkpoints]
        measured = [step for step in steps if step in self.measures]
        best = min(measured, key=self.measures.__getitem__, default=None)
        return [step in steps[-NEWEST:] or step == best for step in steps]


def import_orbax() -> ModuleType:
    """Import Orbax (half a second) and silence its log records; what matters in them, we raise or report."""
    ocp = importlib.import_module("orbax.checkpoint")
    logging.getLogger("absl").addFilter(
        _is_not_orbax
    )  # after the import: absl must make its logger itself
    return ocp


def _array_handler(ocp: ModuleType) -> Any:
    """Orbax's reader and writer of trees of NumPy arrays, which waits for all of them even if one fails.

    Its own gives up at the first failure, and each further one prints a traceback: "Event loop is closed".
    """

    class PatientHandler(ocp.type_handlers.NumpyHandler):
        async def deserialize(
            self, infos: Sequence[Any], args: Sequence[Any] | None = None
        ) -> list:
            args = args or [ocp.RestoreArgs()] * len(infos)
            one = super().deserialize
            read = await _settle(
                [one([info], [arg]) for info, arg in zip(infos, args, strict=True)]
            )
            return [array for [array] in read]

        async def _background_serialize(self, *columns: Sequence[Any]) -> None:
            one = super()._background_serialize  # private: should it go, we are only noisier
            await _settle([one(*([x] for x in row)) for row in zip(*columns, strict=True)])

    handler = PatientHandler(deepcopy_host_arrays=True)  # `save` copies before it returns
    return ocp.PyTreeCheckpointHandler(
        use_compression=False,  # it makes weights 10 % smaller and takes three times as long
        type_handler_registry=ocp.type_handlers.create_type_handler_registry((np.ndarray, handler)),
    )


async def _settle(jobs: Sequence[Any]) -> list[Any]:
    results = await asyncio.gather(*jobs, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


def _is_not_orbax(record: logging.LogRecord) -> bool:
    return "/orbax/checkpoint/" not in record.pathname


def _canonical(body: Any) -> bytes:
    return json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
