"""The one training loop: chunks of compiled steps until the end, a signal, or a divergence."""

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path

import jax
from jax.sharding import Mesh

from experiments.command import devices, interruption
from experiments.command.config import Config
from experiments.command.experiment import Experiment
from experiments.command.game import check
from experiments.command.program import UserError
from experiments.record import run_folder
from experiments.record.run_folder import RunFolder
from experiments.training.console import tensorboard
from experiments.training.divergence import DivergedError
from experiments.training.run import Run
from gan_jax import parallel
from gan_jax.checkpoint import Checkpoints


def train(config: Config, experiment: Experiment) -> int:
    """Train to the end, or from where an earlier process stopped; return the exit code.

    Raises:
      UserError: the configuration cannot be run, the folder is not this run's, or the run diverged.
    """
    code = play(config, experiment)
    devices.part()
    return code


def play(config: Config, experiment: Experiment) -> int:
    """Train as `train` does, in a process that has more to do afterwards."""
    use_compilation_cache(config)
    with devices.together():
        devices.check_alike(config, experiment.dataset.sha256)
        check(config, experiment.gan, experiment.sample_shape)
        mesh = devices.choose_mesh(config)
        with (
            open_run(config, experiment, mesh) as run,
            interruption.listening() as interrupted,
            devices.together(),  # again: here nothing that waits is left on the way out
        ):
            return _loop(config, run, interrupted)


def _loop(config: Config, run: Run, interrupted: interruption.Interruption) -> int:
    run.start()
    while run.step < config.num_steps:
        try:
            run.advance(next_chunk(config, run.step))
        except DivergedError as error:
            if config.on_divergence == "stop":
                raise DivergedError(_remedy(error, run.folder)) from error
            run.roll_back(error)
        if number := devices.highest(interrupted.signal or 0):  # whoever was asked, all stop
            interrupted.signal = signal.Signals(number)
            run.stop(interrupted)
            return interrupted.exit_code
    run.finish()
    return interrupted.exit_code  # a signal on the way out, too, ends a command of many runs


@contextlib.contextmanager
def open_run(
    config: Config,
    experiment: Experiment,
    mesh: Mesh,
    data: jax.Array | None = None,
    quiet: bool = False,
) -> Iterator[Run]:
    """Claim a run's folder and set up what the run needs; `data` may lie on the devices already."""
    with (
        _folder(config) as folder,
        Checkpoints(folder.checkpoints) as checkpoints,
        tensorboard(folder.path, config.tensorboard) as write_events,
    ):
        if data is None:
            data = parallel.replicate(experiment.dataset.images, mesh)
        yield Run(config, experiment, mesh, folder, checkpoints, write_events, data, quiet)


def next_chunk(config: Config, step: int) -> int:
    """Count the steps to take next, so that every log line, picture and checkpoint falls on a chunk's end."""
    periods = (
        config.steps_per_call,
        config.log_every,
        config.sample_every,
        config.checkpoint_every,
        config.eval_every or config.num_steps,
    )
    return min(config.num_steps, *(step - step % period + period for period in periods)) - step


@contextlib.contextmanager
def _folder(config: Config) -> Iterator[RunFolder]:
    folder = RunFolder(Path(config.workdir).expanduser().resolve())
    refusal = None
    with contextlib.ExitStack() as held:
        if devices.is_writer():
            try:
                held.enter_context(run_folder.claim(config))
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
