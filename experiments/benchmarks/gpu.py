"""Take every figure of a GPU in one call: parts in an order of falling value, each written as soon as it is there.

    python -m experiments.benchmarks.gpu --minutes=8 --out=DIR [--data_dir=FOLDER]

Each part is a benchmark of this folder, or a program that trains, in a process of its own with a time of its own: one
that fails, hangs or fills the memory costs its own figures alone. What a part prints goes to DIR/<part>.txt, and
DIR/gpu.json says of each how it ended and in how many seconds. --small takes the same path in small, on any machine.
Needs no network: a part whose data set or library is missing says so in its file.
"""

import json
import math
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from absl import flags

from experiments.command import program

ROOT = Path(__file__).parents[2]  # where the parts run
VERSIONS = (
    "import jax, flax, optax, orbax.checkpoint as o; print(jax.devices(), jax.devices()[0].device_kind); "
    "print('jax', jax.__version__, 'flax', flax.__version__, 'optax', optax.__version__, 'orbax', o.__version__); "
    "print('default precision of float32 products:', jax.config.jax_default_matmul_precision or 'the platform\\'s')"
)


class Part(NamedTuple):
    """A figure, or a few: what is run, and the seconds that it may take."""

    name: str
    arguments: Sequence[str]
    seconds: float


class Outcome(NamedTuple):
    """How a part ended: "done", "failed", "ran out of its time" or "left out"."""

    name: str
    ended: str
    seconds: float


def define_flags() -> None:
    """Define this program's own flags."""
    flags.DEFINE_float("minutes", 8.0, "time for all parts together", 0.05, 1e4)
    flags.register_validator("minutes", math.isfinite, message="must be a finite number of minutes")
    flags.DEFINE_string("out", None, "folder for what the parts print")
    flags.DEFINE_string("data_dir", None, "folder of the data sets, for parts that train on MNIST")
    flags.DEFINE_bool("small", False, "small sizes and built-in data: a rehearsal on any machine")


def main() -> int:
    """Run the parts."""
    values = flags.FLAGS
    if not values.out:
        raise program.UserError("--out=DIR names the folder for the figures")
    folder = Path(values.out).expanduser().resolve()
    folder.mkdir(parents=True, exist_ok=True)
    listed = parts(folder, small=values.small, data_dir=values.data_dir)
    outcomes = run_parts(listed, 60 * values.minutes, folder)
    return 0 if any(outcome.ended == "done" for outcome in outcomes) else 1


def parts(folder: Path, *, small: bool, data_dir: str | None) -> list[Part]:
    """List what is taken, what is worth most first."""
    batches, steps = ("8", "400") if small else ("8,64,512", "20000")
    rounds = "--repetitions=1" if small else "--repetitions=5"
    timed = f"--batch_sizes={batches}", rounds

    def benchmark(name: str, *arguments: str) -> tuple[str, ...]:
        return ("-m", f"experiments.benchmarks.{name}", *arguments)

    def training(preset: str, experiment: str, *arguments: str) -> tuple[str, ...]:
        run = f"--workdir={folder / preset}", f"--flagfile=experiments/flags/{preset}.flags"
        if small:
            run += "--dataset=digits", "--num_steps=20", "--steps_per_call=10", "--log_every=10"
        elif data_dir:
            run += (f"--data_dir={data_dir}",)
        return ("-m", f"experiments.{experiment}", *run, *arguments)

    return [
        Part("versions", ("-c", VERSIONS), 60),
        Part("step", benchmark("step_time", *timed), 120),
        Part("step_bfloat16", benchmark("step_time", *timed, "--dtype=bfloat16"), 120),
        Part("peers", benchmark("peers", "--batch_size=8", rounds, "--only=gan_jax,torch"), 120),
        Part("peers_512", benchmark("peers", f"--batch_size={8 if small else 512}", rounds), 120),
        Part("mnist", training("mnist", "mnist"), 300),
        Part("measures", ("-m", "experiments.evaluate", f"--workdir={folder / 'mnist'}"), 120),
        Part("seeds", benchmark("seeds", f"--members={2 if small else 16}", rounds), 120),
        Part("driver", benchmark("throughput", *_throughput(small, data_dir, steps)), 200),
        Part("article", training("mnist_article", "mnist"), 300),
        Part("stacked_mnist", training("stacked_mnist", "stacked_mnist"), 600),
    ]


def _throughput(small: bool, data_dir: str | None, steps: str) -> tuple[str, ...]:
    preset = "digits" if small or not data_dir else "mnist"
    where = (f"--data_dir={data_dir}",) if data_dir else ()
    sizes = f"--short={int(steps) // 4}", f"--long={steps}", "--repetitions=1"
    return (f"--flagfile=experiments/flags/{preset}.flags", *sizes, *where)


def run_parts(parts: Sequence[Part], seconds: float, folder: Path) -> list[Outcome]:
    """Run parts one after another until the time for all is over; write what each prints, and how each ended.

    Args:
      parts: in the order in which they are run.
      seconds: for all together: a part that would start later is left out, one that is running then is stopped.
      folder: where the files go.

    Returns:
      How each ended, as gpu.json has it.
    """
    end, outcomes = time.monotonic() + seconds, []
    for part in parts:
        started = time.monotonic()
        left = end - started
        ended = _run(part, min(part.seconds, left), folder) if left > 0 else "left out"
        outcomes.append(Outcome(part.name, ended, round(time.monotonic() - started, 1)))
        print(f"{part.name}: {ended}, {outcomes[-1].seconds} s", flush=True)
        _write(outcomes, folder / "gpu.json")
    return outcomes


def _run(part: Part, seconds: float, folder: Path) -> str:
    with (folder / f"{part.name}.txt").open("w") as file:
        command = [sys.executable, *part.arguments]
        try:
            done = subprocess.run(
                command,
                stdout=file,
                stderr=subprocess.STDOUT,
                timeout=seconds,
                check=False,
                cwd=ROOT,
            )
        except subprocess.TimeoutExpired:
            return "ran out of its time"
    return "done" if done.returncode == 0 else "failed"


def _write(outcomes: list[Outcome], path: Path) -> None:
    rows: list[dict[str, Any]] = [outcome._asdict() for outcome in outcomes]
    path.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    define_flags()
    program.run(main)
