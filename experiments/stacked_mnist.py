"""Train a GAN on StackedMNIST: three independent digits in the three channels of an image, 1,000 modes.

    python -m experiments.stacked_mnist --flagfile=experiments/flags/stacked_mnist_quarter.flags
    python -m experiments.stacked_mnist --flagfile=experiments/flags/stacked_mnist_half.flags
    python -m experiments.stacked_mnist --flagfile=experiments/flags/stacked_mnist.flags

Networks are those of the published tables: --network=unrolled is the small generator of Unrolled GANs (Metz et al.
2017, arXiv:1611.02163) against a D whose channels are --d_width of G's: 0.25 is the table's "1/4 G" (2-4-8 channels),
0.5 its "1/2 G" (4-8-16). --network=dcgan is the size of the second table. Batch norm, which the protocol has in both
players, is left out of both with --loss=relativistic, and of D with a gradient penalty.

Triples are drawn on the device in every step. Each line of the log counts modes and KL to uniform of 1,000 samples:
few, so that watching is cheap (real triples: about 630 modes, KL .49). `experiments.evaluate` takes 25,600 and prints
what real triples reach. Results, minutes and hardware, where measured: experiments/README.md.
"""

from experiments.command import program
from experiments.many import members

if __name__ == "__main__":  # --help and wrong flags answer before the slow imports below
    program.begin(members.define_flags, dataset="mnist", network="unrolled", latent_dim=256)

from pathlib import Path

import jax
import numpy as np

from experiments.command.config import Config
from experiments.command.experiment import Experiment, Observer, Source, run_keys
from experiments.command.game import build_gan
from experiments.many.train import train
from experiments.measuring import monitor, stacked_digits
from experiments.measuring.measure import frozen_network
from gan_jax import data, plots
from gan_jax.evaluation.coverage import stacked_coverage
from gan_jax.evaluation.features import IMAGE_SHAPE
from gan_jax.sampling import sample, sample_latents, sample_triples
from gan_jax.types import GAN

GRID = 25  # samples of a picture
WATCHED = 1000  # samples of one line of the log


def main() -> int:
    """Train on triples of the digits that the flags name."""
    return train(EXPERIMENT)


def load(config: Config) -> Source:
    """Read the digits of which triples are made, and others to measure against."""
    place = {"data_dir": config.data_dir, "download": config.download, "warn": print}
    train, test = (data.load(config.dataset, split=s, **place) for s in ("train", "test"))
    if train.images.shape[1:] != IMAGE_SHAPE:
        raise program.UserError(
            f"--dataset={config.dataset} holds samples of shape {train.images.shape[1:]}: triples are made of "
            f"{IMAGE_SHAPE}, as mnist has"
        )
    return Source(train, test)


def build(config: Config, sample_shape: tuple[int, ...]) -> GAN:
    """Assemble the game that the flags describe."""
    return build_gan(config, sample_shape)


def observe(config: Config, source: Source, gan: GAN) -> Observer:
    """Say what is drawn and watched: a grid of samples, and the modes that they cover."""
    keys = run_keys(config.seed)
    latents = sample_latents(keys.samples, 4 * GRID, config.latent_dim)
    watched_latents = sample_latents(keys.watch, WATCHED, config.latent_dim)
    network = frozen_network(source.train.name)
    generate = jax.jit(lambda state, latents: sample(gan, state, latents))

    def draw(state, path: Path) -> None:
        images, title = jax.device_get(generate(state, latents[:GRID])), _title(state)
        plots.save_grid(images, path, columns=5, title=title)

    def watch(state) -> dict[str, float]:
        batches = np.array_split(watched_latents, WATCHED // 250)
        samples = np.concatenate([jax.device_get(generate(state, z)) for z in batches])
        found = stacked_coverage(stacked_digits.read(network, samples))
        return {"modes": float(found.modes), "mode_kl": found.kl}

    def warn(record: dict) -> str | None:
        del record  # the number of modes says it
        return None

    def finish(state, folder: Path) -> None:
        images = jax.device_get(generate(state, latents))
        plots.save_grid(images, folder / "samples.png", columns=10, title=_title(state))

    distance = monitor.monitor_for(config, EXPERIMENT.kind, source.train, (*IMAGE_SHAPE[:2], 3))
    return Observer(draw, watch, warn, finish, *monitor.of_states(distance, config, generate))


def _title(state) -> str:
    return f"after step {int(state.step):,}"


EXPERIMENT = Experiment(
    "stacked_mnist", "stacked_digits", load, build, observe, draw_real=sample_triples
)

if __name__ == "__main__":
    program.run(main)
