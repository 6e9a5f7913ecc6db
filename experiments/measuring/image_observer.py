"""What is drawn and watched of a run that makes images: grids of samples, and the balance of the game."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from experiments.command.config import Config
from experiments.command.experiment import Observer, Source, run_keys
from experiments.measuring import monitor
from experiments.measuring.class_rows import class_rows
from gan_jax import plots
from gan_jax.data import Dataset
from gan_jax.evaluation import balance
from gan_jax.sampling import as_signed, sample, sample_latents
from gan_jax.types import GAN, Array, Batch, GANState, Images, Labels, Latents, Logits, Metrics

GRID = 25  # samples of a picture, 5x5 as in the tutorial
HELD_OUT = 100  # images on which the balance is watched
LOGITS = ("train_logits", "unseen_logits", "generated_logits")  # what D thinks of each, on average


def observe(
    config: Config,
    source: Source,
    gan: GAN,
    *,
    kind: str,
    drawn: Callable[[np.ndarray], np.ndarray] = np.asarray,
) -> Observer:
    """Say what is drawn and watched of the states of a run; a game with labels is drawn with a row for each class.

    Args:
      config: the flags.
      source: the images, of which the held-out ones are watched.
      gan: the game.
      kind: of data, for --eval_every.
      drawn: makes pictures of samples that are none themselves.
    """
    keys = run_keys(config.seed)
    latents = sample_latents(keys.samples, 4 * GRID, config.latent_dim)
    counts = source.train.class_counts if config.conditional else None
    inputs, all_inputs = ((latents[:GRID],), 5), ((latents,), 10)
    if counts:
        inputs, all_inputs = ((class_rows(latents[:n], len(counts)), n) for n in (5, 10))
    generate = jax.jit(lambda state, *inputs: sample(gan, state, *inputs))
    judge = _judge(config, source, gan)

    def grid(state, given: tuple[tuple[Array, ...], int], path: Path) -> None:
        (inputs, columns) = given
        images, title = jax.device_get(generate(state, *inputs)), f"after step {int(state.step):,}"
        plots.save_grid(drawn(images), path, columns=columns, title=title)

    def draw(state, path: Path) -> None:
        grid(state, inputs, path)

    def watch(state) -> dict[str, float]:
        return {name: float(number) for name, number in judge(state).items()}

    def warn(record: dict) -> str | None:
        lead = balance.balance_warning(record["dis_acc"], record["gan_acc"])
        return lead or balance.overfitting_warning(*(record[name] for name in LOGITS))

    def finish(state, folder: Path) -> None:
        grid(state, all_inputs, folder / "samples.png")

    distance = monitor.monitor_for(config, kind, source.train, source.train.images.shape[1:])
    number = monitor.of_states(distance, config, generate, counts)
    return Observer(draw, watch, warn, finish, *number)


def _judge(config: Config, source: Source, gan: GAN) -> Callable[[GANState], Metrics]:
    """Make the function that weighs D against G on held-out images, and on generated ones that wear their labels.

    D's overfitting is the mean logit of training images less that of unseen ones, some evenly from all of each.
    """
    latents = sample_latents(run_keys(config.seed).watch, HELD_OUT, config.latent_dim)
    first = _some(source.held_out, slice(HELD_OUT), config)
    spread = tuple(_some(part, _evenly(len(part.images)), config) for part in source)
    weigh = jax.jit(partial(_weigh, gan))
    # What differs between seeds is given and not closed over, or each seed would have a program of its own.
    return lambda state: weigh(state, latents, first, spread)


def _weigh(
    gan: GAN, state: GANState, latents: Latents, first: Batch, spread: tuple[Batch, Batch]
) -> Metrics:
    params, model_state, _ = state.discriminator

    def logits(images: Images, labels: Labels | None) -> Logits:
        return gan.discriminator.apply(params, model_state, images, labels, train=False)[0]

    labels = first.labels
    of_latents = latents if labels is None else latents[: len(labels)]
    fake = logits(sample(gan, state, of_latents, labels, ema=False), labels)
    train, unseen = (jnp.mean(logits(as_signed(images), of)) for images, of in spread)
    return {
        "dis_acc": balance.dis_acc(logits(as_signed(first.images), labels), fake),
        "gan_acc": balance.gan_acc(fake),
        "d_overfit": train - unseen,
        **dict(zip(LOGITS, (train, unseen, jnp.mean(fake)), strict=True)),
    }


def _some(dataset: Dataset, which: slice | np.ndarray, config: Config) -> Batch:
    labels = jnp.asarray(dataset.labels[which]) if config.conditional else None
    return Batch(jnp.asarray(dataset.images[which]), labels)


def _evenly(num: int) -> np.ndarray:
    """Choose HELD_OUT of so many, from the first to the last: sets may be sorted by class."""
    return np.unique(np.linspace(0, num - 1, min(num, HELD_OUT)).round().astype(int))
