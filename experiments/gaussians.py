"""Train a GAN on points of the plane, where every failure can be seen: rings and grids of Gaussians, spirals, moons.

    python -m experiments.gaussians --flagfile=experiments/flags/gaussians_ring.flags
    python -m experiments.gaussians --flagfile=experiments/flags/gaussians_grid.flags

Each line of the log counts the modes that 2,500 samples cover and the share of high quality (within 3 sigma of a
centre), as in PacGAN (Lin et al. 2018, arXiv:1712.04086); pictures lay the samples over D's decision surface. Results,
minutes and hardware, where measured: experiments/README.md.
"""

from pathlib import Path

from experiments.command import config as configs
from experiments.command import program
from experiments.many import members

members.define_flags()
configs.set_defaults(dataset="ring", network="mlp", latent_dim=2, batch_size=256)

NUM_POINTS = 2500  # samples of one measurement
SHOWN = 1000  # points of each kind in a picture


def main() -> int:
    """Train on the points that the flags name."""
    import dataclasses

    from experiments.command import devices, game
    from experiments.many import train as population
    from gan_jax import data

    config = configs.from_flags()
    if config.dataset not in data.POINT_SETS or config.dataset == "gaussian_1d":
        planar = ", ".join(name for name in data.POINT_SETS if name != "gaussian_1d")
        raise program.UserError(
            f"--dataset={config.dataset} is not a set of the plane: choose {planar}"
        )
    workdir = config.workdir or f"runs/gaussians-{config.dataset}-{members.default_name(config)}"
    config = dataclasses.replace(config, workdir=workdir)
    devices.join(config)
    dataset = data.load(config.dataset)

    def prepare(config: configs.Config):
        gan = game.build_gan(config, dataset.images.shape[1:])
        return make_experiment(config, dataset, gan)

    return population.train(config, prepare)


def make_experiment(config: configs.Config, dataset, gan):
    """Say what the loop draws and watches."""
    import jax
    import numpy as np

    from experiments.command.experiment import Experiment, run_keys
    from experiments.measuring import measures
    from gan_jax import data, plots
    from gan_jax.sampling import sample, sample_latents

    keys = run_keys(config.seed)
    latents = sample_latents(keys.samples, SHOWN, config.latent_dim)
    watched_latents = sample_latents(keys.watch, NUM_POINTS, config.latent_dim)
    real = dataset.images[:SHOWN]
    extent = 1.25 * float(np.abs(real).max())
    generate = jax.jit(lambda state, latents: sample(gan, state, latents))

    @jax.jit
    def probabilities(state, points):
        params, model_state, _ = state.discriminator
        logits, _ = gan.discriminator.apply(params, model_state, points, train=False)
        return jax.nn.sigmoid(logits)

    def draw(state, path: Path) -> None:
        fake = jax.device_get(generate(state, latents))

        def decision(points):
            return np.asarray(probabilities(state, points.astype(np.float32)))

        plots.save_scatter(real, fake, path, decision=decision, extent=extent)

    def watch(state) -> dict[str, float]:
        return measure(config.dataset, jax.device_get(generate(state, watched_latents)))

    def warn(record: dict) -> str | None:
        del record  # the number of modes says it
        return None

    def finish(state, folder: Path) -> None:
        draw(state, folder / "samples.png")

    def shortfall(state) -> float:
        num = config.eval_samples
        latents = sample_latents(keys.watch, num, config.latent_dim)
        mixture = data.mixture(config.dataset)
        points = jax.device_get(generate(state, latents))
        return measures.shortfall(points, mixture.centres, mixture.sigma)

    evaluate = shortfall if config.dataset in data.MIXTURES else None
    return Experiment("gaussians", dataset, gan, draw, watch, warn, finish, evaluate, "shortfall")


def measure(dataset: str, points) -> dict[str, float]:
    """Count modes, high-quality share and KL of generated points; nothing for sets that are no mixtures."""
    from gan_jax import data
    from gan_jax.evaluation import coverage

    if dataset not in ("ring", "grid"):
        return {}
    mixture = data.mixture(dataset)
    covered = coverage.mixture_coverage(points, mixture.centres, mixture.sigma)
    return {
        "modes": float(covered.modes),
        "high_quality": float(covered.high_quality),
        "mode_kl": float(covered.kl),
    }


if __name__ == "__main__":
    program.run(main)
