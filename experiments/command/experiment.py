"""What an experiment is: its data, its game, and what is drawn and watched of it; and a run's random streams."""

import inspect
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.command import game
from experiments.command.config import Config
from experiments.command.program import UserError
from gan_jax.adaptive import SIGNALS, Control, adapting
from gan_jax.data import Dataset
from gan_jax.rules import share_at, weighing_less
from gan_jax.sampling import sample_real
from gan_jax.types import GAN, Batch, DrawReal, GANState, Rule

Record = dict[str, Any]
WATCHED_BYTES = 2**21  # of unseen samples that a program holds


class Source(NamedTuple):
    """The real samples of a run, on the host: those it learns from, and others that it never sees."""

    train: Dataset
    held_out: Dataset | None = None


class Observer(NamedTuple):
    """What is drawn and watched of a run, from its own latents.

    Attributes:
      draw: `(state, path)`, draw samples of a state as a picture, from the same latents every time.
      watch: `state -> record`, further quantities for each line of the log.
      warn: `record -> words or None`, what the student should know of a line.
      finish: `(state, folder)`, draw the picture that ends the run.
      measure: `state -> number`, how far the samples are from the data, lower is better; None: not asked for.
      measured: what that number is called in evaluations.jsonl.
    """

    draw: Callable[[GANState, Path], None]
    watch: Callable[[GANState], Record]
    warn: Callable[[Record], str | None]
    finish: Callable[[GANState, Path], None]
    measure: Callable[[GANState], float] | None = None
    measured: str = ""


class Experiment(NamedTuple):
    """An experiment's functions. One run, many in one call, and a run read back all use these same ones.

    A training program holds it as `EXPERIMENT`, where a run that is read back finds it.

    Attributes:
      name: of the program, as in `python -m experiments.<name>`.
      kind: of its samples, as measuring.measures knows them: "images", "pictures", "sounds", "points" or
        "stacked_digits".
      load: `config -> source`.
      build: `(config, sample_shape) -> gan`, and `num_classes` by name with --conditional; one that takes `rule` by
        name is told the experiment's, whose turns its rates are to count. Runs in one compiled call
        share what it builds: there the numbers in one_call.TRACED may be traced, and there is no seed. One that cannot
        do with that is run one after another.
      observe: `(config, source, gan) -> observer`.
      rule: `config -> rule`, likewise.
      draw_real: `(key, data, num) -> batch`.
      labelled: whether the samples' classes go with them to the players even without --conditional.
    """

    name: str
    kind: str
    load: Callable[[Config], Source]
    build: Callable[..., GAN]
    observe: Callable[[Config, Source, GAN], Observer]
    rule: Callable[[Config], Rule] = game.choose_rule
    draw_real: DrawReal = sample_real
    labelled: bool = False

    def takes_labels(self, config: Config) -> bool:
        """Whether the samples' classes go with them to the players."""
        return self.labelled or config.conditional

    def game(self, config: Config, sample_shape: tuple[int, ...], num_classes: int = 0) -> GAN:
        """Build the game for samples of a shape and, with --conditional, of so many classes.

        Raises:
          UserError: the experiment, or its data, know no classes, or its rates would count another rule's turns.
        """
        taken, own = inspect.signature(self.build).parameters, {}
        if "rule" in taken:
            own = {"rule": self.rule(config)}
        else:
            self._check_rates(config)
        if not config.conditional:
            return self.build(config, sample_shape, **own)
        if "num_classes" not in taken:
            raise UserError(
                f"--conditional: {self.name} tells its players of no classes: leave it out"
            )
        if num_classes < 2:
            raise UserError(
                f"--conditional: {config.dataset} tells of {num_classes} classes: leave it out, or take labelled data"
            )
        return self.build(config, sample_shape, num_classes=num_classes, **own)

    def _check_rates(self, config: Config) -> None:
        """Refuse a rule of one's own with rates that count the turns of --update: they would end early or late."""
        changing = config.lr_schedule != "constant" or config.g_warmup_steps
        if self.rule is game.choose_rule or not changing:
            return
        own, flags_rule = self.rule(config), game.choose_rule(config)
        if own.updates != flags_rule.updates:
            raise UserError(
                f"{self.name} has its own rule, with {own.updates} updates a turn, and --update={config.update} has "
                f"{flags_rule.updates}: let its build take `rule` by name and give it to build_gan, or take "
                "--lr_schedule=constant"
            )


class Task(NamedTuple):
    """An experiment with the flags and the data of one run: everything that training is a function of.

    Attributes:
      experiment: what is trained.
      config: the flags.
      source: the data.
      dtype_reason: why the program chose the flags' dtype; empty: the command named it.
    """

    experiment: Experiment
    config: Config
    source: Source
    dtype_reason: str = ""

    @property
    def data(self) -> Batch:
        """The samples to learn from, as they go to the device."""
        train = self.source.train
        labelled = self.experiment.takes_labels(self.config)
        return Batch(train.images, train.labels if labelled else None)

    @property
    def sample(self) -> Batch:
        """Shapes of one real sample, as `draw_real` makes it of the data."""
        one = partial(self.experiment.draw_real, num=1)
        drawn = jax.eval_shape(one, jax.random.key(0), self.data)
        return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), drawn)

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """The shape of one real sample."""
        return self.sample.images.shape

    @property
    def gan(self) -> GAN:
        """The game, with optimizers that keep what its rule remembers."""
        return self.game_of(self.config)

    def game_of(self, config: Config) -> GAN:
        """Build the game of other flags on these data."""
        num_classes = self.source.train.num_classes
        gan = self.experiment.game(config, self.sample_shape, num_classes)
        game.refuse_falling_nothing(config, gan)
        return self.rule_of(config).equip(gan)

    def as_played(self, gan: GAN, state: GANState) -> GAN:
        """Give the game as it is played from a state on: with --penalty_last, penalties weigh what they do there."""
        last, num_steps = self.config.penalty_last, self.config.num_steps
        return gan if last is None else weighing_less(gan, share_at(state.step, last, num_steps))

    @property
    def rule(self) -> Rule:
        """How it is played."""
        return self.rule_of(self.config)

    def rule_of(self, config: Config) -> Rule:
        """Choose the rule for other flags on these data.

        Raises:
          UserError: it needs unseen data, and there are none.
        """
        rule = game.let_penalties_fall(config, self.experiment.rule(config))
        if config.augment_target is None:
            return rule
        if self.source.held_out is None:
            raise UserError(
                f"--augment_target: {self.experiment.name} loads no unseen data to tell overfitting by: leave it out"
            )
        labelled = self.experiment.takes_labels(config)
        control = Control(
            SIGNALS[config.augment_control], config.augment_target, config.augment_images,
            some_of(self.source.held_out, labelled), self.experiment.draw_real,
        )  # fmt: skip
        return adapting(rule, control)


def some_of(dataset: Dataset, labelled: bool) -> Batch:
    """Take samples for a compiled program to hold: 2 MB of them at most, evenly from the first to the last."""
    num = len(dataset.images)
    most = max(16, WATCHED_BYTES // max(1, dataset.images[0].nbytes))
    chosen = np.unique(np.linspace(0, num - 1, min(num, most)).round().astype(int))
    labels = dataset.labels[chosen] if labelled else None
    return Batch(dataset.images[chosen], labels)


class Keys(NamedTuple):
    """The run's independent random streams."""

    init: jax.Array
    train: jax.Array
    samples: jax.Array
    watch: jax.Array


def run_keys(seed: int) -> Keys:
    """Split a seed into the run's streams."""
    return Keys(*jax.random.split(jax.random.key(seed), 4))
