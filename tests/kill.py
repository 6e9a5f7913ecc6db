"""Kill one training run many times with SIGKILL, at random moments, and compare what it ends with.

    python tests/kill.py --kills=100
    python tests/kill.py --kills=20 --dataset=mnist --data_dir=data --network=dcgan --width=0.25 --steps=600

A run that nothing disturbs is the measure. Then the same command is started, killed after a random time, and started
again, until it has been killed `--kills` times; at last it may run to its end. The times are drawn uniformly, from
nothing to `--window` seconds more than a process needs to begin training, so that kills fall into imports,
compilation, the reading of a checkpoint, training, saving and drawing. A run that ends before its kills are used up
gets the rest of them while it restores, sees that nothing is left to do, and draws its pictures again.

The report ends with one JSON line. The exit code is 0 if every leaf of the two checkpoints that are kept, every
picture and every line of metrics.jsonl (but for the clock's fields) is the undisturbed run's, byte for byte.

Flags that are not its own go to `python -m experiments.mnist`. Without any: built-in digits and tiny players.
"""

import argparse
import dataclasses
import json
import math
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DEFAULTS = (
    "--network=mlp", "--width=0.05", "--batch_size=4", "--steps_per_call=10", "--log_every=10",
    "--sample_every=500", "--checkpoint_every=50",
)  # fmt: skip
CLOCK = ("seconds", "images_per_second")  # what two runs need not have in common
OPENING = re.compile("^(?:starting|continuing after step ([0-9]+)) in ", re.MULTILINE)


def evidence(folder: Path, checkpoints: int = 2) -> dict[str, object]:
    """What a finished run must have in common with another of its configuration, byte for byte.

    Args:
      folder: the run folder.
      checkpoints: how many of the newest checkpoints to read.
    """
    from gan_jax.checkpoint import disk

    found: dict[str, object] = {}
    steps = disk.list_steps(folder / "checkpoints")
    measures = disk.read_measures(folder / "checkpoints", steps)
    found["best step"] = min(measures, key=measures.__getitem__, default=None)
    for step in steps[-checkpoints:]:
        for name, array in disk.read_arrays(folder / "checkpoints", step).items():
            found[f"step {step} {name}"] = (str(array.dtype), array.shape, array.tobytes())
        metadata = disk.read_record(folder / "checkpoints", step)["metadata"]
        found[f"step {step} metrics since the last line"] = metadata["interval"]["sums"]
    for path in [*folder.glob("samples/*.png"), folder / "samples.png", folder / "progress.gif"]:
        found[str(path.relative_to(folder))] = path.read_bytes() if path.exists() else None
    evaluations = folder / "evaluations.jsonl"
    found["evaluations"] = evaluations.read_bytes() if evaluations.exists() else None
    found["metrics"] = [
        {name: value for name, value in json.loads(line).items() if name not in CLOCK}
        for line in (folder / "metrics.jsonl").read_text().splitlines()
    ]
    return found


def differences(one: dict[str, object], other: dict[str, object]) -> list[str]:
    """Name what is not the same in two runs' evidence."""
    return sorted(name for name in {*one, *other} if one.get(name) != other.get(name))


class Command:
    """The command of one run, and how to follow it from outside."""

    def __init__(self, folder: Path, cache: Path, steps: int, flags: list[str]) -> None:
        self.folder, self.log = folder, folder.with_suffix(".log")
        arguments = [*DEFAULTS, f"--compilation_cache={cache}", *flags]
        arguments += [f"--num_steps={steps}", f"--workdir={folder}"]
        self._words = [sys.executable, "-m", "experiments.mnist", *arguments]

    def run(self, seconds: float | None = None) -> tuple[int | None, float, str]:
        """Run to the end, or kill it after some seconds.

        Returns:
          The exit code, None if killed; the seconds that it lived; what it printed.
        """
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        started = time.monotonic()
        with self.log.open("w+") as log:
            process = subprocess.Popen(
                self._words, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT
            )
            try:
                code = process.wait(seconds)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                code = None
            log.seek(0)
            return code, time.monotonic() - started, log.read()

    def finish(self) -> float:
        """Run to the end; return the seconds that it took.

        Raises:
          SystemExit: the run failed.
        """
        code, seconds, text = self.run()
        if code != 0:
            raise SystemExit(f"{text}\nthe run ended with exit code {code}")
        return seconds

    def records(self) -> list[dict]:
        """The lines of metrics.jsonl that are whole."""
        file = self.folder / "metrics.jsonl"
        lines = file.read_text().splitlines(keepends=True) if file.exists() else []
        return [json.loads(line) for line in lines if line.endswith("\n")]


@dataclasses.dataclass
class Report:
    """What the kills did.

    Attributes:
      kills: how many processes were killed.
      before_training: so many of them before the line that tells where the run goes on.
      after_training: so many of them when all steps had been taken.
      skipped: restarts that fell back over an unsound checkpoint.
      resumes: restarts that lived to say where they go on.
      steps_lost: steps that were logged and had to be taken again.
      most_steps_lost: by one kill.
      seconds: of all processes, the killed ones and the last.
      undisturbed_seconds: of the run that nothing disturbed.
    """

    kills: int = 0
    before_training: int = 0
    after_training: int = 0
    skipped: int = 0
    resumes: int = 0
    steps_lost: int = 0
    most_steps_lost: int = 0
    seconds: float = 0.0
    undisturbed_seconds: float = 0.0
    reached: int = dataclasses.field(default=0, repr=False)  # the last step known to be logged

    def follow(self, text: str, command: Command) -> None:
        """Read from a process's output where it began, and from the log how far it came."""
        opening = OPENING.search(text)
        self.skipped += "skipped checkpoint" in text
        if opening is None:
            return
        lost = max(0, self.reached - int(opening[1] or 0))
        self.resumes += 1
        self.steps_lost += lost
        self.most_steps_lost = max(self.most_steps_lost, lost)
        self.reached = max((record["step"] for record in command.records()), default=0)


def disturb(command: Command, steps: int, kills: int, longest: float, seed: int) -> Report:
    """Kill a run so many times, then let it end."""
    draw, report = random.Random(seed), Report()
    while report.kills < kills:
        code, seconds, text = command.run(draw.uniform(0, longest))
        report.seconds += seconds
        report.follow(text, command)
        if code is None:
            report.kills += 1
            report.before_training += OPENING.search(text) is None
            report.after_training += report.reached >= steps
            if report.kills % 10 == 0:
                print(f"{report.kills} kills, step {report.reached} of {steps}", flush=True)
        elif code == 0:
            longest = min(longest, seconds)  # it had ended by itself
        else:
            raise SystemExit(f"{text}\nafter {report.kills} kills: exit code {code}")
    report.seconds += command.finish()
    report.follow(command.log.read_text(), command)
    return report


def calibrate(folder: Path, cache: Path, flags: list[str]) -> tuple[float, float]:
    """Measure the seconds before the first step, and the steps of a second after it, compiled programs at hand."""
    steps = 200
    for name in ("cold", "warm"):
        command = Command(folder / name, cache, steps, flags)
        began = time.time()
        command.finish()
    written = {
        name: (command.folder / name).stat().st_mtime for name in ("metrics.jsonl", "run.json")
    }
    return written["run.json"] - began, steps / (written["metrics.jsonl"] - written["run.json"])


def main(arguments: list[str] | None = None) -> int:
    """Measure, kill, compare, report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--steps", type=int, help="of the run; default: enough for the kills")
    parser.add_argument("--window", type=float, default=2.0, help="seconds of training at most")
    options, flags = parser.parse_known_args(arguments)
    with tempfile.TemporaryDirectory(prefix="kill-") as name:
        folder, cache = Path(name), Path(name, "cache")
        start_up, rate = calibrate(folder, cache, flags)
        longest = start_up + options.window
        training = options.kills * options.window**2 / (2 * longest)  # seconds, on the average
        steps = options.steps or 100 * math.ceil(1.3 * rate * training / 100)
        straight, killed = (
            Command(folder / n, cache, steps, flags) for n in ("straight", "killed")
        )
        print(f"{start_up:.1f} s to start, {rate:.0f} steps/s; {steps} steps", flush=True)
        undisturbed_seconds = straight.finish()
        report = disturb(killed, steps, options.kills, longest, options.seed)
        report.undisturbed_seconds = undisturbed_seconds
        wanted = evidence(straight.folder)
        differing = differences(wanted, evidence(killed.folder))
    return _tell(report, steps, len(wanted), differing)


def _tell(report: Report, steps: int, compared: int, differing: list[str]) -> int:
    lost = report.seconds - report.undisturbed_seconds
    print(
        f"{report.kills} kills of a run of {steps} steps: {report.before_training} before it trained, "
        f"{report.after_training} after its last step\n"
        f"{report.skipped} restarts skipped an unsound checkpoint\n"
        f"{report.steps_lost} steps lost, at most {report.most_steps_lost} at once\n"
        f"{report.seconds:.0f} s instead of {report.undisturbed_seconds:.0f} s: {lost:.0f} s lost\n"
        f"{compared} leaves, pictures and logs compared: {len(differing) or 'none'} differ"
    )
    facts = dataclasses.asdict(report) | {"steps": steps, "compared": compared}
    print(json.dumps(facts | {"differences": differing}))
    return 1 if differing else 0


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main())
