"""The checkpoints of one run, as its driver sees them: restore, save, close."""

import math
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import jax
import numpy as np

from gan_jax.checkpoint import disk, leaves
from gan_jax.checkpoint.error import CheckpointError, brief

FORMAT = 1


class Restored(NamedTuple):
    """What was found: the state, the metadata saved beside it, and its step."""

    state: Any
    metadata: dict[str, Any]
    step: int


class Checkpoints:
    """The checkpoints of one run: the newest two, and the one of lowest measure.

    All processes of a run call the same methods in the same order, on a file system that they share. Two runs
    may not share a folder; readers may restore from it while a run saves.
    """

    def __init__(self, folder: str | Path) -> None:
        """Name the folder. Nothing is read, created or imported yet.

        Args:
          folder: where the checkpoints are, or will be from the first save on.
        """
        self.folder = Path(folder).resolve()
        self._writer: Any = None  # Orbax's manager, from the first save on
        self._measures: dict[int, float] = {}  # the writer's
        self._unsound: list[int] = []  # to be set aside at the next save

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        del kind, traceback  # the error has both
        try:
            self.close()
        except CheckpointError as failure:
            if error is None:
                raise
            error.add_note(str(failure))  # the error under way came first: do not hide it

    def steps(self) -> list[int]:
        """List the steps of which there is a checkpoint, in rising order.

        Waits for the last save. Leaves out the checkpoints that the last `restore` has skipped; for the others
        that they are sound is not checked.

        Raises:
          CheckpointError: the last save failed, or the folder is there and cannot be listed.
        """
        self._wait()
        return [step for step in disk.list_steps(self.folder) if step not in self._unsound]

    def best_step(self) -> int | None:
        """Return which of `steps` has the lowest measure; None if no checkpoint has a legible one.

        Raises:
          CheckpointError: see `steps`.
        """
        measures = disk.read_measures(self.folder, self.steps())
        return min(measures, key=measures.__getitem__, default=None)

    def restore(
        self, like_state: Any, *, step: int | None = None, report: Callable[[str], None] = print
    ) -> Restored | None:
        """Read the newest sound checkpoint.

        Args:
          like_state: a state of the same structure; its values are not used, and may have been donated. A
            `jax.Array` gives shape, dtype and sharding; a `jax.ShapeDtypeStruct` without sharding gives an
            array on the default device, and a NumPy array gives a NumPy array.
          step: this one and no other; None for the newest that is sound.
          report: receives one line for each checkpoint that is skipped.

        Returns:
          The state, bit for bit as it was saved, with its metadata and step; None if there is no checkpoint.

        Raises:
          CheckpointError: none of the checkpoints is sound, `step` is not among them, or one belongs to
            another kind of state: ".step has int32[], expected float32[]".
        """
        self.close()
        steps = disk.list_steps(self.folder)
        if len(set(_everywhere(zlib.crc32(str(steps).encode())))) > 1:
            raise CheckpointError(f"not all processes see the same checkpoints in {self.folder}")
        if step is not None and step not in steps:
            raise CheckpointError(f"no checkpoint of step {step} in {self.folder}, but of {steps}")
        skipped = []
        for candidate in steps[::-1] if step is None else [step]:
            restored, reason = self._read(candidate, like_state)
            if all(_everywhere(restored is not None)):
                break
            restored = None
            skipped.append(candidate)
            report(f"skipped checkpoint {self.folder / str(candidate)}: {reason}")
        if step is None:
            self._unsound = skipped
        if skipped and restored is None:
            # Has a run saved meanwhile, and deleted what was being read?
            if steps != disk.list_steps(self.folder):
                return self.restore(like_state, step=step, report=report)
            raise CheckpointError(
                f"no sound checkpoint in {self.folder} among steps {sorted(skipped)}: "
                "put back a copy of the folder, or move it away to start anew"
            )
        return restored if steps else None

    def save(
        self, step: int, state: Any, metadata: Mapping[str, Any], *, measure: float | None = None
    ) -> None:
        """Copy a state to the host and write it in the background.

        When this returns the state may be donated. A checkpoint gets its final name when it is complete; only
        then are those deleted that need not be kept.

        Args:
          step: greater than all of `steps`.
          state: pytree of arrays, each whole in this process or replicated over all processes.
          metadata: plain JSON values. They come back as JSON has them: lists for tuples, strings as keys.
          measure: what the best checkpoint has least of; None and NaN are never best.

        Raises:
          CheckpointError: the previous save failed (disk full, folder not writable), this one cannot start,
            `step` is not new, or state or metadata hold what cannot be saved.
        """
        newest = max(self.steps(), default=-1)
        if step <= newest:
            raise CheckpointError(
                f"step must be after {newest}, the newest checkpoint in {self.folder}, got {step}"
            )
        measure = None if measure is None or math.isnan(measure) else float(measure)
        arrays, record = leaves.to_host(state)
        sealed = disk.seal(
            {
                "format": FORMAT,
                "step": step,
                "measure": measure,
                "leaves": record,
                "metadata": dict(metadata),
            }
        )
        try:
            self._write(step, arrays, sealed, measure)
        except Exception as error:  # whatever Orbax and the file system raise
            self._fail(f"saving step {step} in {self.folder} failed", error)

    def wait(self) -> None:
        """Return when the last save is on disk.

        Raises:
          CheckpointError: it failed. Earlier checkpoints are as they were.
        """
        self._wait()

    def close(self) -> None:
        """Wait until the last save is on disk. Saving again afterwards is allowed.

        Raises:
          CheckpointError: the last save failed. Earlier checkpoints are as they were.
        """
        self._wait()
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()

    def _read(self, step: int, like_state: Any) -> tuple[Restored | None, str]:
        """Return a checkpoint, or None and the reason."""
        try:
            record = disk.read_record(self.folder, step)
            if record["format"] != FORMAT:
                where = f"checkpoint {self.folder / str(step)}"
                raise CheckpointError(f"{where} has format {record['format']}, expected {FORMAT}")
            if difference := leaves.compare(record["leaves"], like_state):
                raise CheckpointError(f"checkpoint {self.folder / str(step)}: {difference}")
            arrays = disk.read_arrays(self.folder, step)
        except disk.UnsoundError as error:
            return None, str(error)
        if difference := leaves.damage(record["leaves"], arrays):
            return None, difference
        state = leaves.to_state(record["leaves"], arrays, like_state)
        return Restored(state, record["metadata"], step), "another process could not read it"

    def _write(
        self,
        step: int,
        arrays: dict[str, np.ndarray],
        sealed: dict[str, Any],
        measure: float | None,
    ) -> None:
        ocp = disk.import_orbax()
        if self._writer is None:
            if jax.process_index() == 0:
                for unsound in self._unsound:
                    disk.set_aside(self.folder, unsound)
            _everywhere(True)  # nobody lists the folder before that is done
            self._unsound = []
            self._measures = disk.read_measures(self.folder, disk.list_steps(self.folder))
            self._writer = disk.open_writer(self.folder, self._measures)
        if measure is not None:
            self._measures[step] = measure
        items = {"state": ocp.args.PyTreeSave(arrays), "record": ocp.args.JsonSave(sealed)}
        self._writer.save(step, args=ocp.args.Composite(**items), force=True)  # copies the arrays

    def _wait(self) -> None:
        if self._writer is not None:
            try:
                self._writer.wait_until_finished()
            except Exception as error:  # whatever Orbax and the file system raise
                self._fail(f"the last save in {self.folder} failed", error)

    def _fail(self, what: str, error: Exception) -> None:
        writer, self._writer = self._writer, None  # the next save opens another, which cleans up
        try:
            if writer is not None:
                writer.close()
        except Exception as repeated:  # Orbax may raise the same once more
            del repeated
        raise CheckpointError(f"{what}: {brief(error)}; earlier checkpoints are kept") from error


def _everywhere(value: int) -> list[int]:
    """Return every process's value; waits for all processes."""
    if jax.process_count() == 1:
        return [value]
    from jax.experimental import multihost_utils  # slow to import, and rarely needed

    return multihost_utils.process_allgather(np.uint32(value)).tolist()
