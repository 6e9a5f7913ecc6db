"""A run's folder: claimed by one process, bound to one configuration, and what is written into it."""

import contextlib
import dataclasses
import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from experiments.command.config import Config, to_flagfile
from experiments.command.program import UserError
from experiments.record import resumption, schema
from experiments.record.files import refuse_links_out, without_part, write_text
from experiments.record.lock import LOCK, hold

# What a run that was killed before it could write run.json may have left, or a part of it.
BEFORE_THE_FIRST_STEP = frozenset((LOCK, "samples", "tensorboard", "flagfile.txt", "run.json"))
# Of a file of lines that is damaged.
REMEDY = "put back a copy, or remove it to go on without its lines"


@dataclasses.dataclass(frozen=True)
class RunFolder:
    """Paths of a run, and the writing of its small files."""

    path: Path

    @property
    def metrics(self) -> Path:
        """The log: one JSON object a line."""
        return self.path / "metrics.jsonl"

    @property
    def evaluations(self) -> Path:
        """What --eval_every measured: one JSON object a line."""
        return self.path / "evaluations.jsonl"

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints."""
        return self.path / "checkpoints"

    def sample(self, step: int) -> Path:
        """The picture of the samples after a step."""
        return self.path / "samples" / f"{step}.png"

    def sample_pictures(self) -> list[Path]:
        """The pictures that exist, in order of their steps."""
        pictures = (self.path / "samples").glob("*.png")
        return sorted((p for p in pictures if p.stem.isdecimal()), key=lambda p: int(p.stem))

    def describe(self, config: Config, facts: Mapping[str, Any], step: int | None) -> list[str]:
        """Write flagfile.txt and run.json. A run that goes on keeps those of its start, but for flags that may differ.

        Args:
          config: the flags given now, which `claim` has let pass.
          facts: of the run, as this process sees them.
          step: of the checkpoint from which it goes on; None: it begins, whatever a killed process has written.

        Returns:
          A line for each flag that is another from here on. flagfile.txt has its new value, and run.json notes it
          under "continued".
        """
        now = dataclasses.asdict(config)
        if step is None:
            write_text(self.path / "flagfile.txt", to_flagfile(config))
            self._write_record({"config": now, **facts})
            return []
        record = _read_record(self.path)
        before = resumption.current_flags(record)
        changed = resumption.continued_with(before, now)
        if changed:
            write_text(self.path / "flagfile.txt", to_flagfile(config))
            continued = [*record.get("continued", ()), {"step": step, "flags": changed}]
            self._write_record(record | {"continued": continued})
        return [
            resumption.in_words(name, before.get(name), value) for name, value in changed.items()
        ]

    def _write_record(self, record: Mapping[str, Any]) -> None:
        write_text(self.path / "run.json", json.dumps(record, indent=2) + "\n")

    def append_metrics(self, record: Mapping[str, Any]) -> int:
        """Add a line to metrics.jsonl (strict JSON: not a number becomes null); return the file's new length.

        Raises:
          UserError: it cannot be written.
          ValueError: a value is no number.
        """
        kept = {name: _finite_or_none(value) for name, value in record.items()}
        schema.METRICS_LINE(kept, "")
        try:
            with self.metrics.open("ab") as file:
                file.write(_line(kept))
                return file.tell()
        except OSError as error:
            raise UserError(
                f"cannot write to {self.metrics}: {error.strerror}; once that is put right, the same "
                "command goes on from the last checkpoint"
            ) from error

    def cut_metrics(self, length: int) -> None:
        """Drop the lines that were written after the checkpoint from which a run goes on.

        Raises:
          UserError: the lines before it are not all there, or damaged.
        """
        if not self.metrics.exists():  # removed by the user, who does not want it
            return
        kept = self.metrics.read_bytes()[:length]
        if len(kept) < length:
            how = f"it has {len(kept)} bytes, expected at least {length}"
            raise schema.damaged(self.metrics, how, REMEDY)
        schema.read_lines(self.metrics, kept, schema.METRICS_LINE, REMEDY)
        if self.metrics.stat().st_size > length:
            os.truncate(self.metrics, length)

    def append_evaluation(self, record: Mapping[str, Any]) -> None:
        """Add a line to evaluations.jsonl."""
        with self.evaluations.open("ab") as file:
            file.write(_line(record))

    def cut_evaluations(self, step: int, measure: str | None = None) -> None:
        """Drop the evaluations made after the checkpoint from which a run goes on.

        Raises:
          UserError: see `read_evaluations`.
        """
        kept = [record for record in self.read_evaluations(measure) if record["step"] <= step]
        if self.evaluations.exists():
            write_text(self.evaluations, "".join(_line(record).decode() for record in kept))

    def read_evaluations(self, measure: str | None = None) -> list[dict[str, Any]]:
        """Read every whole line of evaluations.jsonl; a line cut short by a dying process is none.

        Args:
          measure: what each line must have beside its step; None: anything.

        Raises:
          UserError: a line is damaged, or lacks the measure.
        """
        if not self.evaluations.exists():
            return []
        raw = self.evaluations.read_bytes()
        whole = raw[: raw.rfind(b"\n") + 1]
        check = schema.evaluations_line(measure)
        return schema.read_lines(self.evaluations, whole, check, REMEDY)

    def read_metrics(self) -> list[dict[str, Any]]:
        """Read every whole line of metrics.jsonl; a line cut short by a dying process is none.

        Raises:
          UserError: a line is damaged.
        """
        if not self.metrics.exists():
            return []
        raw = self.metrics.read_bytes()
        whole = raw[: raw.rfind(b"\n") + 1]
        return schema.read_lines(self.metrics, whole, schema.METRICS_LINE, REMEDY)


@contextlib.contextmanager
def claim(config: Config, program: str | None = None) -> Iterator[RunFolder]:
    """Hold the run folder against other processes, having checked that it is new or belongs to this configuration.

    Args:
      config: of the run.
      program: that trains it; None: any.

    Raises:
      UserError: the folder holds something else, a run of another configuration or program, or a run under way.
      CheckpointError: checkpoints cannot be kept in a folder of this name.
    """
    from gan_jax.checkpoint.paths import check_folder  # loads JAX, which --help does not wait for

    path = check_folder(Path(config.workdir).expanduser())
    check_owner(path, config, program)
    refusal = f"another process is running in {path}: wait, or choose --workdir"
    with hold(path, patience=0, refusal=refusal):
        check_owner(path, config, program)  # again: now nobody else writes
        (path / "samples").mkdir(exist_ok=True)
        yield RunFolder(path)


def check_owner(path: Path, config: Config, program: str | None = None) -> None:
    """Check that a folder is new, or holds a run that may go on with these flags; nothing is written.

    Raises:
      UserError: it holds something else, or what is written into it would lie elsewhere.
    """
    if not path.exists():
        return
    if not path.is_dir():
        raise UserError(f"--workdir={path} is a file: choose a folder")
    refuse_links_out(path, _written(path))
    if not (path / "run.json").exists():
        entries = {without_part(entry.name) for entry in path.iterdir()}
        if strangers := sorted(entries - BEFORE_THE_FIRST_STEP):
            raise UserError(
                f"--workdir={path} holds other files ({strangers[0]}, ...): choose an empty folder"
            )
        return
    from gan_jax.checkpoint import Checkpoints  # imports JAX

    record = read_run(path)
    if other := resumption.another_program(resumption.program_named(record), program):
        raise UserError(f"{path} holds a run {other}")
    newest = max(Checkpoints(path / "checkpoints").steps(), default=0)
    reasons = resumption.resumable(record["config"], dataclasses.asdict(config), newest)
    if reasons:
        raise UserError(
            f"{path} holds a run of another configuration: {'; '.join(reasons)}. "
            "Choose another --workdir, or remove that folder"
        )


def _written(path: Path) -> Iterator[Path]:
    """List what is written as it is: all else is replaced, which leaves alone what a link points to."""
    run = RunFolder(path)
    yield from (path / LOCK, run.metrics, run.evaluations, path / "samples", path / "tensorboard")


def read_run(path: Path) -> dict[str, Any]:
    """Read a run folder's run.json; its "config" has the flags with which the run was last continued.

    Raises:
      UserError: the folder is no run, or its run.json is damaged.
    """
    record = _read_record(path)
    return record | {"config": resumption.current_flags(record)}


def _read_record(path: Path) -> dict[str, Any]:
    file = path / "run.json"
    if not file.is_file():
        raise UserError(f"{path} is not a run folder: it has no run.json")
    return schema.read(file, schema.RUN, "restore it from a copy")


def _line(record: Mapping[str, Any]) -> bytes:
    return json.dumps(record, allow_nan=False).encode() + b"\n"


def _finite_or_none(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
