"""The checkpoints of one run, as its driver sees them: restore, save, close."""

import math
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from gan_jax.checkpoint import disk, leaves, players
from gan_jax.checkpoint.error import CheckpointError
from gan_jax.checkpoint.paths import check_folder
from gan_jax.checkpoint.processes import everywhere
from gan_jax.checkpoint.writer import Writer
from gan_jax.types import GANState

FORMAT = 1

_Select = Callable[[leaves.Record], leaves.Record]  # the leaves that are wanted


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

        Raises:
          CheckpointError: checkpoints cannot be kept in a folder of this name; see `paths.check_folder`.
        """
        self.folder = check_folder(folder)
        self._writer = Writer(self.folder)

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
        that they are sound is not checked: `restore` does that.

        Raises:
          CheckpointError: the last save failed, or the folder is there and cannot be listed.
        """
        self.wait()
        return [step for step in disk.list_steps(self.folder) if step not in self._writer.unsound]

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
          CheckpointError: none of the checkpoints is sound, `step` is not among them or not sound, or one belongs
            to another kind of state: ".step has int32[], expected float32[]".
        """
        return self._restore(like_state, _all_leaves, step, report)

    def restore_players(
        self,
        like_state: GANState,
        *,
        step: int | None = None,
        report: Callable[[str], None] = print,
    ) -> Restored | None:
        """Read what sampling and measuring need of the newest checkpoint in which it is sound.

        That is everything but the optimizers' states, which are neither compared nor read: the run may have had
        other optimizers than `like_state`, and damage to their states does not matter.

        Args:
          like_state: see `restore`; its optimizers' states are not looked at.
          step: see `restore`.
          report: see `restore`.

        Returns:
          As `restore`, with `()` for `opt_state` in both players.

        Raises:
          CheckpointError: see `restore`. Another architecture is told by its first leaf that differs:
            ".generator.params['w'] has float32[3,4], expected float32[3,5]".
        """
        like_state = players.without_optimizers(like_state)
        return self._restore(like_state, players.without_optimizers_leaves, step, report)

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
        body = {"format": FORMAT, "step": step, "measure": measure, "leaves": record}
        self._writer.save(arrays, {**body, "metadata": dict(metadata)})

    def wait(self) -> None:
        """Return when the last save is on disk. The first save of a process is read back, too.

        Raises:
          CheckpointError: it failed, or what was saved cannot be read. Earlier checkpoints are as they were.
        """
        self._writer.wait()

    def close(self) -> None:
        """Wait until the last save is on disk. Saving again afterwards is allowed.

        Raises:
          CheckpointError: the last save failed. Earlier checkpoints are as they were.
        """
        self._writer.close()

    def _restore(
        self, like_state: Any, select: _Select, step: int | None, report: Callable[[str], None]
    ) -> Restored | None:
        self.close()
        steps = disk.list_steps(self.folder)
        if len(set(everywhere(zlib.crc32(str(steps).encode())))) > 1:
            raise CheckpointError(f"not all processes see the same checkpoints in {self.folder}")
        if step is not None and step not in steps:
            raise CheckpointError(f"no checkpoint of step {step} in {self.folder}, but of {steps}")
        skipped = []
        for candidate in steps[::-1] if step is None else [step]:
            restored, reason = self._read(candidate, like_state, select)
            if all(everywhere(restored is not None)):
                break
            restored = None
            skipped.append(candidate)
            report(f"skipped checkpoint {self.folder / str(candidate)}: {reason}")
        if step is None:
            self._writer.unsound = skipped
        if skipped and restored is None:
            # Has a run saved meanwhile, and deleted what was being read?
            if steps != disk.list_steps(self.folder):
                return self._restore(like_state, select, step, report)
            raise CheckpointError(self._none_sound(step, steps))
        return restored if steps else None

    def _none_sound(self, step: int | None, steps: list[int]) -> str:
        if step is None:
            return (
                f"no sound checkpoint in {self.folder} among steps {steps}: "
                "put back a copy of the folder, or move it away to start anew"
            )
        others = [other for other in steps if other != step]
        return f"the checkpoint of step {step} in {self.folder} is not sound; others are of steps {others}"

    def _read(self, step: int, like_state: Any, select: _Select) -> tuple[Restored | None, str]:
        """Return a checkpoint, or None and the reason."""
        where = f"checkpoint {self.folder / str(step)}"
        try:
            record = disk.read_record(self.folder, step)
            if record["format"] != FORMAT:
                raise CheckpointError(f"{where} has format {record['format']}, expected {FORMAT}")
            selected = select(record["leaves"])
            if difference := leaves.compare(selected, like_state):
                raise CheckpointError(f"{where}: {difference}")
            arrays = disk.read_arrays(self.folder, step, leaves.with_bytes(selected))
        except disk.UnsoundError as error:
            return None, str(error)
        if difference := leaves.damage(selected, arrays):
            return None, difference
        state = leaves.to_state(selected, arrays, like_state)
        return Restored(state, record["metadata"], step), "another process could not read it"


def _all_leaves(record: leaves.Record) -> leaves.Record:
    return record
