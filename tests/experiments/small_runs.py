"""Runs of the driver so small that a test can stop them at any moment, in this process."""

import dataclasses
import os
import shutil
import signal
from collections.abc import Callable
from functools import cache
from pathlib import Path

import jax
from absl import flags
from absl.testing import flagsaver
from commands import Outcome, call

from experiments import mnist
from experiments.command import config as configs
from experiments.command import shared_flags
from experiments.command.experiment import Observer, Task
from experiments.record import provenance
from experiments.record.run_folder import RunFolder
from experiments.training import chunk, loop
from gan_jax import plots
from gan_jax.checkpoint import Checkpoints

PLAYERS = ("--network=mlp", "--width=0.05", "--batch_size=4", "--compilation_cache=")
PERIODS = {"steps_per_call": 2, "log_every": 2, "sample_every": 4, "checkpoint_every": 2}


class Killed(BaseException):
    """The process would be dead now: nothing of ours catches this."""


def configure(folder: Path, **values: object) -> configs.Config:
    """The configuration of a small run: 6 steps with `PERIODS`, unless `values` say otherwise."""
    shared_flags.define_flags()
    with flagsaver.flagsaver():
        flags.FLAGS(["program", *PLAYERS, f"--workdir={folder}"])
        config = configs.from_flags()
    return dataclasses.replace(config, **{"num_steps": 6, **PERIODS, **values})


@cache
def digits() -> tuple[Task, Observer]:
    """The task of every small run and its observer, made once, so that they are traced once."""
    config = configure(Path("unused"))
    source = mnist.load(config)
    task = Task(mnist.EXPERIMENT, config, source)
    return task, mnist.observe(config, source, task.gan)


# Steps -> compiled chunk: the first run's serve all, the game being one.
CHUNKS: dict[int, Callable] = {}


class Lab:
    """Where small runs happen: `listener` hears of every moment at which a run might be stopped.

    Attributes:
      listener: called with the name of each moment, while the run is there.
      moments: the names of all moments of the last run.
      checkpoints: of the run that is under way, from its first save on.
      meddle: `metrics [K], first step -> metrics`, applied to what a chunk returns.
    """

    ENDING = ("before the last picture", "at the end")

    def __init__(self, monkeypatch) -> None:
        self.listener: Callable[[str], None] = lambda name: None
        self.meddle: Callable = lambda metrics, first_step: metrics
        self.moments: list[str] = []
        self.checkpoints: Checkpoints
        real = {
            "append": RunFolder.append_metrics,
            "save": Checkpoints.save,
            "make_chunk": chunk.make_chunk,
        }

        def append_metrics(folder: RunFolder, record) -> int:
            self.reach("before a line")
            length = real["append"](folder, record)
            self.reach("after a line")
            return length

        def save(checkpoints: Checkpoints, *arguments, **options) -> None:
            self.checkpoints = checkpoints
            self.reach("before a save")
            real["save"](checkpoints, *arguments, **options)
            self.reach("while a save is written")

        def make_chunk(*game, batch_size: int, num_steps: int) -> Callable:
            if num_steps not in CHUNKS:
                sizes = {"batch_size": batch_size, "num_steps": num_steps}
                CHUNKS[num_steps] = real["make_chunk"](*game, **sizes)

            def watched(state, images, key):
                self.reach("before a chunk")
                first_step = int(state.step) + 1
                state, metrics = CHUNKS[num_steps](state, images, key)
                self.reach("after a chunk")
                return state, self.meddle(metrics, first_step)

            return watched

        monkeypatch.setattr(RunFolder, "append_metrics", append_metrics)
        monkeypatch.setattr(Checkpoints, "save", save)
        monkeypatch.setattr(chunk, "make_chunk", make_chunk)
        monkeypatch.setattr(
            loop, "check_playable", lambda *arguments: None
        )  # traces a step each time
        monkeypatch.setattr(provenance, "_commit", lambda: None)  # asks git each time
        for picture in ("save_curves", "save_animation"):  # slow, and drawn from what is compared
            monkeypatch.setattr(plots, picture, lambda *arguments, **options: None)
        task, observer = digits()
        watched = observer._replace(
            draw=self._draw, finish=self._finish, measure=self._measure, measured="distance"
        )
        experiment = task.experiment._replace(observe=lambda *arguments: watched)
        self.task = task._replace(experiment=experiment)

    def _draw(self, state, path: Path) -> None:
        self.reach("before a picture")
        digits()[1].draw(state, path)

    def _measure(self, state) -> float:
        self.reach("before a measurement")
        return abs(sum(float(leaf.sum()) for leaf in jax.tree.leaves(state.generator.params)))

    def _finish(self, state, folder: Path) -> None:
        self.reach("before the last picture")
        digits()[1].finish(state, folder)
        self.reach("at the end")

    def reach(self, moment: str) -> None:
        self.moments.append(moment)
        self.listener(moment)

    def train(self, config: configs.Config, capsys) -> Outcome:
        """Train as a program does, from the folder's newest checkpoint, to the end or an error."""
        self.moments = []
        return call(lambda: loop.train(self.task._replace(config=config)), [], capsys)

    def kill(self, config: configs.Config, moment: int, capsys) -> bool:
        """Train until the moment of that number, and leave the folder as SIGKILL would leave it.

        Returns whether the run was still going then.
        """
        folder, left = Path(config.workdir), Path(f"{config.workdir}.killed")

        def die(name: str) -> None:
            if len(self.moments) == moment + 1:
                snapshot(folder, left)
                raise Killed

        self.listener = die
        try:
            self.train(config, capsys)
        except Killed:
            shutil.rmtree(folder)  # with what closing its files has finished
            left.rename(folder)
            return True
        finally:
            capsys.readouterr()
            self.listener = lambda name: None
        return False

    def signal(self, config: configs.Config, moment: int, number: signal.Signals, capsys):
        """Train, and send this process a signal at the moment of that number."""

        def send(name: str) -> None:
            if len(self.moments) == moment + 1:
                os.kill(os.getpid(), number)

        self.listener = send
        try:
            return self.train(config, capsys)
        finally:
            self.listener = lambda name: None


def snapshot(folder: Path, copy: Path) -> None:
    """Copy a folder in which a save may be under way: what is renamed or removed meanwhile is left out."""
    for path in sorted(folder.rglob("*")):
        target = copy / path.relative_to(folder)
        try:
            if path.is_dir():
                target.mkdir(parents=True, exist_ok=True)
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(path.read_bytes())
        except FileNotFoundError:
            continue
