"""Run experiments as a user does: in this process for speed, or in one of their own."""

import importlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from absl import flags
from absl.testing import flagsaver

from experiments.command import program
from experiments.many import members

ROOT = Path(__file__).parents[2]

TINY = (
    "--network=mlp", "--width=0.05", "--batch_size=4", "--num_steps=6", "--steps_per_call=2",
    "--log_every=2", "--sample_every=4", "--checkpoint_every=2", "--noreport",
)  # fmt: skip


class Outcome(NamedTuple):
    """What a command did."""

    code: int
    out: str
    err: str


def call(main: Callable[[], int | None], arguments: list[str], capsys) -> Outcome:
    """Run a program's `main` on a command line, in this process."""
    with flagsaver.flagsaver():
        code = 0
        try:
            program.run(main, ["program", *arguments])
        except SystemExit as stop:
            code = stop.code
        finally:
            flags.FLAGS.unparse_flags()
            flags.FLAGS.mark_as_parsed()
    captured = capsys.readouterr()
    return Outcome(code, captured.out, captured.err)


def import_main(experiment: str) -> Callable[[], int | None]:
    """Import a program into this process; the defaults that it gives to shared flags are taken back.

    Tests of other programs may run in the same process: arguments must name all that matters.
    """
    members.define_flags()
    defaults = {name: flags.FLAGS[name].default for name in flags.FLAGS}
    module = importlib.import_module(f"experiments.{experiment}")
    for name, default in defaults.items():
        if flags.FLAGS[name].default != default:
            flags.FLAGS.set_default(name, default)
    del sys.modules[module.__name__]  # whoever imports it anew is to have its defaults
    return module.main


def start(experiment: str, *arguments: object, **options) -> subprocess.Popen:
    """Start `python -m experiments.<experiment>` in a process of its own."""
    cache = os.environ.get("JAX_COMPILATION_CACHE_DIR")
    if (
        cache
        and experiment in ("mnist", "gaussians", "stacked_mnist")
        and "--help" not in arguments
    ):
        arguments = (*arguments, f"--compilation_cache={cache}")
    return subprocess.Popen(
        [sys.executable, "-m", f"experiments.{experiment}", *map(str, arguments)],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options,
    )  # fmt: skip


def run(experiment: str, *arguments: object) -> Outcome:
    """Run a program in a process of its own, to its end."""
    process = start(experiment, *arguments)
    out, err = process.communicate(timeout=300)
    return Outcome(process.returncode, out, err)


def reject_constant(name: str) -> None:
    """Refuse NaN and Infinity, which Python's JSON would let pass: `json.loads(text, parse_constant=...)`."""
    raise AssertionError(f"{name} is not JSON")
