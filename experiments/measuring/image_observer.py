"""What is drawn and watched of a run that makes images: grids of samples, and the balance of the game."""

from pathlib import Path

import jax
import jax.numpy as jnp

from experiments.command.config import Config
from experiments.command.experiment import Observer, Source, run_keys
from experiments.measuring import monitor
from gan_jax import plots
from gan_jax.evaluation import balance
from gan_jax.sampling import as_signed, sample, sample_latents
from gan_jax.types import GAN

GRID = 25  # samples of a picture, 5x5 as in the tutorial
HELD_OUT = 100  # images on which the balance is watched


def observe(config: Config, source: Source, gan: GAN, *, kind: str) -> Observer:
    """Say what is drawn and watched of the states of a run.

    Args:
      config: the flags.
      source: the images, of which the held-out ones are watched.
      gan: the game.
      kind: of data, for --eval_every.
    """
    keys = run_keys(config.seed)
    latents = sample_latents(keys.samples, 4 * GRID, config.latent_dim)
    watched_latents = sample_latents(keys.watch, HELD_OUT, config.latent_dim)
    real = as_signed(jnp.asarray(source.held_out.images[:HELD_OUT]))
    generate = jax.jit(lambda state, latents: sample(gan, state, latents))

    @jax.jit
    def judge(state):
        params, model_state, _ = state.discriminator
        fake = sample(gan, state, watched_latents, ema=False)
        real_logits, _ = gan.discriminator.apply(params, model_state, real, train=False)
        fake_logits, _ = gan.discriminator.apply(params, model_state, fake, train=False)
        return balance.dis_acc(real_logits, fake_logits), balance.gan_acc(fake_logits)

    def draw(state, path: Path) -> None:
        plots.save_grid(jax.device_get(generate(state, latents[:GRID])), path, columns=5)

    def watch(state) -> dict[str, float]:
        dis_acc, gan_acc = judge(state)
        return {"dis_acc": float(dis_acc), "gan_acc": float(gan_acc)}

    def warn(record: dict) -> str | None:
        return balance.balance_warning(record["dis_acc"], record["gan_acc"])

    def finish(state, folder: Path) -> None:
        images = jax.device_get(generate(state, latents))
        plots.save_grid(images, folder / "samples.png", columns=10)

    distance = monitor.monitor_for(config, kind, source.train, source.train.images.shape[1:])
    return Observer(draw, watch, warn, finish, *monitor.of_states(distance, config, generate))
