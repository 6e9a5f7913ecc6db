"""What is measured of images through a frozen network's features, of 28x28 ones or of one's own: see `evaluate`."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from experiments.measuring.measure import (
    HIGHER,
    LOWER,
    NEITHER,
    Kind,
    Measure,
    Watch,
    Yardstick,
    frozen_network,
    network_facts,
)
from gan_jax.data import Dataset
from gan_jax.evaluation.features import IMAGE_SHAPE, FeatureNetwork
from gan_jax.evaluation.features_of_images import (
    Embedded,
    classes,
    copies,
    embed_images,
    frechet,
    frechet_to,
    kernel,
    manifold,
)
from gan_jax.evaluation.neighbours import nearest_neighbours

NEIGHBOURS_SHOWN = (10, 5)  # samples, and training images beside each


def watch_frechet(train: Embedded) -> Callable[[Embedded], float]:
    """Make the function that --eval_every calls."""
    distance = frechet_to(train)
    return lambda samples: distance(samples.features)


def draw_neighbours(train: Embedded, samples: Embedded, folder: Path) -> None:
    """Draw samples beside their nearest training images."""
    from gan_jax import plots

    rows, columns = NEIGHBOURS_SHOWN
    shown, columns = samples.images[:rows], min(columns, len(train.images))
    indices, _ = nearest_neighbours(shown, train.images, k=columns)
    pictures = np.concatenate([shown[:, None], train.images[indices]], axis=1)
    title = "first column: generated; then the nearest training images"
    plots.save_interpolation(pictures, folder / "neighbours.png", title=title)


def refusal(name: str, shape: tuple[int, ...]) -> str:
    """Say why nothing can be measured of images of another shape."""
    del name
    return "" if shape == IMAGE_SHAPE else f"the frozen networks read images {IMAGE_SHAPE}"


def yardstick(train: Dataset, features: str | None = None) -> Yardstick:
    """Read the training images through the data set's own network, MNIST's, or the one that is named."""
    return through(frozen_network(train.name, features, train.images.shape[1:]), train)


def unseen(test: Dataset, num: int) -> np.ndarray:
    """Take test images. The published sets are not in random order."""
    return test.images[np.random.default_rng(0).permutation(len(test.images))[:num]]


def through(network: FeatureNetwork, train: Dataset, chosen: np.ndarray | None = None) -> Yardstick:
    """Read images through a network, whose class probabilities are put into the order of the data's classes.

    Args:
      network: reads images of this shape.
      train: the training data.
      chosen: which of them are compared; None: all.
    """
    order = _order_of_classes(network.class_names, train.class_names)
    knows = order is not None or not network.class_names or not train.class_names

    def read(images: np.ndarray) -> Embedded:
        found = embed_images(network, images)
        return (
            found if order is None else found._replace(probabilities=found.probabilities[:, order])
        )

    images = train.images if chosen is None else train.images[chosen]
    return Yardstick(read(images), read, network_facts(network), chosen, knows)


def _order_of_classes(known: tuple[str, ...], wanted: tuple[str, ...]) -> list[int] | None:
    """Put the wanted classes first, all others behind; None where some are not known."""
    if not set(wanted) <= set(known):
        return None
    first = [known.index(name) for name in wanted]
    return first + [number for number in range(len(known)) if number not in first]


KIND = Kind(
    "images", refusal, lambda config: 10_000, yardstick, unseen,
    seen=Kind("images", lambda name, shape: "", lambda config: 10_000, yardstick, unseen),
)  # fmt: skip

# The nearest training images say how near copies come; neither nearer nor farther is better by itself.
COPY_DIRECTIONS = {"neighbour_ratio": NEITHER, "copied": LOWER}
CLASS_DIRECTIONS = {"class_kl": LOWER, "classifier_score": HIGHER, "unsure": LOWER}
MANIFOLD_DIRECTIONS = dict.fromkeys(("precision", "recall", "density", "coverage"), HIGHER)
MEASURES = (
    Measure(
        "frechet", ("images",), {"frechet": LOWER, "frechet_infinity": LOWER}, frechet, fewest=3,
        watch=Watch("frechet", watch_frechet),
    ),
    Measure("kernel", ("images", "spoken_digits"), {"kernel": LOWER}, kernel, fewest=4),
    Measure("manifold", ("images",), MANIFOLD_DIRECTIONS, manifold, fewest=6),
    Measure("classes", ("images",), CLASS_DIRECTIONS, classes, 1),
    Measure(
        "copies", ("images", "pictures", "sounds", "spoken_digits"), COPY_DIRECTIONS, copies, 1, draw=draw_neighbours
    ),
)  # fmt: skip
