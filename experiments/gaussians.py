"""Train a GAN on points of the plane, where every failure can be seen: rings and grids of Gaussians, spirals, moons.

    python -m experiments.gaussians --flagfile=experiments/flags/gaussians_ring.flags
    python -m experiments.gaussians --flagfile=experiments/flags/gaussians_grid.flags

Each line of the log counts the modes that 2,500 samples cover and the share of high quality (within 3 sigma of a
centre), as in PacGAN (Lin et al. 2018, arXiv:1712.04086); pictures lay the samples over D's decision surface. Results,
minutes and hardware, where measured: experiments/README.md.
"""

from experiments.command import program
from experiments.many import members

if __name__ == "__main__":  # --help and wrong flags answer before the slow imports below
    program.begin(members.define_flags, dataset="ring", network="mlp", latent_dim=2, batch_size=256)

from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from experiments.command.config import Config
from experiments.command.experiment import Experiment, Observer, Source, run_keys
from experiments.command.game import build_gan
from experiments.many.train import train
from experiments.measuring import mixtures, monitor
from gan_jax import data, plots
from gan_jax.sampling import sample, sample_labels, sample_latents
from gan_jax.types import GAN, Array, GANState

PLANAR = tuple(name for name in data.POINT_SETS if name != "gaussian_1d")
NUM_POINTS = 2500  # samples of one measurement
WATCHED = ("modes", "high_quality", "mode_kl")  # of what is measured of mixtures
SHOWN = 1000  # points of each kind in a picture


def main() -> int:
    """Train on the points that the flags name."""
    return train(EXPERIMENT)


def load(config: Config) -> Source:
    """Draw the points to learn from, and others of the same law to measure against."""
    if config.dataset not in PLANAR:
        raise program.UserError(
            f"--dataset={config.dataset} is not a set of the plane: choose {', '.join(PLANAR)}"
        )
    return Source(*(data.load(config.dataset, split=split) for split in ("train", "test")))


def build(config: Config, sample_shape: tuple[int, ...], num_classes: int = 0) -> GAN:
    """Assemble the game that the flags describe."""
    return build_gan(config, sample_shape, num_classes)


def observe(config: Config, source: Source, gan: GAN) -> Observer:
    """Say what is drawn and watched: samples over D's decision surface, and the modes that they cover."""
    keys = run_keys(config.seed)
    latents = sample_latents(keys.samples, SHOWN, config.latent_dim)
    watched_latents = sample_latents(keys.watch, NUM_POINTS, config.latent_dim)
    real = source.train.images[:SHOWN]
    extent = 1.25 * float(np.abs(real).max())
    counts = source.train.class_counts if config.conditional else None
    labels, watched_labels = (
        None if counts is None else sample_labels(config.seed, counts, num)
        for num in (SHOWN, NUM_POINTS)
    )
    generate = jax.jit(lambda state, latents, labels=None: sample(gan, state, latents, labels))
    probabilities = jax.jit(_decision(gan, 0 if counts is None else len(counts)))

    def draw(state, path: Path) -> None:
        fake = jax.device_get(generate(state, latents, labels))

        def decision(points):
            return np.asarray(probabilities(state, points.astype(np.float32)))

        title = f"{config.dataset}, after step {int(state.step):,}"
        plots.save_scatter(real, fake, path, decision=decision, extent=extent, title=title)

    def watch(state) -> dict[str, float]:
        if config.dataset not in data.MIXTURES:
            return {}
        points = jax.device_get(generate(state, watched_latents, watched_labels))
        found = mixtures.numbers(points, data.mixture(config.dataset))
        return {name: found[name] for name in WATCHED}

    def warn(record: dict) -> str | None:
        del record  # the number of modes says it
        return None

    def finish(state, folder: Path) -> None:
        draw(state, folder / "samples.png")

    distance = monitor.monitor_for(
        config, EXPERIMENT.kind, source.train, source.train.images.shape[1:]
    )
    number = monitor.of_states(distance, config, generate, counts)
    return Observer(draw, watch, warn, finish, *number)


def _decision(gan: GAN, num_classes: int) -> Callable[[GANState, Array], Array]:
    """Make `(state, points) -> probabilities` that D gives; of several classes, that of the one which is surest."""

    def probabilities(state: GANState, points: Array) -> Array:
        params, model_state, _ = state.discriminator

        def logits(label: Array | None = None) -> Array:
            labels = None if label is None else jnp.full(len(points), label)
            return gan.discriminator.apply(params, model_state, points, labels, train=False)[0]

        if not num_classes:
            return jax.nn.sigmoid(logits())
        return jax.nn.sigmoid(jax.vmap(logits)(jnp.arange(num_classes)).max(axis=0))

    return probabilities


EXPERIMENT = Experiment("gaussians", "points", load, build, observe)

if __name__ == "__main__":
    program.run(main)
