"""The one training loop: chunks of compiled steps until the end, a signal, or a divergence."""

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path

import jax

from experiments.command import devices, interruption
from experiments.command.config import Config
from experiments.command.experiment import Task
from experiments.command.program import UserError
from experiments.record import run_folder
from experiments.record.program_of_run import program_of
from experiments.record.run_folder import RunFolder
from experiments.training.chunk import Compile, Compiled, assemble, check_playable
from experiments.training.console import Console
from experiments.training.divergence import DivergedError
from experiments.training.feed import FromHost, OnDevices, feed_of
from experiments.training.report import Report
from experiments.training.run import Run
from experiments.training.sinks import tensorboard
from gan_jax.checkpoint import Checkpoints


def train(task: Task) -> int:
    """Train to the end, or from where an earlier process stopped; return the exit code.

    Raises:
      UserError: the configuration cannot be run, the folder is not this run's, or the run diverged.
    """
    code = play(task)
    devices.part()
    return code


def play(task: Task, compile_: Compile = jax.stages.Lowered.compile) -> int:
    """Train as `train` does, in a process that has more to do afterwards; `compile_` is what compiles its programs."""
    config = task.config
    use_compilation_cache(config)
    with devices.leaving_if_peers_are_lost():
        devices.check_alike(config, task.source.train.sha256)
        mesh = devices.choose_mesh(config)
        compiled = assemble(task, mesh, compile_)
        feed = feed_of(task, mesh, compiled.images_per_step)
        first = next_chunk(config, 0)
        check_playable(task, compiled, first, feed.like(first))
        with (
            open_run(task, compiled, feed) as run,
            interruption.listening() as interrupted,
            devices.leaving_if_peers_are_lost(),  # again: here nothing that waits is left on the way out
        ):
            return _loop(config, run, interrupted)


def _loop(config: Config, run: Run, interrupted: interruption.Interruption) -> int:
    run.start(next_chunk(config, run.newest_step()))
    while run.step < config.num_steps:
        if number := devices.highest(interrupted.signal or 0):  # whoever was asked, all stop
            interrupted.signal = signal.Signals(number)
            run.stop(interrupted)
            return interrupted.exit_code
        try:
            num_steps = next_chunk(config, run.step)
            run.advance(num_steps, next_chunk(config, run.step + num_steps))
        except DivergedError as error:
            if config.on_divergence == "stop":
                raise DivergedError(_remedy(error, run.report.folder)) from error
            run.roll_back(error)
    run.finish()
    return interrupted.exit_code  # a signal on the way out, too, ends a command of many runs


@contextlib.contextmanager
def open_run(
    task: Task, compiled: Compiled, feed: OnDevices | FromHost, quiet: bool = False
) -> Iterator[Run]:
    """Claim a run's folder and set up what the run needs."""
    config, writes = task.config, devices.is_writer()
    with (
        _folder(task) as folder,
        Checkpoints(folder.checkpoints) as checkpoints,
        tensorboard(folder.path, config.tensorboard) as sink,
    ):
        observer = task.experiment.observe(config, task.source, task.gan)
        console = Console(config.num_steps, quiet or not writes, silent=not writes)
        report = Report(folder, observer, console, sink, compiled.images_per_step, _title(task))
        yield Run(task, compiled, feed, checkpoints, report)


def _title(task: Task) -> str:
    config = task.config
    return (
        f"{task.experiment.name}: {config.dataset}, {config.network}, {config.loss}, "
        f"{config.update}, seed {config.seed}"
    )


def next_chunk(config: Config, step: int) -> int:
    """Count the steps to take next, so that every log line, picture and checkpoint ends a chunk; 0 at the end."""
    periods = (
        config.steps_per_call,
        config.log_every,
        config.sample_every,
        config.checkpoint_every,
        config.eval_every or config.num_steps,
    )
    return min(config.num_steps, *(step - step % period + period for period in periods)) - step


@contextlib.contextmanager
def _folder(task: Task) -> Iterator[RunFolder]:
    folder = RunFolder(Path(task.config.workdir).expanduser().resolve())
    refusal = None
    with contextlib.ExitStack() as held:
        if devices.is_writer():
            try:
                program = program_of(task.experiment)
                held.enter_context(run_folder.claim(task.config, program))
            except Exception as error:  # told below, when the other processes know
                refusal = error
        if devices.highest(refusal is not None):
            raise refusal or UserError("process 0 cannot use the run folder; its message says why")
        yield folder


def _remedy(error: DivergedError, folder: RunFolder) -> str:
    return (
        f"{error}; sound checkpoints are kept in {folder.checkpoints}. Try a smaller --g_lr and --d_lr, "
        "--r1_gamma, or --on_divergence=rollback"
    )


def use_compilation_cache(config: Config) -> None:
    """Keep compiled programs in the folder that the flags name."""
    if config.compilation_cache:
        jax.config.update("jax_compilation_cache_dir", config.compilation_cache)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
