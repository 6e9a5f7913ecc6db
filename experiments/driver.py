"""The one training loop: chunks of compiled steps until the end, a signal, or a divergence."""

import contextlib
from pathlib import Path

import jax

from experiments import devices, interruption, run_folder
from experiments.config import Config
from experiments.console import tensorboard
from experiments.divergence import DivergedError
from experiments.experiment import Experiment
from experiments.game import check
from experiments.run import Run
from experiments.run_folder import RunFolder
from gan_jax.checkpoint import Checkpoints


def train(config: Config, experiment: Experiment) -> int:
    """Train to the end, or from where an earlier process stopped; return the exit code.

    Raises:
      UserError: the configuration cannot be run, the folder is not this run's, or the run diverged.
    """
    check(config, experiment.gan, experiment.dataset.images.shape[1:])
    mesh = devices.choose_mesh(config)
    _use_compilation_cache(config)
    with (
        _folder(config) as folder,
        Checkpoints(folder.checkpoints) as checkpoints,
        tensorboard(folder.path, config.tensorboard) as write_events,
        interruption.listening() as interrupted,
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
            if devices.anywhere(interrupted.signal is not None):
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
    )
    return min(config.num_steps, *(step - step % period + period for period in periods)) - step


def _folder(config: Config) -> contextlib.AbstractContextManager[RunFolder]:
    if devices.is_writer():
        return run_folder.claim(config)
    return contextlib.nullcontext(RunFolder(Path(config.workdir).expanduser().resolve()))


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
