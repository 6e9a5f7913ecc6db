"""Pictures of one's own, of any size.

No frozen network comes with the package for them, so pixels count; with one of one's own (experiments.train_features)
they are measured as 28x28 images are.
"""

from typing import NamedTuple

import numpy as np

from experiments.command.program import UserError
from experiments.measuring.grey_images import through
from experiments.measuring.measure import Kind, Yardstick, frozen_network
from gan_jax.data import Dataset
from gan_jax.evaluation.features_of_images import as_pixels

MOST = 10_000  # training pictures that samples are compared with
MOST_BYTES = 2**30  # of them


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
            f"--features={features}: no network reads spectrograms; only their pixels are measured: leave it out"
        )
    chosen, facts = some_of(train)
    images = train.images if chosen is None else train.images[chosen]
    return Yardstick(read(images), read, {"features": "none, pixels only", **facts}, chosen)


def seen_yardstick(train: Dataset, features: str | None = None) -> Yardstick:
    """Read pictures, of very many some, through the network that is named."""
    network = frozen_network(train.name, features, train.images.shape[1:])
    chosen, facts = some_of(train)
    found = through(network, train, chosen)
    return found._replace(facts={**found.facts, **facts})


def some_of(train: Dataset) -> tuple[np.ndarray | None, dict[str, str]]:
    """Choose training pictures, where all do not fit into memory as numbers; None is all of them."""
    total, each = len(train.images), max(1, train.images[0].nbytes)
    most = min(MOST, max(2, MOST_BYTES // each))
    if total <= most:
        return None, {}
    chosen = np.sort(np.random.default_rng(0).choice(total, most, replace=False))
    return chosen, {"compared": f"{most:,} of {total:,} training pictures"}


def unseen(test: Dataset, num: int) -> np.ndarray:
    """Take pictures that were held out."""
    return test.images[:num]


SEEN = Kind("images", refusal, lambda config: 5_000, seen_yardstick, unseen)
KIND = Kind("pictures", refusal, lambda config: 5_000, yardstick, unseen, seen=SEEN)
