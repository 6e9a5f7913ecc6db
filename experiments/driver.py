"""The one training loop: chunks of compiled steps until the end, a signal, or a divergence."""

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path

import jax
from jax.sharding import Mesh

from experiments import devices, interruption, run_folder
from experiments.config import Config
from experiments.console import tensorboard
from experiments.divergence import DivergedError
from experiments.experiment import Experiment
from experiments.game import check
from experiments.program import UserError
from experiments.run import Run
from experiments.run_folder import RunFolder
from gan_jax.checkpoint import Checkpoints


def train(config: Config, experiment: Experiment) -> int:
    """Train to the end, or from where an earlier process stopped; return the exit code.

    Raises:
      UserError: the configuration cannot be run, the folder is not this run's, or the run diverged.
    """
    _use_compilation_cache(config)
    with devices.together():
        devices.check_alike(config, experiment.dataset.sha256)
        check(config, experiment.gan, experiment.sample_shape)
        code = _train(config, experiment, devices.choose_mesh(config))
    devices.part()
    return code


def _train(config: Config, experiment: Experiment, mesh: Mesh) -> int:
    with (
        _folder(config) as folder,
        Checkpoints(folder.checkpoints) as checkpoints,
        tensorboard(folder.path, config.tensorboard) as write_events,
        interruption.listening() as interrupted,
        devices.together(),  # again: here nothing that waits is left on the way out
    ):
        run = Run(config, experiment, mesh, folder, checkpoints, write_events)
        run.start()
        while run.step < config.num_steps:
            try:
                run.advance(next_chunk(config, run.step))
            except DivergedError as error:
                if config.on_divergence == "stop":
                    raise DivergedError(_remedy(error, folder)) from error
                run.roll_back(error)
            if number := devices.highest(interrupted.signal or 0):  # whoever was asked, all stop
                interrupted.signal = signal.Signals(number)
                run.stop(interrupted)
                return interrupted.exit_code
        run.finish()
    return 0


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


def _use_compilation_cache(config: Config) -> None:
    if config.compilation_cache:
        jax.config.update("jax_compilation_cache_dir", config.compilation_cache)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
