"""Train a GAN on 28x28 images: the tutorial's DCGAN, or a recipe of ours.

    python -m experiments.mnist --flagfile=experiments/flags/digits.flags        # built-in digits, no download
    python -m experiments.mnist --flagfile=experiments/flags/mnist.flags         # MNIST, our recipe
    python -m experiments.mnist --flagfile=experiments/flags/mnist_article.flags # MNIST, the tutorial's recipe

Each line of the log holds the tutorial's dis_acc and gan_acc on held-out images: how sure D is on average. A game
in balance keeps both away from 0 and 1; when they drift apart, a line says who is winning. Results, minutes and
hardware, where measured: experiments/README.md.
"""

from pathlib import Path

from experiments.command import config as configs
from experiments.command import program
from experiments.many import members

members.define_flags()

GRID = 25  # samples of a picture, 5x5 as in the tutorial
HELD_OUT = 100  # images on which the balance is watched


def main() -> int:
    """Train on the images that the flags name."""
    import dataclasses

    from experiments.command import devices, game
    from experiments.many import train as population
    from gan_jax import data

    config = configs.from_flags()
    workdir = config.workdir or f"runs/mnist-{config.dataset}-{members.default_name(config)}"
    config = dataclasses.replace(config, workdir=workdir)
    devices.join(config)
    place = {"data_dir": config.data_dir, "download": config.download, "warn": print}
    dataset = data.load(config.dataset, split="train", **place)
    held_out = data.load(config.dataset, split="test", **place)
    if dataset.images.ndim != 4:
        raise program.UserError(f"{config.dataset} holds points: use experiments.gaussians")

    def prepare(config: configs.Config):
        gan = game.build_gan(config, dataset.images.shape[1:])
        return make_experiment(config, dataset, held_out, gan)

    return population.train(config, prepare)


def make_experiment(config: configs.Config, dataset, held_out, gan):
    """Say what the loop draws and watches."""
    import jax
    import jax.numpy as jnp

    from experiments.command.experiment import Experiment, run_keys
    from gan_jax import plots
    from gan_jax.evaluation import balance
    from gan_jax.sampling import sample, sample_latents, to_signed

    keys = run_keys(config.seed)
    latents = sample_latents(keys.samples, 4 * GRID, config.latent_dim)
    watched_latents = sample_latents(keys.watch, HELD_OUT, config.latent_dim)
    real = to_signed(jnp.asarray(held_out.images[:HELD_OUT]))
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

    measure = _frechet(config, dataset, generate) if config.eval_every else None
    return Experiment("mnist", dataset, gan, draw, watch, warn, finish, measure, "frechet")


def _frechet(config: configs.Config, dataset, generate):
    """Measure samples by the frozen network of the data set, or by that of MNIST; None for other sizes than 28x28."""
    import jax
    import numpy as np

    from experiments.command.experiment import run_keys
    from experiments.measuring import measures
    from gan_jax.evaluation.features import IMAGE_SHAPE, SHA256, load_features
    from gan_jax.sampling import sample_latents

    if dataset.images.shape[1:] != IMAGE_SHAPE:
        return None
    network = load_features(dataset.name if dataset.name in SHA256 else "mnist")
    distance = measures.frechet_to(network, dataset.images)
    latents = sample_latents(run_keys(config.seed).watch, config.eval_samples, config.latent_dim)

    def measure(state) -> float:
        batches = np.array_split(latents, max(1, len(latents) // 250))
        return distance(np.concatenate([jax.device_get(generate(state, z)) for z in batches]))

    return measure


if __name__ == "__main__":
    program.run(main)
