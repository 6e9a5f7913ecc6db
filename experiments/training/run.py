"""A run under way: its state on the devices, and the host's side of each chunk."""

import time
from collections.abc import Callable
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from experiments.command import devices
from experiments.command.config import Config
from experiments.command.experiment import Experiment, Record, run_keys
from experiments.command.game import UPDATES
from experiments.command.interruption import Interruption
from experiments.command.program import UserError
from experiments.record import provenance, run_folder
from experiments.record.run_folder import RunFolder
from experiments.training import divergence
from experiments.training.console import Console
from experiments.training.interval import Interval
from gan_jax import parallel, plots
from gan_jax.checkpoint import Checkpoints, remove_later
from gan_jax.rules import real_batches_per_step
from gan_jax.steps import init_state, make_chunk
from gan_jax.types import GANState

ROLLBACKS = 3  # a run that diverges more often is stopped


class Run:
    """State, keys, clock and log of one run; only the writing process touches its folder."""

    def __init__(
        self,
        config: Config,
        experiment: Experiment,
        mesh: Mesh,
        folder: RunFolder,
        checkpoints: Checkpoints,
        write_events: Callable[[Record], None],
        data: jax.Array,
        quiet: bool = False,
    ) -> None:
        self.config, self.experiment, self.folder = config, experiment, folder
        self._checkpoints, self._write_events, self._data = checkpoints, write_events, data
        self._keys = run_keys(config.seed)
        self._everywhere = parallel.replicated(mesh)
        rule = UPDATES[config.update]
        gan = parallel.over_batch(experiment.gan, mesh, config.batch_size)
        self._images_per_step = config.batch_size * real_batches_per_step(rule, gan)
        draw = partial(experiment.draw_real, num=self._images_per_step)
        step = parallel.keep_replicated(partial(rule, gan), mesh)
        self._chunk = cache(partial(make_chunk, step, draw))
        self._is_writer = devices.is_writer()
        self.last_record: Record = {}
        self._quiet = quiet or not self._is_writer

    def start(self) -> None:
        """Draw the first state, or restore the newest checkpoint; check that the folder is this run's."""
        config, experiment = self.config, self.experiment
        self.console = Console(config.num_steps, self._quiet, silent=not self._is_writer)
        restored = self._restore()
        facts = provenance.facts(
            experiment.name, experiment.dataset, experiment.sample_shape, self.state
        )
        if self._is_writer:
            self.folder.describe(config, facts)
        self.console.say(provenance.opening_line(self.folder.path, facts, self.step))
        if restored:
            saved_facts = run_folder.read_run(self.folder.path)
            if saved_facts["dataset"]["sha256"] != facts["dataset"]["sha256"]:
                raise UserError(
                    f"the data differ from those with which {self.folder.path} was begun"
                )
            for line in provenance.changes(saved_facts, facts):
                self.console.warn(line)
            self._cut_logs()
        elif self._is_writer:
            self._cut_logs()
            experiment.draw(devices.local(self.state), self.folder.sample(0))

    def _restore(self, at: int | None = None) -> bool:
        like = jnp.zeros((self.config.batch_size, *self.experiment.sample_shape))
        init = jax.jit(partial(init_state, self.experiment.gan), out_shardings=self._everywhere)
        shapes = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=self._everywhere),
            jax.eval_shape(init, self._keys.init, like),
        )
        report, restored = self.console.warn, None
        if at != 0:
            restored = self._checkpoints.restore(shapes, step=at, report=report)
        saved = {} if restored is None else restored.metadata
        self.state = init(self._keys.init, like) if restored is None else restored.state
        self.step = 0 if restored is None else restored.step
        self._saved = None if restored is None else restored.step
        self._seconds = saved.get("seconds", 0.0)  # of training, over all processes of the run
        self._metrics_length = saved.get("metrics_length", 0)
        self._interval = Interval(**saved.get("interval", {}))
        self._rollbacks = saved.get("rollbacks", 0)
        self.train_key = self._keys.train
        if self._rollbacks:
            self.train_key = jax.random.fold_in(self._keys.train, self._rollbacks)
        self.console.start_at(self.step)
        return restored is not None

    def _cut_logs(self) -> None:
        if self._is_writer:
            self.folder.cut_metrics(self._metrics_length)
            self.folder.cut_evaluations(self.step)

    def advance(self, num_steps: int) -> None:
        """Take one chunk of steps, then whatever is due.

        Raises:
          DivergedError: a metric or a weight is no longer finite. Nothing of this chunk has been kept.
        """
        started = time.perf_counter()
        state, metrics = self._chunk(num_steps)(self.state, self._data, self.train_key)
        metrics = jax.device_get(metrics)  # the one transfer of the chunk; waits for it
        self.accept(state, metrics, time.perf_counter() - started)

    def accept(self, state: GANState, metrics: dict[str, np.ndarray], seconds: float) -> None:
        """Take over the state and metrics [K] of a chunk of K steps, and do whatever is due.

        Raises:
          DivergedError: as `advance`.
        """
        self.state = state
        divergence.check_metrics(metrics, self.step + 1)
        num_steps = len(next(iter(metrics.values())))
        self.step += num_steps
        self._seconds += seconds
        self._interval.add(metrics, seconds)
        self.console.advance(self.step)
        if self._due(self.config.log_every):
            self._log()
        if self._due(self.config.sample_every) and self._is_writer:
            self.experiment.draw(devices.local(self.state), self.folder.sample(self.step))
        if self.config.eval_every and self._due(self.config.eval_every):
            self._save(self._evaluate())
        if self._due(self.config.checkpoint_every):
            self._save()

    def go_back(self, step: int) -> None:
        """Return to an earlier checkpoint, or to the beginning at step 0; later checkpoints are removed.

        Raises:
          CheckpointError: there is no sound checkpoint of that step.
        """
        remove_later(self._checkpoints.folder, step)
        self._restore(step)
        self._cut_logs()

    def can_go_back(self, step: int) -> bool:
        """Whether there is a checkpoint of an earlier step, or it is the beginning."""
        return step == 0 or step in self._checkpoints.steps()

    def roll_back(self, error: divergence.DivergedError) -> None:
        """Return to the newest checkpoint and go on with fresh random numbers.

        Raises:
          DivergedError: it has happened too often.
        """
        rollbacks = self._rollbacks + 1
        if rollbacks > ROLLBACKS:
            raise divergence.DivergedError(
                f"{error}, after {ROLLBACKS} rollbacks: the recipe is unstable"
            ) from error
        self._restore()
        self._cut_logs()
        self._rollbacks = rollbacks
        self.train_key = jax.random.fold_in(self._keys.train, rollbacks)
        self.console.say(f"{error}; rolled back to step {self.step} ({rollbacks} of {ROLLBACKS})")

    def stop(self, interruption: Interruption) -> None:
        """Save and tell how to go on."""
        self._save()
        self._checkpoints.close()
        self.console.close()
        self.console.say(
            f"stopped by {interruption.signal.name} after step {self.step}; the same command goes on from there: "
            f"python -m experiments.{self.experiment.name} --flagfile={self.folder.path}/flagfile.txt"
        )

    def finish(self) -> None:
        """Draw the pictures that sum up the run."""
        self.console.close()
        self._checkpoints.close()
        if not self._is_writer:
            return
        records = self.folder.read_metrics()
        if records:
            plots.save_curves(records, self.folder.path / "curves.png")
        plots.save_animation(self.folder.sample_pictures(), self.folder.path / "progress.gif")
        self.experiment.finish(devices.local(self.state), self.folder.path)
        name, values = self.experiment.measured, self.folder.read_evaluations()
        if values:
            best, last = min(values, key=lambda record: record[name]), values[-1]
            self.console.say(
                f"{name}: best {best[name]:.4g} at step {best['step']}, last {last[name]:.4g} at step {last['step']}"
            )
        self.console.say(
            f"finished {self.step} steps in {self._seconds:.0f} s: see {self.folder.path}"
        )

    def _due(self, period: int) -> bool:
        return self.step % period == 0 or self.step == self.config.num_steps

    def _log(self) -> None:
        interval, self._interval = self._interval, Interval()
        if not self._is_writer:
            return
        images_per_second = interval.count * self._images_per_step / interval.seconds
        record = {
            "step": self.step,
            "images": self.step * self._images_per_step,
            "seconds": self._seconds,
            "images_per_second": images_per_second,
            **interval.means(),
            **self.experiment.watch(devices.local(self.state)),
        }
        self._metrics_length = self.folder.append_metrics(record)
        self.last_record = record
        self._write_events(record)
        self.console.log(record)
        warning = self.experiment.warn(record)
        if warning:
            self.console.say(warning)

    def _evaluate(self) -> float | None:
        if not self._is_writer or self.experiment.measure is None:
            return None
        value = self.experiment.measure(devices.local(self.state))
        self.folder.append_evaluation({"step": self.step, self.experiment.measured: value})
        self.console.say(f"step {self.step}: {self.experiment.measured} {value:.4g}")
        return value

    def _save(self, measure: float | None = None) -> None:
        if self._saved == self.step:
            return
        divergence.check_state(self.state, self.step)
        metadata = {
            "seconds": self._seconds,
            "metrics_length": self._metrics_length,
            "interval": self._interval.as_dict(),
            "rollbacks": self._rollbacks,
        }
        self._checkpoints.save(self.step, self.state, metadata, measure=measure)
        self._checkpoints.wait()  # so that a kill never costs more than checkpoint_every steps
        self._saved = self.step
