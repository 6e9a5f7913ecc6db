"""Many runs whose steps are taken in one compiled call: seeds and swept numbers along a leading axis, by `vmap`.

Each run keeps its own folder, log and checkpoints, as if it were alone; its numbers differ from those of a run
alone by the rounding of batched products.
"""

import contextlib
import dataclasses
import statistics
import time
from collections.abc import Callable
from functools import cache, partial
from operator import itemgetter

import jax
import jax.numpy as jnp

from experiments.command import interruption
from experiments.command.config import PENALTIES, Config
from experiments.command.experiment import Record, Task
from experiments.command.game import check
from experiments.training import loop
from experiments.training.chunk import assemble
from experiments.training.console import Console
from experiments.training.divergence import DivergedError
from experiments.training.feed import OnDevices
from experiments.training.run import Run
from gan_jax import parallel
from gan_jax.population import run_population
from gan_jax.types import GAN, Batch, GANState, Key, Rule

# Flags that may differ between runs of one compiled call: numbers that the game takes as traced scalars.
TRACED = (
    *PENALTIES,
    "ema_half_life_images",
    "g_lr",
    "d_lr",
    "b1",
    "b2",
    "adam_eps",
    "update_weight",
    "augment_target",
    "penalty_last",
)

Note = Callable[[str, str], None]  # name of a run, what it said when it diverged


def can_trace(task: Task, swept: list[str]) -> bool:
    """Whether an experiment builds its game from traced numbers, as a compiled call over several of them needs."""

    def build(values: list[jax.Array]) -> int:
        hyper = dict(zip(swept, values, strict=True))
        _build(task, hyper), _rule(task, hyper)
        return 0

    try:
        jax.eval_shape(build, [0.5 for _ in swept])
    except TypeError:  # float(weight), if weight > 0, key(seed), ...
        return False
    return True


def _build(task: Task, hyper: dict[str, jax.Array]) -> GAN:
    return task.game_of(_member_config(task, hyper))


def _rule(task: Task, hyper: dict[str, jax.Array]) -> Rule:
    return task.rule_of(_member_config(task, hyper))


def _member_config(task: Task, hyper: dict[str, jax.Array]) -> Config:
    # One program serves all seeds: a game that reads its run's seed cannot be built here.
    return dataclasses.replace(task.config, seed=None, **hyper)


class RunsInOneCall:
    """Runs that advance as one; `lost` has the runs that diverged."""

    def __init__(self, runs: list[Run], task: Task, data: Batch, note: Note) -> None:
        self.runs, self.lost = runs, []
        self._note = note
        self.config, self._data = task.config, data
        swept = [name for name in TRACED if len({getattr(r.config, name) for r in runs}) > 1]
        self._hyper = {
            name: jnp.asarray([getattr(run.config, name) for run in runs]) for name in swept
        }
        build, rule = partial(_build, task), partial(_rule, task)
        draw = task.experiment.draw_real

        def chunk(states, hyper, data: Batch, keys: Key, num_steps: int):
            sizes = {"batch_size": task.config.batch_size, "num_steps": num_steps}
            states, metrics = run_population(
                build, rule, draw, states, hyper, data, keys=keys, **sizes
            )
            return states, metrics, _unstack(states, len(runs))

        self._chunk = cache(
            lambda num_steps: jax.jit(partial(chunk, num_steps=num_steps), donate_argnums=0)
        )

    @property
    def step(self) -> int:
        """Steps that every run has taken."""
        return next(run.step for run in self.runs if run not in self.lost)

    def start(self) -> None:
        """Begin, or go on from the newest step of which every run has a sound checkpoint.

        Runs in one call save one after another, so a kill may leave some a save ahead of the others: these go back.
        """
        for run in self.runs:
            run.start()
        common = min(run.step for run in self.runs)
        ahead = [run for run in self.runs if run.step > common]
        if not all(run.can_go_back(common) for run in ahead):
            common, ahead = 0, [run for run in self.runs if run.step > 0]
        for run in ahead:
            run.go_back(common)
        self._states = jax.jit(_stack)([run.state for run in self.runs])
        self._keys = jnp.stack([run.train_key for run in self.runs])
        self.console = Console(self.config.num_steps)
        self.console.start_at(common)
        first = self.runs[0]
        self.console.say(
            f"{'going on' if common else 'starting'} after step {common} with {len(self.runs)} runs in one call, in "
            f"{first.report.folder.path.parent}"
        )

    def advance(self, num_steps: int) -> None:
        """Take one chunk of steps with every run; a run that diverges is lost, and the others go on.

        Raises:
          DivergedError: all are lost.
        """
        started = time.perf_counter()
        self._states, metrics, states = self._chunk(num_steps)(
            self._states, self._hyper, self._data, self._keys
        )
        metrics = jax.device_get(metrics)
        share = (time.perf_counter() - started) / len(self.runs)
        for number, (run, state) in enumerate(zip(self.runs, states, strict=True)):
            if run in self.lost:
                continue
            try:
                run.accept(state, {name: rows[number] for name, rows in metrics.items()}, share)
            except DivergedError as error:
                self._lose(run, error)
        if len(self.lost) == len(self.runs):
            raise DivergedError("every run diverged")
        self.console.advance(self.step)
        self._log()

    def _lose(self, run: Run, error: DivergedError) -> None:
        self.lost.append(run)
        self._note(run.report.folder.path.name, str(error))
        self.console.say(f"{run.report.folder.path.name} {error}")

    def _log(self) -> None:
        records = [run.report.last_record for run in self.runs if run not in self.lost]
        if records[0].get("step") == self.step:
            self.console.log(_middle(records))

    def stop(self, interrupted: interruption.Interruption) -> None:
        """Save every run and tell how to go on."""
        for run in self.runs:
            try:
                if run not in self.lost:
                    run.stop(interrupted)
            except DivergedError as error:
                self._lose(run, error)
        self.console.close()
        self.console.say(
            f"stopped by {interrupted.signal.name} after step {self.step}; the same command goes on from there"
        )

    def finish(self) -> None:
        """Draw what sums up each run."""
        self.console.close()
        for run in self.runs:
            if run not in self.lost:
                run.finish()


def play(tasks: list[Task], note: Note) -> int:
    """Train runs that differ in seeds and traced numbers only, on one device.

    Args:
      tasks: the runs, on the same data.
      note: told at once of every run that diverges: the name of its folder, and what it said.

    Returns:
      The exit code.

    Raises:
      UserError: as `loop.train`.
    """
    first = tasks[0]
    loop.use_compilation_cache(first.config)
    check(first.config, first.gan, first.rule, first.sample)
    mesh = parallel.make_mesh(1)
    feed = OnDevices(first.data, mesh)
    compiled = assemble(first, mesh)
    with contextlib.ExitStack() as held:
        runs = [
            held.enter_context(loop.open_run(task, compiled, feed, quiet=True)) for task in tasks
        ]
        interrupted = held.enter_context(interruption.listening())
        return _loop(RunsInOneCall(runs, first, feed.data, note), interrupted)


def _loop(together: RunsInOneCall, interrupted: interruption.Interruption) -> int:
    together.start()
    while together.step < together.config.num_steps:
        if interrupted.signal:
            together.stop(interrupted)
            return interrupted.exit_code
        try:
            together.advance(loop.next_chunk(together.config, together.step))
        except DivergedError:  # nothing is left to train
            return 0
    together.finish()
    return interrupted.exit_code


def _stack(states: list[GANState]) -> GANState:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)


def _unstack(states: GANState, num: int) -> list[GANState]:
    return [jax.tree.map(itemgetter(i), states) for i in range(num)]


def _middle(records: list[Record]) -> Record:
    """Take the median of each number over the runs, and the sum of their speeds."""
    middle = {
        name: statistics.median(record[name] for record in records)
        for name, value in records[0].items()
        if isinstance(value, int | float)
    }
    speed = sum(record["images_per_second"] for record in records)
    return middle | {"step": records[0]["step"], "images_per_second": speed}
