"""What is measured of a generator: every value with its interval and with what real data reach. See `evaluate`.

A *floor* is the same measure, with the same number of samples, of unseen real data in the place of generated ones:
what a perfect generator would score. Intervals are 95 % bootstrap intervals over samples of this one run; they do not
tell how runs differ.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from gan_jax.evaluation.balance import class_balance, classifier_score
from gan_jax.evaluation.bootstrap import Interval, bootstrap_interval
from gan_jax.evaluation.coverage import mixture_coverage
from gan_jax.evaluation.features import FeatureNetwork, embed
from gan_jax.evaluation.frechet import (
    feature_statistics,
    frechet_distance,
    frechet_distance_infinity,
    gaussian_frechet_distance,
)
from gan_jax.evaluation.kernel import kernel_distance_over_subsets
from gan_jax.evaluation.manifold import manifold_membership
from gan_jax.evaluation.neighbours import memorisation

RESAMPLES = 200  # of a bootstrap interval
MANIFOLD_SAMPLES = 10_000  # of each kind, at most
COPY_SAMPLES = 1_000  # compared pixel by pixel with all training images, at most


class Value(NamedTuple):
    """A measure's value and its bootstrap interval."""

    value: float
    interval: Interval | None = None


Values = dict[str, Value]


class Embedded(NamedTuple):
    """Images [N, H, W, C] uint8 with their features [N, D] and class probabilities [N, K]."""

    images: np.ndarray
    features: np.ndarray
    probabilities: np.ndarray


def embed_images(network: FeatureNetwork, images: np.ndarray) -> Embedded:
    """Run images through a frozen network."""
    return Embedded(images, *embed(network, images))


def frechet(train: Embedded, unseen: Embedded, samples: Embedded) -> Values:
    """Frechet distance to the training images, and its extrapolation to infinitely many samples."""
    del unseen
    reference = feature_statistics(train.features)

    def distance(features: np.ndarray) -> float:
        return gaussian_frechet_distance(*reference, *feature_statistics(features))

    value = frechet_distance(train.features, samples.features)
    interval = bootstrap_interval(distance, samples.features, num_resamples=RESAMPLES)
    # Resampled sets repeat samples, which raises the distance: the interval is moved back around the value.
    shift = value - 0.5 * (interval.low + interval.high)
    fewest = max(2, len(samples.features) // 10)
    infinite = frechet_distance_infinity(train.features, samples.features, min_samples=fewest)
    return {
        "frechet": Value(value, Interval(interval.low + shift, interval.high + shift)),
        "frechet_infinity": Value(infinite),
    }


def kernel(train: Embedded, unseen: Embedded, samples: Embedded) -> Values:
    """Kernel distance to the training images: 100 random subsets of 1,000."""
    del unseen
    mean, error = kernel_distance_over_subsets(train.features, samples.features)
    return {"kernel": Value(mean, Interval(mean - 1.96 * error, mean + 1.96 * error))}


def manifold(train: Embedded, unseen: Embedded, samples: Embedded) -> Values:
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
        name: Value(float(share.mean()), bootstrap_interval(np.mean, share, num_resamples=1000))
        for name, share in shares.items()
    }


def classes(train: Embedded, unseen: Embedded, samples: Embedded) -> Values:
    """KL of the classes drawn to the training images' own, as the network reads both, and the classifier score."""
    del unseen
    num_classes = samples.probabilities.shape[1]
    counts = np.bincount(train.probabilities.argmax(axis=1), minlength=num_classes)

    def kl(labels: np.ndarray) -> float:
        return class_balance(labels, num_classes, reference=counts).kl

    labels, p = samples.probabilities.argmax(axis=1), samples.probabilities
    return {
        "class_kl": Value(kl(labels), bootstrap_interval(kl, labels, num_resamples=RESAMPLES)),
        "classifier_score": Value(
            classifier_score(p), bootstrap_interval(classifier_score, p, num_resamples=RESAMPLES)
        ),
    }


def copies(train: Embedded, unseen: Embedded, samples: Embedded) -> Values:
    """Distance in pixels to the nearest training image, over that of unseen real images; share of near copies."""
    found = memorisation(samples.images[:COPY_SAMPLES], train.images, unseen.images[:COPY_SAMPLES])
    return {"neighbour_ratio": Value(found.ratio), "copied": Value(found.copied)}


def frechet_to(network: FeatureNetwork, train_images: np.ndarray) -> Callable[[np.ndarray], float]:
    """Make the function that --eval_every calls: images in [-1, 1] -> Frechet distance to the training images."""
    reference = feature_statistics(embed(network, train_images)[0])

    def distance(images: np.ndarray) -> float:
        return gaussian_frechet_distance(*reference, *feature_statistics(embed(network, images)[0]))

    return distance


ImageMeasure = Callable[[Embedded, Embedded, Embedded], Values]
IMAGE_MEASURES: Mapping[str, ImageMeasure] = {
    "frechet": frechet,
    "kernel": kernel,
    "manifold": manifold,
    "classes": classes,
    "copies": copies,
}


def modes(points: np.ndarray, centres: np.ndarray, sigma: float) -> Values:
    """Modes found, high-quality share and KL of points [N, 2]."""

    def measured(points: np.ndarray) -> dict[str, float]:
        found = mixture_coverage(points, centres, sigma)
        return {
            "modes": float(found.modes),
            "high_quality": found.high_quality,
            "mode_kl": found.kl,
        }

    return {
        name: Value(
            value,
            bootstrap_interval(lambda p, n=name: measured(p)[n], points, num_resamples=RESAMPLES),
        )
        for name, value in measured(points).items()
    }


def shortfall(points: np.ndarray, centres: np.ndarray, sigma: float) -> float:
    """Sum what points [N, 2] lack in evenness and in quality: KL + 1 - high-quality share."""
    found = mixture_coverage(points, centres, sigma)
    return found.kl + 1.0 - found.high_quality
