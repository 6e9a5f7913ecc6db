"""What is drawn and watched of a run that makes images: grids of samples, and the balance of the game."""

from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp

from experiments.command.config import Config
from experiments.command.experiment import Observer, Source, run_keys
from experiments.measuring import monitor
from experiments.measuring.class_rows import class_rows
from gan_jax import plots
from gan_jax.evaluation import balance
from gan_jax.sampling import as_signed, sample, sample_latents
from gan_jax.types import GAN, Array, GANState

GRID = 25  # samples of a picture, 5x5 as in the tutorial
HELD_OUT = 100  # images on which the balance is watched


def observe(config: Config, source: Source, gan: GAN, *, kind: str) -> Observer:
    """Say what is drawn and watched of the states of a run; a game with labels is drawn with a row for each class.

    Args:
      config: the flags.
      source: the images, of which the held-out ones are watched.
      gan: the game.
      kind: of data, for --eval_every.
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
        plots.save_grid(images, path, columns=columns, title=title)

    def draw(state, path: Path) -> None:
        grid(state, inputs, path)

    def watch(state) -> dict[str, float]:
        dis_acc, gan_acc = judge(state)
        return {"dis_acc": float(dis_acc), "gan_acc": float(gan_acc)}

    def warn(record: dict) -> str | None:
        return balance.balance_warning(record["dis_acc"], record["gan_acc"])

    def finish(state, folder: Path) -> None:
        grid(state, all_inputs, folder / "samples.png")

    distance = monitor.monitor_for(config, kind, source.train, source.train.images.shape[1:])
    number = monitor.of_states(distance, config, generate, counts)
    return Observer(draw, watch, warn, finish, *number)


def _judge(
    config: Config, source: Source, gan: GAN
) -> Callable[[GANState], tuple[jax.Array, jax.Array]]:
    """Make the function that weighs D against G on held-out images, and on generated ones that wear their labels."""
    latents = sample_latents(run_keys(config.seed).watch, HELD_OUT, config.latent_dim)
    held_out = source.held_out
    real = as_signed(jnp.asarray(held_out.images[:HELD_OUT]))
    labels = jnp.asarray(held_out.labels[:HELD_OUT]) if config.conditional else None

    @jax.jit
    def judge(state: GANState) -> tuple[jax.Array, jax.Array]:
        params, model_state, _ = state.discriminator
        of_latents = latents if labels is None else latents[: len(labels)]
        fake = sample(gan, state, of_latents, labels, ema=False)
        real_logits, _ = gan.discriminator.apply(params, model_state, real, labels, train=False)
        fake_logits, _ = gan.discriminator.apply(params, model_state, fake, labels, train=False)
        return balance.dis_acc(real_logits, fake_logits), balance.gan_acc(fake_logits)

    return judge
