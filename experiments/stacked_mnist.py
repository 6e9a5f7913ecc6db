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

from pathlib import Path

from experiments.command import config as configs
from experiments.command import program
from experiments.many import members

members.define_flags()
configs.set_defaults(dataset="mnist", network="unrolled", latent_dim=256)

GRID = 25  # samples of a picture
WATCHED = 1000  # samples of one line of the log


def main() -> int:
    """Train on triples of the digits that the flags name."""
    import dataclasses

    from experiments.command import devices, game
    from experiments.many import train as population
    from gan_jax import data
    from gan_jax.evaluation.features import IMAGE_SHAPE

    config = configs.from_flags()
    workdir = (
        config.workdir or f"runs/stacked_mnist-{config.dataset}-{members.default_name(config)}"
    )
    config = dataclasses.replace(config, workdir=workdir)
    devices.join(config)
    place = {"data_dir": config.data_dir, "download": config.download, "warn": print}
    dataset = data.load(config.dataset, split="train", **place)
    if dataset.images.shape[1:] != IMAGE_SHAPE:
        raise program.UserError(
            f"--dataset={config.dataset} holds samples of shape {dataset.images.shape[1:]}: triples are made of "
            f"{IMAGE_SHAPE}, as mnist has"
        )

    def prepare(config: configs.Config):
        return make_experiment(config, dataset, game.build_gan(config, (28, 28, 3)))

    return population.train(config, prepare)


def make_experiment(config: configs.Config, dataset, gan):
    """Say what the loop draws and watches."""
    import jax
    import numpy as np

    from experiments.command.experiment import Experiment, run_keys
    from experiments.measuring import stacked_digits as stacked
    from gan_jax import plots
    from gan_jax.evaluation.coverage import stacked_coverage
    from gan_jax.sampling import sample, sample_latents, sample_triples

    keys = run_keys(config.seed)
    latents = sample_latents(keys.samples, 4 * GRID, config.latent_dim)
    network = stacked.classifier(dataset.name)
    generate = jax.jit(lambda state, latents: sample(gan, state, latents))

    def covered(state, num: int):
        latents = sample_latents(keys.watch, num, config.latent_dim)
        batches = np.array_split(latents, max(1, num // 250))
        samples = np.concatenate([jax.device_get(generate(state, z)) for z in batches])
        return stacked_coverage(stacked.read(network, samples))

    def draw(state, path: Path) -> None:
        plots.save_grid(jax.device_get(generate(state, latents[:GRID])), path, columns=5)

    def watch(state) -> dict[str, float]:
        found = covered(state, WATCHED)
        return {"modes": float(found.modes), "mode_kl": found.kl}

    def warn(record: dict) -> str | None:
        del record  # the number of modes says it
        return None

    def finish(state, folder: Path) -> None:
        images = jax.device_get(generate(state, latents))
        plots.save_grid(images, folder / "samples.png", columns=10)

    def measure(state) -> float:
        return covered(state, config.eval_samples).kl

    parts = (draw, watch, warn, finish, measure, "mode_kl")
    return Experiment("stacked_mnist", dataset, gan, *parts, draw_real=sample_triples)


if __name__ == "__main__":
    program.run(main)
