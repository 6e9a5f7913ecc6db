"""Runs side by side: each is trained by a process of its own, by the same command with --only, as it would be alone.

The processes share the machine's cores as they like: bound to a core each they were not measurably faster, and with
fewer threads than a run alone XLA sums in another order, so that the bits would be others.
"""

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import filelock
import jax
from absl import flags

from experiments.command import interruption, streams
from experiments.command.program import UserError

BELOW = "GAN_JAX_BELOW"  # set in the environment of a process that another one has started and holds by its input
PATIENCE = 300  # seconds in which another process has compiled
POLL = 0.05  # seconds
COMPILED = 2**30  # bytes that a process takes to compile and train, beside its data and libraries
# Given to each process anew, or read already.
APART = ("workdir", "processes", "only", "report", "flagfile", "undefok")


class Ended(NamedTuple):
    """How the runs ended.

    Attributes:
      code: of the signal that ended them; 0 if they came to their ends.
      failed: name of a run that failed -> the last that it said.
    """

    code: int
    failed: dict[str, str]


class _Child:
    """A run's process, and what it says, each line behind the run's name."""

    def __init__(self, name: str, command: list[str]) -> None:
        self.name, self.last, self.broken = name, "", False
        path = os.pathsep.join(filter(None, (sys.path[0], os.environ.get("PYTHONPATH"))))
        self.process = subprocess.Popen(
            [*command, f"--only={name}"],
            stdin=subprocess.PIPE,  # closed by our end, whatever that is: see `end_with_parent`
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, BELOW: "1", "PYTHONPATH": path},
            start_new_session=True,  # Ctrl-C is ours to pass on: two signals would end it at once
            text=True,
            encoding="utf-8",
            errors="backslashreplace",
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self.process.stdout or ():
            self.last = line.strip() or self.last
            try:
                print(f"{self.name}: {line.rstrip()}", flush=True)
            except BrokenPipeError:
                self.broken = True
            except (
                OSError,
                ValueError,
            ):  # a full disk, a closed stream: no reason to end a training
                pass

    def stop(self) -> None:
        """Ask the run to save and end."""
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()

    def end(self) -> int:
        """Wait for the end; return the exit code, negative for a signal's number."""
        code = self.process.wait()
        self._reader.join()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        return code


def play(names: list[str], num_processes: int, command: list[str]) -> Ended:
    """Train the named runs, so many at a time.

    Args:
      names: of the runs; one that is finished is looked at and left as it is.
      num_processes: at most at once.
      command: what trains one of them, but for --only.

    Raises:
      BrokenPipeError: nobody reads what is told; the runs have saved and stopped.
    """
    waiting, running, failed = list(names), [], {}
    with interruption.listening() as interrupted, _all_stopped(running):
        while (waiting or running) and not interrupted.signal:
            while waiting and len(running) < num_processes:
                running.append(_Child(waiting.pop(0), command))
            time.sleep(POLL)
            if any(child.broken for child in running):
                raise BrokenPipeError
            for child in [child for child in running if child.process.poll() is not None]:
                running.remove(child)
                if code := child.end():
                    failed[child.name] = _said(child, code)
    return Ended(interrupted.exit_code, failed)


@contextlib.contextmanager
def _all_stopped(running: list[_Child]) -> Iterator[None]:
    """Leave no process behind: whatever ends the block, they save and stop first."""
    try:
        yield
    finally:
        for child in running:
            child.stop()
        for child in running:
            child.end()


def _said(child: _Child, code: int) -> str:
    if code > 0:
        return child.last.removeprefix("error: ") or f"it ended with exit code {code}"
    said = f"its process was ended by signal {-code}"
    return f"{said}: is memory short? try a smaller --processes" if code == -9 else said


def command(program: str, workdir: Path) -> list[str]:
    """Write the command that trains one run of a folder, but for --only: with the flags that were given to this one."""
    words = [sys.executable, "-m", program]
    for name in flags.FLAGS:
        flag = flags.FLAGS[name]
        if name not in APART and flag.value != flag.default:
            words += flag.serialize().splitlines()
    return [*words, f"--workdir={workdir}", "--processes=1"]


def choose_number(num_runs: int) -> int:
    """Decide how many processes train so many runs.

    Raises:
      UserError: --processes asks for more than one where the devices can serve only one.
    """
    wish = flags.FLAGS.processes
    one = jax.default_backend() != "cpu" or jax.process_count() > 1
    if wish != "auto" and int(wish) > 1 and one:
        raise UserError(
            f"--processes={wish}: the devices, {jax.default_backend()}, serve one process: leave it out"
        )
    if one or num_runs < 2:
        return 1
    return min(num_runs, _affordable() if wish == "auto" else int(wish))


def _affordable() -> int:
    """Count the cores that this process may use, or fewer if memory holds fewer processes with the data of this one."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    sizes = _memory()
    return (
        cores or 1 if sizes is None else max(1, min(cores or 1, sizes[0] // (sizes[1] + COMPILED)))
    )


def _memory() -> tuple[int, int] | None:
    """Give the bytes that are available, and those of this process, which has loaded the data; None if unknown."""
    try:
        free = Path("/proc/meminfo").read_text().split("MemAvailable:")[1].split()[0]
        ours = Path("/proc/self/status").read_text().split("VmRSS:")[1].split()[0]
    except (OSError, IndexError):
        return None
    return 1024 * int(free), 1024 * int(ours)


def is_below() -> bool:
    """Whether this process was started by `play`."""
    return BELOW in os.environ


def end_with_parent() -> None:
    """From now on, if the process that started this one is gone, save and stop as after SIGTERM."""

    def watch() -> None:
        with contextlib.suppress(OSError, ValueError):
            while os.read(0, 1024):
                pass
        streams.complain("the process that started this one is gone")
        os.kill(os.getpid(), interruption.signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def compile_in_turn(cache: str) -> Callable[[jax.stages.Lowered], jax.stages.Compiled]:
    """Make what compiles a program that other processes need too: one does, and the others find it in the cache.

    Args:
      cache: folder of compiled programs; "" is none, and then each compiles for itself.
    """

    def compile_(lowered: jax.stages.Lowered) -> jax.stages.Compiled:
        if not cache:
            return lowered.compile()
        name = str(lowered.compiler_ir().operation.attributes["sym_name"]).strip('"')
        with contextlib.ExitStack() as held:
            with contextlib.suppress(OSError, filelock.Timeout):
                Path(cache).mkdir(parents=True, exist_ok=True)
                lock = filelock.FileLock(Path(cache, f".compiling-{name}"), timeout=PATIENCE)
                held.enter_context(lock)
            return lowered.compile()

    return compile_
