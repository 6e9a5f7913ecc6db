"""The writing side: one checkpoint after another, in the background, the first of them read back."""

import errno
import os
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np

from gan_jax.checkpoint import disk, leaves
from gan_jax.checkpoint.error import CheckpointError, brief
from gan_jax.checkpoint.orbax_arrays import array_handler, import_orbax
from gan_jax.checkpoint.processes import everywhere
from gan_jax.checkpoint.retention import NewestAndBest

PART = ".orbax-checkpoint-tmp"  # in the name of a checkpoint that Orbax has not finished


class Writer:
    """Writes the checkpoints of one folder. Every process of a run calls the same methods in the same order.

    Attributes:
      unsound: steps that cannot be read; they are set aside at the next save.
    """

    def __init__(self, folder: Path) -> None:
        """Name the folder; it is created by the first save."""
        self.unsound: list[int] = []
        self._folder = folder
        self._manager: Any = None  # Orbax's, from the first save on
        self._measures: dict[int, float] = {}
        self._has_read_back = False
        self._to_read_back: dict[str, Any] | None = None  # the record of a save under way

    def save(self, arrays: dict[str, np.ndarray], record: dict[str, Any]) -> None:
        """Copy the arrays and write them in the background.

        Args:
          arrays: name -> array.
          record: with `step`, `measure` and `leaves`; it becomes what `disk.read_record` returns.

        Raises:
          CheckpointError: the record is no JSON, or writing cannot begin.
        """
        sealed, step = disk.seal(record), record["step"]
        try:
            self._save(arrays, sealed, step, record["measure"])
        except Exception as error:  # whatever Orbax and the file system raise
            self._fail(f"saving step {step} in {self._folder} failed", error)
        if not self._has_read_back:
            self._to_read_back = sealed

    def wait(self) -> None:
        """Return when the last save is on disk; the first is then read back.

        Raises:
          CheckpointError: writing or reading back failed.
        """
        if self._manager is not None:
            try:
                self._manager.wait_until_finished()
            except Exception as error:  # whatever Orbax and the file system raise
                self._fail(f"the last save in {self._folder} failed", error)
            self._read_back()

    def close(self) -> None:
        """Wait, and let go of Orbax; the next save opens it anew.

        Raises:
          CheckpointError: see `wait`.
        """
        self.wait()
        self._let_go()

    def _save(
        self, arrays: dict[str, np.ndarray], sealed: dict[str, Any], step: int, measure: Any
    ) -> None:
        ocp = import_orbax()
        if self._manager is None:
            if jax.process_index() == 0:
                clear_the_way(self._folder, self.unsound)
            everywhere(True)  # nobody lists the folder before that is done
            self.unsound = []
            self._measures = disk.read_measures(self._folder, disk.list_steps(self._folder))
            self._manager = _open(self._folder, self._measures)
        if measure is not None:
            self._measures[step] = measure
        items = {"state": ocp.args.PyTreeSave(arrays), "record": ocp.args.JsonSave(sealed)}
        self._manager.save(step, args=ocp.args.Composite(**items), force=True)  # copies the arrays

    def _read_back(self) -> None:
        """Compare what lies on disk with what was to be written: once, for what can be wrong is the place."""
        sealed, self._to_read_back = self._to_read_back, None
        if sealed is None:
            return
        step, reason = sealed["body"]["step"], _difference(self._folder, sealed)
        if not all(everywhere(reason is None)):
            self.unsound.append(step)
            self._let_go()
            reason = reason or "another process could not read it"
            raise CheckpointError(
                f"step {step} was saved in {self._folder} and cannot be read back ({reason}): choose a "
                "folder on another disk; earlier checkpoints are kept"
            )
        self._has_read_back = True

    def _fail(self, what: str, error: Exception) -> None:
        try:
            self._let_go()  # the next save opens another, which cleans up
        except Exception as repeated:  # Orbax may raise the same once more
            del repeated
        raise CheckpointError(f"{what}: {brief(error)}; earlier checkpoints are kept") from error

    def _let_go(self) -> None:
        manager, self._manager = self._manager, None
        if manager is not None:
            manager.close()


def clear_the_way(folder: Path, unsound: list[int]) -> None:
    """Rename what bars the names of checkpoints, and remove links in the place of unfinished ones.

    Nothing is followed out of the folder, and nothing that might be a checkpoint is deleted.

    Args:
      folder: of all checkpoints of a run; need not exist.
      unsound: steps of checkpoints that cannot be read.
    """
    for step in unsound:
        _set_aside(folder / str(step))
    for path in list(folder.iterdir()) if folder.is_dir() else ():
        if disk.is_step(path.name) and not path.is_dir():  # a file, or a link to nowhere
            _set_aside(path)
        elif PART in path.name and path.is_symlink():  # which Orbax can neither remove nor use
            path.unlink()


def _set_aside(path: Path) -> None:
    """Rename to `unsound-<name>`, so that it no longer counts; nothing happens if it is gone."""
    names = (f"unsound-{path.name}{end}" for end in ("", *(f"-{n}" for n in range(2, 1000))))
    target = next(
        path.with_name(name) for name in names if not os.path.lexists(path.with_name(name))
    )
    if os.path.lexists(path):
        path.rename(target)


def _difference(folder: Path, sealed: dict[str, Any]) -> str | None:
    """Return how a checkpoint on disk differs from what was to be written, or None."""
    step, record = sealed["body"]["step"], sealed["body"]["leaves"]
    try:
        found = disk.read_record(folder, step)
        # Process 0 writes the record: the others' own clocks and logs are not in it, but the leaves are theirs too.
        is_ours = jax.process_index() == 0
        same = (
            disk.seal(found)["crc32"] == sealed["crc32"] if is_ours else found["leaves"] == record
        )
        if not same:
            return "its record is another"
        return leaves.damage(record, disk.read_arrays(folder, step))
    except disk.UnsoundError as error:
        return str(error)


def _open(folder: Path, measures: dict[int, float]) -> Any:
    """Create the folder if need be, clear the remains of interrupted saves, and return Orbax's manager."""
    ocp = import_orbax()
    options = ocp.CheckpointManagerOptions(
        preservation_policy=NewestAndBest(folder, measures),
        cleanup_tmp_directories=True,
        # A folder that cannot be made is an error at once, and not after five minutes of waiting for it.
        async_options=ocp.AsyncOptions(create_directories_asynchronously=False),
        save_root_metadata=False,
        lightweight_initialize=True,  # else it reads every checkpoint, and stops at a damaged file
    )
    handlers = ocp.handlers.create_default_handler_registry(
        state=array_handler(),
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
