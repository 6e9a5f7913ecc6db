"""What a page says of a run, read from its folder. Imports no JAX; nothing in the folder is executed."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from experiments.command import program
from experiments.command.config import INCIDENTAL
from experiments.record import schema
from experiments.record.resumption import program_named
from experiments.record.run_folder import RunFolder, read_run

MOST_POINTS = 800  # of a curve
SERIES_LEFT_OUT = ("step", "images", "seconds")


class Facts(NamedTuple):
    """A run folder's small files.

    Attributes:
      path: the folder.
      name: what the page calls the run: the folder's own name.
      run: run.json, its "config" as the run was last continued.
      metrics: lines of the log.
      evaluations: what --eval_every measured.
      results: what `experiments.evaluate` measured, one for each checkpoint.
      trouble: lines on what could not be read.
    """

    path: Path
    name: str
    run: dict[str, Any]
    metrics: list[dict[str, Any]]
    evaluations: list[dict[str, Any]]
    results: list[dict[str, Any]]
    trouble: list[str]

    @property
    def program(self) -> str:
        """The module that trains such runs."""
        return program_named(self.run)

    @property
    def steps(self) -> int:
        """Taken, as the log says."""
        return self.metrics[-1]["step"] if self.metrics else 0


def read(path: Path) -> Facts:
    """Read a run folder's small files; what is damaged is left out and told in `trouble`.

    Raises:
      UserError: the folder is no run, or its run.json is damaged.
    """
    run, folder, trouble = read_run(path), RunFolder(path), []

    def sound(reader: Any) -> list[dict[str, Any]]:
        try:
            return reader()
        except (program.UserError, OSError) as error:
            trouble.append(" ".join(str(error).split()))
            return []

    return Facts(
        path,
        path.resolve().name,
        run,
        sound(folder.read_metrics),
        sound(folder.read_evaluations),
        sound(lambda: _results(path)),
        trouble,
    )


def _results(path: Path) -> list[dict[str, Any]]:
    file = path / "evaluation.json"
    return schema.read_evaluation(file) if file.is_file() else []


def recipe(facts: Facts) -> dict[str, str]:
    """Give the flags that make the run what it is, as a command line takes them; no paths, no machines."""
    config = facts.run["config"]
    return {
        name: _as_flag(value)
        for name, value in sorted(config.items())
        if name not in INCIDENTAL and value not in (None, "")
    }


def _as_flag(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def provenance(facts: Facts) -> dict[str, str]:
    """Say what the run was made of: data, weights, versions, devices, time."""
    run, data = facts.run, facts.run["dataset"]
    shape = " x ".join(str(n) for n in data["shape"])
    devices = run["devices"]
    said = {
        "program": facts.program,
        "data": f"{data.get('name', '?')}, {data.get('samples', '?'):,} samples of {shape}"
        if isinstance(data.get("samples"), int)
        else f"{data.get('name', '?')}, samples of {shape}",
        "data, SHA-256": data["sha256"],
        **{f"weights of the {name}": f"{n:,}" for name, n in run.get("weights", {}).items()},
        "devices": f"{len(devices)} x {devices[0]}",
        "steps": f"{facts.steps:,}",
        "commit": run.get("commit") or "unknown",
        "versions": ", ".join(f"{name} {version}" for name, version in run["versions"].items()),
    }
    if facts.metrics and isinstance(seconds := facts.metrics[-1].get("seconds"), int | float):
        said["training time"] = f"{seconds:,.0f} s"
    if flags := run.get("xla_flags"):
        said["XLA_FLAGS"] = flags
    for continued in run.get("continued", ()):
        said[f"continued from step {continued['step']}"] = json.dumps(continued["flags"])
    return said


def commands(facts: Facts) -> dict[str, str]:
    """Say how to do more with the run, beside its folder."""
    name, again = facts.name, program.command_line
    flagfile = f"{name}/flagfile.txt"
    return {
        "repeat it": again(facts.program, flagfile=flagfile, workdir=f"{name}-again"),
        "resume it, if it was interrupted": again(facts.program, flagfile=flagfile, workdir=name),
        "measure it, with intervals and floors": again("experiments.evaluate", workdir=name),
        "draw from it": again(
            "experiments.sample", workdir=name, num_samples=100, out="samples.png"
        ),
        "make this page again": again("experiments.report", workdir=name),
    }


def series(facts: Facts) -> dict[str, Any]:
    """Give the log as columns: "step" and each number by its name, at most `MOST_POINTS` of them; null where absent."""
    return columns(facts.metrics)


def columns(records: list[dict[str, Any]]) -> dict[str, list[float | None]]:
    """Turn lines into columns."""
    every = -(-len(records) // MOST_POINTS) or 1
    kept = records[::-every][::-1]  # the last line is among them
    names = [name for record in kept for name in record if name not in SERIES_LEFT_OUT]
    found: dict[str, list[float | None]] = {"step": [record["step"] for record in kept]}
    for name in dict.fromkeys(names):
        found[name] = [_short(record.get(name)) for record in kept]
    return found


def _short(value: Any) -> float | None:
    return float(f"{value:.5g}") if isinstance(value, int | float) else None
