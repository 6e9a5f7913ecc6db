"""Train a GAN on 28x28 images: the tutorial's DCGAN, or a recipe of ours.

    python -m experiments.mnist --flagfile=experiments/flags/digits.flags        # built-in digits, no download
    python -m experiments.mnist --flagfile=experiments/flags/mnist.flags         # MNIST, our recipe
    python -m experiments.mnist --flagfile=experiments/flags/mnist_article.flags # MNIST, the tutorial's recipe

Each line of the log holds the tutorial's dis_acc and gan_acc on held-out images: how sure D is on average. A game
in balance keeps both away from 0 and 1; when they drift apart, a line says who is winning. Results, minutes and
hardware, where measured: experiments/README.md.
"""

from experiments.command import program
from experiments.many import members

if __name__ == "__main__":  # --help and wrong flags answer before the slow imports below
    program.begin(members.define_flags)

from pathlib import Path

import jax
import jax.numpy as jnp

from experiments.command.config import Config
from experiments.command.experiment import Experiment, Observer, Source, run_keys
from experiments.command.game import build_gan
from experiments.many.train import train
from experiments.measuring import monitor
from gan_jax import data, plots
from gan_jax.evaluation import balance
from gan_jax.sampling import as_signed, sample, sample_latents
from gan_jax.types import GAN

GRID = 25  # samples of a picture, 5x5 as in the tutorial
HELD_OUT = 100  # images on which the balance is watched


def main() -> int:
    """Train on the images that the flags name."""
    return train(EXPERIMENT)


def load(config: Config) -> Source:
    """Read the images to learn from, and those to watch the balance on."""
    place = {"data_dir": config.data_dir, "download": config.download, "warn": print}
    source = Source(*(data.load(config.dataset, split=s, **place) for s in ("train", "test")))
    if source.train.images.ndim != 4:
        raise program.UserError(f"{config.dataset} holds points: use experiments.gaussians")
    return source


def build(config: Config, sample_shape: tuple[int, ...]) -> GAN:
    """Assemble the game that the flags describe."""
    return build_gan(config, sample_shape)


def observe(config: Config, source: Source, gan: GAN) -> Observer:
    """Say what is drawn and watched: a grid of samples, and the balance of the game."""
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

    distance = monitor.monitor_for(
        config, EXPERIMENT.kind, source.train, source.train.images.shape[1:]
    )
    return Observer(draw, watch, warn, finish, *monitor.of_states(distance, config, generate))


EXPERIMENT = Experiment("mnist", "images", load, build, observe)

if __name__ == "__main__":
    program.run(main)
