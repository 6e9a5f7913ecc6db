"""A run under way: its state on the devices, and what is due after each chunk of steps."""

import time

import jax
import numpy as np

from experiments.command import devices, program
from experiments.command.experiment import Task, run_keys
from experiments.command.interruption import Interruption
from experiments.command.program import UserError
from experiments.record import provenance, run_folder
from experiments.record.program_of_run import program_of
from experiments.training import divergence
from experiments.training.chunk import Compiled
from experiments.training.feed import FromHost, OnDevices
from experiments.training.progress import Progress
from experiments.training.report import Report
from gan_jax.checkpoint import Checkpoints, remove_later
from gan_jax.types import GANState

ROLLBACKS = 3  # a run that diverges more often is stopped


class Run:
    """State, key and progress of one run."""

    def __init__(
        self,
        task: Task,
        compiled: Compiled,
        feed: OnDevices | FromHost,
        checkpoints: Checkpoints,
        report: Report,
    ) -> None:
        self.task, self.config, self.report = task, task.config, report
        self._compiled, self._feed, self._checkpoints = compiled, feed, checkpoints
        self._keys = run_keys(task.config.seed)

    @property
    def step(self) -> int:
        """Steps taken."""
        return self.progress.step

    def newest_step(self) -> int:
        """Look up which checkpoint is the newest, sound or not; 0 if there is none."""
        return max(self._checkpoints.steps(), default=0)

    def start(self, first_chunk: int = 0) -> None:
        """Draw the first state, or restore the newest checkpoint; check that the folder is this run's.

        Args:
          first_chunk: steps of the chunk that will probably be first: it is compiled meanwhile; 0 for none.
        """
        folder, console = self.report.folder, self.report.console
        self._compiled.chunk.compile_ahead(first_chunk)
        restored = self._restore()
        facts = provenance.facts(self.task, program_of(self.task.experiment), self.state)
        if restored:
            self._check_origin(facts)
        if devices.is_writer():
            for line in folder.describe(self.config, facts, self.step if restored else None):
                console.warn(line)
        console.say(provenance.opening_line(folder.path, facts, self.step))
        if self.task.dtype_reason:
            console.say(f"--dtype=auto is {self.config.dtype}: {self.task.dtype_reason}")
        self.report.cut(self.progress)
        if not restored:
            self.report.draw(0, self.state)
        if self._compiled.chunk.is_awaited(first_chunk):
            self.report.rehearse(self.state)

    def _check_origin(self, facts: dict) -> None:
        saved = run_folder.read_run(self.report.folder.path)
        if saved["dataset"]["sha256"] != facts["dataset"]["sha256"]:
            raise UserError(
                f"the data differ from those with which {self.report.folder.path} was begun"
            )
        for line in provenance.changes(saved, facts):
            self.report.console.warn(line)

    def _restore(self, at: int | None = None) -> bool:
        restored = None
        if at != 0:
            restored = self._checkpoints.restore(
                self._compiled.shapes, step=at, report=self.report.console.warn
            )
        if restored is None:
            self.state, self.progress = self._compiled.init(self._keys.init), Progress()
        else:
            self.state, self.progress = restored.state, Progress(restored.step, restored.metadata)
        self._saved = None if restored is None else restored.step
        self.train_key = self._keys.train
        if self.progress.rollbacks:
            self.train_key = jax.random.fold_in(self._keys.train, self.progress.rollbacks)
        self.report.console.start_at(self.step)
        return restored is not None

    def advance(self, num_steps: int, then: int = 0) -> None:
        """Take one chunk of steps, then whatever is due.

        Args:
          num_steps: of the chunk.
          then: steps of the next one, whose data are gathered meanwhile; 0 if there is none.

        Raises:
          DivergedError: a metric or a weight is no longer finite. Nothing of this chunk has been kept.
        """
        started = time.perf_counter()
        chunk = self._compiled.chunk(num_steps)
        data = self._feed.take(self.step, num_steps, self.train_key)
        state, metrics = chunk(self.state, data, self.train_key)
        self._feed.prepare(self.step + num_steps, then, self.train_key)
        metrics = jax.device_get(metrics)  # the one transfer of the chunk; waits for it
        self.accept(state, metrics, time.perf_counter() - started)

    def accept(self, state: GANState, metrics: dict[str, np.ndarray], seconds: float) -> None:
        """Take over the state and metrics [K] of a chunk of K steps, and do whatever is due.

        Raises:
          DivergedError: as `advance`.
        """
        self.state = state
        divergence.check_metrics(metrics, self.step + 1)
        self.progress.add(metrics, seconds)
        self.report.console.advance(self.step)
        if self._due(self.config.log_every):
            self.report.log(self.progress, self.state)
        if self._due(self.config.sample_every):
            self.report.draw(self.step, self.state)
        if self.config.eval_every and self._due(self.config.eval_every):
            self._save(self.report.measure(self.step, self.state))
        if self._due(self.config.checkpoint_every):
            self._save()

    def _due(self, period: int) -> bool:
        return self.step % period == 0 or self.step == self.config.num_steps

    def go_back(self, step: int) -> None:
        """Return to an earlier checkpoint, or to the beginning at step 0; later checkpoints are removed.

        Raises:
          CheckpointError: there is no sound checkpoint of that step.
        """
        remove_later(self._checkpoints.folder, step)
        self._restore(step)
        self.report.cut(self.progress)

    def can_go_back(self, step: int) -> bool:
        """Whether there is a checkpoint of an earlier step, or it is the beginning."""
        return step == 0 or step in self._checkpoints.steps()

    def roll_back(self, error: divergence.DivergedError) -> None:
        """Return to the newest checkpoint and go on with fresh random numbers.

        Raises:
          DivergedError: it has happened too often.
        """
        rollbacks = self.progress.rollbacks + 1
        if rollbacks > ROLLBACKS:
            raise divergence.DivergedError(
                f"{error}, after {ROLLBACKS} rollbacks: the recipe is unstable"
            ) from error
        self._restore()
        self.report.cut(self.progress)
        self.progress.rollbacks = rollbacks
        self.train_key = jax.random.fold_in(self._keys.train, rollbacks)
        self.report.console.say(
            f"{error}; rolled back to step {self.step} ({rollbacks} of {ROLLBACKS})"
        )

    def stop(self, interruption: Interruption) -> None:
        """Save and tell how to go on."""
        self._save()
        self._checkpoints.close()
        console, folder = self.report.console, self.report.folder.path
        console.close()
        again = program.command_line(
            program_of(self.task.experiment), flagfile=folder / "flagfile.txt", workdir=folder
        )
        console.say(
            f"stopped by {interruption.signal.name} after step {self.step}; this goes on from there: {again}"
        )

    def finish(self) -> None:
        """Draw the pictures that sum up the run."""
        self._checkpoints.close()
        self.report.finish(self.progress, self.state)

    def _save(self, measure: float | None = None) -> None:
        if self._saved == self.step:
            return
        divergence.check_state(self.state, self.step)
        self._checkpoints.save(self.step, self.state, self.progress.metadata(), measure=measure)
        self._checkpoints.wait()  # so that a kill never costs more than checkpoint_every steps
        self._saved = self.step
