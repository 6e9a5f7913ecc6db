"""Pictures of one's own, of any size, and spectrograms: no frozen network was trained for them, so pixels count."""

from typing import NamedTuple

import numpy as np

from experiments.command.program import UserError
from experiments.measuring.measure import Kind, Yardstick
from gan_jax.data import Dataset
from gan_jax.evaluation.features_of_images import as_pixels

MOST = 10_000  # training pictures that samples are compared with


class Pixels(NamedTuple):
    """Images uint8 [N, H, W, C]."""

    images: np.ndarray


def read(images: np.ndarray) -> Pixels:
    """Take pixels, or images in [-1, 1] as the pixels they would be saved as."""
    return Pixels(as_pixels(images))


def refusal(name: str, shape: tuple[int, ...]) -> str:
    """Say why nothing can be measured of what is no picture."""
    del name
    return "" if len(shape) == 3 else "pixels are those of images [H, W, C]"


def yardstick(train: Dataset, features: str | None = None) -> Yardstick:
    """Take the pictures as they are; of very many some, so that they fit into memory as numbers."""
    if features:
        raise UserError(
            f"--features={features}: that network reads grey images of 28x28; of pictures of your own only pixels are "
            "measured: leave --features out"
        )
    facts = {"features": "none, pixels only"}
    images, total, chosen = train.images, len(train.images), None
    if total > MOST:
        chosen = np.sort(np.random.default_rng(0).choice(total, MOST, replace=False))
        images = images[chosen]
        facts["compared"] = f"{MOST:,} of {total:,} training pictures"
    return Yardstick(read(images), read, facts, chosen)


def unseen(test: Dataset, num: int) -> np.ndarray:
    """Take pictures that were held out."""
    return test.images[:num]


KIND = Kind("pictures", refusal, lambda config: 5_000, yardstick, unseen)
# Of sounds the spectrograms, as G makes them: not after the way back to a wave.
SOUNDS = KIND._replace(name="sounds")
