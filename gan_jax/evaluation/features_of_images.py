"""What is measured of images through a frozen network's features: each a function of real and generated ones."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from gan_jax.evaluation.balance import class_balance, classifier_score, unsure
from gan_jax.evaluation.features import FeatureNetwork, embed
from gan_jax.evaluation.frechet import (
    feature_statistics,
    frechet_distance,
    frechet_distance_infinity,
    gaussian_frechet_distance,
)
from gan_jax.evaluation.kernel import kernel_distance, kernel_distance_interval
from gan_jax.evaluation.manifold import manifold_membership
from gan_jax.evaluation.neighbours import memorisation
from gan_jax.evaluation.values import (
    RESAMPLES,
    Value,
    Values,
    with_centred_interval,
    with_interval,
)
from gan_jax.sampling import to_pixels

MANIFOLD_SAMPLES = 10_000  # of each kind, at most
COPY_SAMPLES = 1_000  # compared pixel by pixel with all training images, at most


def as_pixels(images: ArrayLike) -> np.ndarray:
    """Give images uint8 [N, ...] as they are, and generated ones in [-1, 1] as the pixels they would be saved as."""
    images = np.asarray(images)
    return images if images.dtype == np.uint8 else np.asarray(to_pixels(images))


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
    distance = frechet_to(train)
    return {
        "frechet": with_centred_interval(value, distance, samples.features, resamples),
        "frechet_infinity": Value(infinite),
    }


def frechet_to(train: Embedded) -> Callable[[np.ndarray], float]:
    """Make the function that gives the Frechet distance of features [N, D] to the training images'."""
    reference = feature_statistics(train.features)
    return lambda features: gaussian_frechet_distance(*reference, *feature_statistics(features))


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
