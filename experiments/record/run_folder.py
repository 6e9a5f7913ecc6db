"""A run's folder: claimed by one process, bound to one configuration, and what is written into it."""

import contextlib
import dataclasses
import fcntl
import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from experiments.command.config import Config, differing_flags, to_flagfile
from experiments.command.program import UserError

# What a run that was killed before it could write run.json may have left.
BEFORE_THE_FIRST_STEP = frozenset(
    (".lock", "samples", "tensorboard", "flagfile.txt", ".flagfile.txt.part", ".run.json.part")
)


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

    def describe(self, config: Config, facts: Mapping[str, Any]) -> None:
        """Write flagfile.txt and run.json, once; a resumed run keeps those of its start."""
        if not (self.path / "run.json").exists():
            write_text(self.path / "flagfile.txt", to_flagfile(config))
            record = {"config": dataclasses.asdict(config), **facts}
            write_text(self.path / "run.json", json.dumps(record, indent=2) + "\n")

    def append_metrics(self, record: Mapping[str, Any]) -> int:
        """Add a line to metrics.jsonl (strict JSON: not a number becomes null); return the file's new length."""
        line = json.dumps({k: _finite_or_none(v) for k, v in record.items()}, allow_nan=False)
        try:
            with self.metrics.open("ab") as file:
                file.write(line.encode() + b"\n")
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
            raise _damaged(self.metrics, f"it has {len(kept)} bytes, expected at least {length}")
        _read_lines(self.metrics, kept)
        if self.metrics.stat().st_size > length:
            os.truncate(self.metrics, length)

    def append_evaluation(self, record: Mapping[str, Any]) -> None:
        """Add a line to evaluations.jsonl."""
        with self.evaluations.open("a") as file:
            file.write(json.dumps(record, allow_nan=False) + "\n")

    def cut_evaluations(self, step: int) -> None:
        """Drop the evaluations made after the checkpoint from which a run goes on."""
        kept = [record for record in self.read_evaluations() if record["step"] <= step]
        if self.evaluations.exists():
            write_text(self.evaluations, "".join(json.dumps(record) + "\n" for record in kept))

    def read_evaluations(self) -> list[dict[str, Any]]:
        """Read every whole line of evaluations.jsonl; a line cut short by a dying process is none."""
        if not self.evaluations.exists():
            return []
        raw = self.evaluations.read_bytes()
        return _read_lines(self.evaluations, raw[: raw.rfind(b"\n") + 1])

    def read_metrics(self) -> list[dict[str, Any]]:
        """Read every line of metrics.jsonl."""
        if not self.metrics.exists():
            return []
        return _read_lines(self.metrics, self.metrics.read_bytes())


@contextlib.contextmanager
def claim(config: Config) -> Iterator[RunFolder]:
    """Hold the run folder against other processes, having checked that it is new or belongs to this configuration.

    The lock is the operating system's, so a process that died holds nothing.

    Raises:
      UserError: the folder holds something else, a run of another configuration, or a run under way.
    """
    path = Path(config.workdir).expanduser().resolve()
    _check_owner(path, config)
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock = (path / ".lock").open("a")
    except OSError as error:
        raise UserError(f"cannot write to --workdir={path}: {error.strerror}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UserError(
                f"another process is running in {path}: wait, or choose --workdir"
            ) from error
        (path / "samples").mkdir(exist_ok=True)
        yield RunFolder(path)


def _check_owner(path: Path, config: Config) -> None:
    if not path.exists():
        return
    if not path.is_dir():
        raise UserError(f"--workdir={path} is a file: choose a folder")
    if not (path / "run.json").exists():
        strangers = {entry.name for entry in path.iterdir()} - BEFORE_THE_FIRST_STEP
        if strangers:
            raise UserError(
                f"--workdir={path} holds other files ({sorted(strangers)[0]}, ...): choose an empty folder"
            )
        return
    differing = differing_flags(config, read_run(path)["config"])
    if differing:
        raise UserError(
            f"{path} holds a run of another configuration: {'; '.join(differing)}. "
            "Choose another --workdir, or remove that folder"
        )


def read_run(path: Path) -> dict[str, Any]:
    """Read a run folder's run.json.

    Raises:
      UserError: the folder is no run, or its run.json is damaged.
    """
    file = path / "run.json"
    if not file.is_file():
        raise UserError(f"{path} is not a run folder: it has no run.json")
    try:
        run = json.loads(file.read_text())
        _check_facts(run)
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise UserError(f"{file} is damaged ({error}): restore it from a copy") from error
    return run


def _check_facts(run: dict[str, Any]) -> None:
    kinds = {"config": dict, "dataset": dict, "versions": dict, "devices": list}
    for name, kind in kinds.items():
        if not isinstance(run[name], kind) or not run[name]:
            raise TypeError(f"{name} is {run[name]!r:.40}")
    shape = run["dataset"]["shape"]
    if not (isinstance(shape, list) and all(isinstance(n, int) and n > 0 for n in shape) and shape):
        raise TypeError(f"the shape of the samples is {shape!r:.40}")
    if not isinstance(run["dataset"]["sha256"], str):
        raise TypeError("the checksum of the data is no text")


def _read_lines(file: Path, raw: bytes) -> list[dict[str, Any]]:
    """Read one JSON object with a step from each line.

    Raises:
      UserError: a line holds something else.
    """
    records = []
    for number, line in enumerate(raw.splitlines(), 1):
        try:
            records.append(json.loads(line))
            int(records[-1]["step"])
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            raise _damaged(file, f"line {number}: {error}") from error
    return records


def _damaged(file: Path, how: str) -> UserError:
    return UserError(
        f"{file} is damaged ({how}): put back a copy, or remove it to go on without its lines"
    )


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    beside = path.with_name(f".{path.name}.part")
    beside.write_text(text)
    os.replace(beside, path)


def _finite_or_none(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
