"""What is measured of grey images of 28x28, through a frozen network's features: see `evaluate`."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from experiments.measuring.measure import (
    HIGHER,
    LOWER,
    NEITHER,
    RESAMPLES,
    Kind,
    Measure,
    Value,
    Values,
    Watch,
    Yardstick,
    as_pixels,
    frozen_network,
    network_facts,
    with_centred_interval,
    with_interval,
)
from gan_jax.data import Dataset
from gan_jax.evaluation.balance import class_balance, classifier_score, unsure
from gan_jax.evaluation.features import IMAGE_SHAPE, FeatureNetwork, embed
from gan_jax.evaluation.frechet import (
    feature_statistics,
    frechet_distance,
    frechet_distance_infinity,
    gaussian_frechet_distance,
)
from gan_jax.evaluation.kernel import kernel_distance, kernel_distance_interval
from gan_jax.evaluation.manifold import manifold_membership
from gan_jax.evaluation.neighbours import memorisation, nearest_neighbours

MANIFOLD_SAMPLES = 10_000  # of each kind, at most
COPY_SAMPLES = 1_000  # compared pixel by pixel with all training images, at most
NEIGHBOURS_SHOWN = (10, 5)  # samples, and training images beside each


class Embedded(NamedTuple):
    """Images [N, H, W, C] uint8 with their features [N, D] and class probabilities [N, K]."""

    images: np.ndarray
    features: np.ndarray
    probabilities: np.ndarray


def embed_images(network: FeatureNetwork, images: np.ndarray) -> Embedded:
    """Run images, as pixels or in [-1, 1], through a frozen network that sees them as pixels."""
    pixels = as_pixels(images)
    return Embedded(pixels, *embed(network, pixels))


def take(embedded: Embedded, indices: np.ndarray) -> Embedded:
    """Choose some, in this order."""
    return Embedded(*(part[indices] for part in embedded))


def frechet(
    train: Embedded, unseen: Embedded, samples: Embedded, resamples: int = RESAMPLES
) -> Values:
    """Frechet distance to the training images, and its extrapolation to infinitely many samples."""
    del unseen
    fewest = max(2, len(samples.features) // 10)
    infinite = frechet_distance_infinity(train.features, samples.features, min_samples=fewest)
    value = frechet_distance(train.features, samples.features)
    distance = _distance_to(train)
    return {
        "frechet": with_centred_interval(value, distance, samples.features, resamples),
        "frechet_infinity": Value(infinite),
    }


def _distance_to(train: Embedded) -> Callable[[np.ndarray], float]:
    reference = feature_statistics(train.features)
    return lambda features: gaussian_frechet_distance(*reference, *feature_statistics(features))


def watch_frechet(train: Embedded) -> Callable[[Embedded], float]:
    """Make the function that --eval_every calls."""
    distance = _distance_to(train)
    return lambda samples: distance(samples.features)


def kernel(
    train: Embedded, unseen: Embedded, samples: Embedded, resamples: int = RESAMPLES
) -> Values:
    """Kernel distance to the training images, with an interval over the samples by its own variance."""
    del unseen
    if not resamples:
        return {"kernel": Value(kernel_distance(train.features, samples.features))}
    found = kernel_distance_interval(train.features, samples.features)
    return {"kernel": Value(found.value, found.interval)}


def manifold(
    train: Embedded, unseen: Embedded, samples: Embedded, resamples: int = RESAMPLES
) -> Values:
    """Precision, recall, density, coverage against as many training images; k = 5."""
    del unseen
    num = min(len(samples.features), len(train.features), MANIFOLD_SAMPLES)
    chosen = np.random.default_rng(0).choice(len(train.features), num, replace=False)
    member = manifold_membership(train.features[chosen], samples.features[:num])
    shares = {
        "precision": member.balls_around > 0,
        "recall": member.recalled,
        "density": member.balls_around / member.k,
        "coverage": member.covered,
    }
    return {
        name: with_interval(share.mean(), np.mean, share, 5 * resamples)
        for name, share in shares.items()
    }


def classes(
    train: Embedded, unseen: Embedded, samples: Embedded, resamples: int = RESAMPLES
) -> Values:
    """KL of the classes drawn to the training images' own, as the network reads both; score; unsure share."""
    del unseen
    num_classes = samples.probabilities.shape[1]
    counts = np.bincount(train.probabilities.argmax(axis=1), minlength=num_classes)

    def kl(labels: np.ndarray) -> float:
        return class_balance(labels, num_classes, reference=counts).kl

    labels, p = samples.probabilities.argmax(axis=1), samples.probabilities
    doubtful = unsure(p)
    return {
        "class_kl": with_interval(kl(labels), kl, labels, resamples),
        "classifier_score": with_interval(classifier_score(p), classifier_score, p, resamples),
        "unsure": with_interval(doubtful.mean(), np.mean, doubtful, 5 * resamples),
    }


def copies(
    train: Embedded, unseen: Embedded, samples: Embedded, resamples: int = RESAMPLES
) -> Values:
    """Distance in pixels to the nearest training image, over that of unseen real images; share of near copies."""
    del resamples
    found = memorisation(samples.images[:COPY_SAMPLES], train.images, unseen.images[:COPY_SAMPLES])
    return {"neighbour_ratio": Value(found.ratio), "copied": Value(found.copied)}


def draw_neighbours(train: Embedded, samples: Embedded, folder: Path) -> None:
    """Draw samples beside their nearest training images."""
    from gan_jax import plots

    rows, columns = NEIGHBOURS_SHOWN
    shown, columns = samples.images[:rows], min(columns, len(train.images))
    indices, _ = nearest_neighbours(shown, train.images, k=columns)
    pictures = np.concatenate([shown[:, None], train.images[indices]], axis=1)
    plots.save_interpolation(pictures, folder / "neighbours.png")


def refusal(name: str, shape: tuple[int, ...]) -> str:
    """Say why nothing can be measured of images of another shape."""
    del name
    return "" if shape == IMAGE_SHAPE else f"the frozen networks read images {IMAGE_SHAPE}"


def yardstick(train: Dataset, features: str | None = None) -> Yardstick:
    """Read the training images through the data set's own network, MNIST's, or the one that is named."""
    network = frozen_network(train.name, features)

    def read(images: np.ndarray) -> Embedded:
        return embed_images(network, images)

    return Yardstick(read(train.images), read, network_facts(network))


def unseen(test: Dataset, num: int) -> np.ndarray:
    """Take test images. The published sets are not in random order."""
    return test.images[np.random.default_rng(0).permutation(len(test.images))[:num]]


KIND = Kind("images", refusal, lambda config: 10_000, yardstick, unseen)

# The nearest training images say how near copies come; neither nearer nor farther is better by itself.
COPY_DIRECTIONS = {"neighbour_ratio": NEITHER, "copied": LOWER}
CLASS_DIRECTIONS = {"class_kl": LOWER, "classifier_score": HIGHER, "unsure": LOWER}
MANIFOLD_DIRECTIONS = dict.fromkeys(("precision", "recall", "density", "coverage"), HIGHER)
MEASURES = (
    Measure(
        "frechet", ("images",), {"frechet": LOWER, "frechet_infinity": LOWER}, frechet, fewest=3,
        watch=Watch("frechet", watch_frechet),
    ),
    Measure("kernel", ("images",), {"kernel": LOWER}, kernel, fewest=4),
    Measure("manifold", ("images",), MANIFOLD_DIRECTIONS, manifold, fewest=6),
    Measure("classes", ("images",), CLASS_DIRECTIONS, classes, 1),
    Measure("copies", ("images", "pictures", "sounds"), COPY_DIRECTIONS, copies, 1, draw=draw_neighbours),
)  # fmt: skip
