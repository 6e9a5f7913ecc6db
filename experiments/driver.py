"""The one training loop: chunks of compiled steps, and between them the log, the pictures and the checkpoints."""

import time
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments import interruption as interruptions
from experiments import provenance, run_folder
from experiments.config import Config
from experiments.console import Console, tensorboard
from experiments.game import UPDATES, check
from experiments.program import UserError
from experiments.run_folder import RunFolder
from gan_jax import plots
from gan_jax.checkpoint import Checkpoints
from gan_jax.data import Dataset
from gan_jax.rules import real_batches_per_step
from gan_jax.sampling import sample_real
from gan_jax.steps import init_state, make_chunk
from gan_jax.types import GAN, GANState

Record = dict[str, Any]


class Experiment(NamedTuple):
    """What an experiment brings to the loop.

    Attributes:
      name: as in `python -m experiments.<name>`.
      dataset: the real samples.
      gan: the game.
      draw: `(state, path)`, draw samples of a state as a picture, from the same latents every time.
      watch: `state -> record`, further quantities for each line of the log.
      warn: `record -> words or None`, what the student should know of a line.
      finish: `(state, folder)`, draw the picture that ends the run.
    """

    name: str
    dataset: Dataset
    gan: GAN
    draw: Callable[[GANState, Path], None]
    watch: Callable[[GANState], Record]
    warn: Callable[[Record], str | None]
    finish: Callable[[GANState, Path], None]


class Keys(NamedTuple):
    """The run's independent random streams."""

    init: jax.Array
    train: jax.Array
    samples: jax.Array
    watch: jax.Array


def run_keys(seed: int) -> Keys:
    """Split a seed into the run's streams."""
    return Keys(*jax.random.split(jax.random.key(seed), 4))


def train(config: Config, experiment: Experiment) -> int:
    """Train to the end, or from where an earlier process stopped; return the exit code.

    Raises:
      UserError: the configuration cannot be run, or the folder is not this run's.
    """
    shape = experiment.dataset.images.shape[1:]
    check(config, experiment.gan, shape)
    _use_compilation_cache(config)
    with (
        run_folder.claim(config) as folder,
        Checkpoints(folder.checkpoints) as checkpoints,
        tensorboard(folder.path, config.tensorboard) as write_events,
        interruptions.listening() as interruption,
    ):
        run = Run(config, experiment, folder, checkpoints, write_events)
        run.start()
        for num_steps in chunk_lengths(config, run.step):
            run.advance(num_steps)
            if interruption.signal is not None:
                return run.stop(interruption)
        run.finish()
    return 0


def chunk_lengths(config: Config, step: int) -> Iterator[int]:
    """Cut the steps that remain so that every log line, picture and checkpoint falls on an end."""
    periods = (
        config.steps_per_call,
        config.log_every,
        config.sample_every,
        config.checkpoint_every,
    )
    while step < config.num_steps:
        end = min(config.num_steps, *(step - step % period + period for period in periods))
        yield end - step
        step = end


class Run:
    """A run under way: its state, and the host's side of each chunk."""

    def __init__(
        self,
        config: Config,
        experiment: Experiment,
        folder: RunFolder,
        checkpoints: Checkpoints,
        write_events: Callable[[Record], None],
    ) -> None:
        self.config, self.experiment, self.folder = config, experiment, folder
        self._checkpoints, self._write_events = checkpoints, write_events
        self._keys = run_keys(config.seed)
        self._data = jnp.asarray(experiment.dataset.images)
        rule = UPDATES[config.update]
        self._images_per_step = config.batch_size * real_batches_per_step(rule, experiment.gan)
        draw = partial(sample_real, num=self._images_per_step)
        self._chunk = cache(partial(make_chunk, partial(rule, experiment.gan), draw))
        self.step = 0
        self._seconds = 0.0  # of training, over all processes of the run
        self._metrics_length = 0
        self._interval = Interval()

    def start(self) -> None:
        """Draw the first state, or restore the newest checkpoint."""
        config, experiment = self.config, self.experiment
        like = jnp.zeros((config.batch_size, *experiment.dataset.images.shape[1:]))
        init = jax.jit(partial(init_state, experiment.gan))
        shapes = jax.eval_shape(init, self._keys.init, like)
        facts = provenance.facts(experiment.name, experiment.dataset, shapes)
        self.folder.describe(config, facts)
        saved_facts = run_folder.read_run(self.folder.path)
        if saved_facts["dataset"]["sha256"] != facts["dataset"]["sha256"]:
            raise UserError(f"the data differ from those with which {self.folder.path} was begun")
        restored = self._checkpoints.restore(shapes)
        self.state = init(self._keys.init, like) if restored is None else restored.state
        if restored is not None:
            self.step = restored.step
            self._seconds = restored.metadata["seconds"]
            self._metrics_length = restored.metadata["metrics_length"]
            self._interval = Interval(**restored.metadata["interval"])
        self.folder.cut_metrics(self._metrics_length)
        self.console = Console(config.num_steps, self.step)
        self.console.say(provenance.opening_line(self.folder.path, facts, self.step))
        for line in provenance.changes(saved_facts, facts) if restored else []:
            self.console.say(line)
        if restored is None:
            experiment.draw(self.state, self.folder.sample(0))

    def advance(self, num_steps: int) -> None:
        """Take one chunk of steps, then whatever is due."""
        started = time.perf_counter()
        state, metrics = self._chunk(num_steps)(self.state, self._data, self._keys.train)
        self.state = state
        host_metrics = jax.device_get(metrics)  # the one transfer of the chunk; waits for it
        self.step += num_steps
        self._interval.add(host_metrics)
        self._seconds += time.perf_counter() - started
        self._interval.seconds += time.perf_counter() - started
        self._check_finite(host_metrics)
        self.console.advance(self.step)
        if self._due(self.config.log_every):
            self._log()
        if self._due(self.config.sample_every):
            self.experiment.draw(self.state, self.folder.sample(self.step))
        if self._due(self.config.checkpoint_every):
            self._save()

    def stop(self, interruption: interruptions.Interruption) -> int:
        """Save and tell how to go on."""
        self._save()
        self._checkpoints.close()
        self.console.close()
        self.console.say(
            f"stopped by {interruption.signal.name} after step {self.step}; the same command goes on from there: "
            f"python -m experiments.{self.experiment.name} --flagfile={self.folder.path}/flagfile.txt"
        )
        return interruption.exit_code

    def finish(self) -> None:
        """Draw the pictures that sum up the run."""
        self.console.close()
        self._checkpoints.close()
        records = self.folder.read_metrics()
        if records:
            plots.save_curves(records, self.folder.path / "curves.png")
        plots.save_animation(self.folder.sample_pictures(), self.folder.path / "progress.gif")
        self.experiment.finish(self.state, self.folder.path)
        self.console.say(
            f"finished {self.step} steps in {self._seconds:.0f} s: see {self.folder.path}"
        )

    def _due(self, period: int) -> bool:
        return self.step % period == 0 or self.step == self.config.num_steps

    def _log(self) -> None:
        record = {
            "step": self.step,
            "images": self.step * self._images_per_step,
            "seconds": self._seconds,
            "images_per_second": self._interval.count
            * self._images_per_step
            / self._interval.seconds,
            **self._interval.means(),
            **self.experiment.watch(self.state),
        }
        self._interval = Interval()
        self._metrics_length = self.folder.append_metrics(record)
        self._write_events(record)
        self.console.log(record)
        warning = self.experiment.warn(record)
        if warning:
            self.console.say(warning)

    def _save(self) -> None:
        if self._checkpoints.steps()[-1:] == [self.step]:
            return
        metadata = {
            "seconds": self._seconds,
            "metrics_length": self._metrics_length,
            "interval": self._interval._asdict(),
        }
        self._checkpoints.save(self.step, self.state, metadata)

    def _check_finite(self, metrics: dict[str, np.ndarray]) -> None:
        bad = {name: ~np.isfinite(values) for name, values in metrics.items()}
        if not any(flags.any() for flags in bad.values()):
            return
        num_steps = len(next(iter(bad.values())))
        first = min(int(flags.argmax()) for flags in bad.values() if flags.any())
        names = sorted(name for name, flags in bad.items() if flags[first])
        raise UserError(
            f"diverged: {', '.join(names)} not finite at step {self.step - num_steps + first + 1}; "
            f"earlier checkpoints are kept in {self.folder.checkpoints}. "
            "Try a smaller --g_lr and --d_lr, or --r1_gamma"
        )


class Interval:
    """Sums of the metrics since the last line of the log."""

    def __init__(self, count: int = 0, seconds: float = 0.0, sums: dict[str, float] | None = None):
        self.count, self.seconds, self.sums = count, seconds, dict(sums or {})

    def add(self, metrics: dict[str, np.ndarray]) -> None:
        """Add the metrics [K] of a chunk of K steps."""
        for name, values in metrics.items():
            self.sums[name] = self.sums.get(name, 0.0) + float(np.sum(values, dtype=np.float64))
        self.count += len(values)

    def means(self) -> dict[str, float]:
        """Average each metric over the steps."""
        return {name: total / self.count for name, total in self.sums.items()}

    def _asdict(self) -> dict[str, Any]:
        return {"count": self.count, "seconds": self.seconds, "sums": self.sums}


def _use_compilation_cache(config: Config) -> None:
    if config.compilation_cache:
        jax.config.update("jax_compilation_cache_dir", config.compilation_cache)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
