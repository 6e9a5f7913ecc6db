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

from experiments.command.config import Config
from experiments.command.experiment import Experiment, Observer, Source
from experiments.command.game import build_gan
from experiments.many.train import train
from experiments.measuring import image_observer
from gan_jax import data
from gan_jax.types import GAN


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


def build(config: Config, sample_shape: tuple[int, ...], num_classes: int = 0) -> GAN:
    """Assemble the game that the flags describe."""
    return build_gan(config, sample_shape, num_classes)


def observe(config: Config, source: Source, gan: GAN) -> Observer:
    """Say what is drawn and watched: a grid of samples, and the balance of the game."""
    return image_observer.observe(config, source, gan, kind=EXPERIMENT.kind)


EXPERIMENT = Experiment("mnist", "images", load, build, observe)

if __name__ == "__main__":
    program.run(main)
