"""All measures of images at once, each with its interval and beside what unseen real images reach."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from gan_jax.evaluation.bootstrap import Interval
from gan_jax.evaluation.features import FeatureNetwork, load_features
from gan_jax.evaluation.features_of_images import (
    Embedded,
    as_pixels,
    classes,
    copies,
    embed_images,
    frechet,
    kernel,
    manifold,
)
from gan_jax.evaluation.pixels_of_images import agreement, pixels
from gan_jax.evaluation.values import RESAMPLES, Values

# uint8 [N, ...] -> features [N, D], or features and class probabilities [N, K]
Embed = Callable[[np.ndarray], ArrayLike | tuple[ArrayLike, ArrayLike]]

PIXELS_ONLY = (pixels, copies)
WITH_FEATURES = (frechet, kernel, manifold)
WITH_CLASSES = (classes, agreement)


class Score(NamedTuple):
    """One number of generated samples.

    Attributes:
      value: the number.
      interval: of 95 %, over the samples; None where the measure has none.
      floor: the same measure of as many unseen real images, what a perfect sampler would score; of fewer, if there are
        no more, and then not quite comparable.
    """

    value: float
    interval: Interval | None
    floor: float


def evaluate(
    samples: ArrayLike,
    train: ArrayLike,
    unseen: ArrayLike,
    features: str | FeatureNetwork | Embed | None = None,
    *,
    resamples: int = RESAMPLES,
) -> dict[str, Score]:
    """Measure images, from wherever they come, against the images they are to be like.

    Every number is that of `experiments.evaluate`: Frechet and kernel distance, precision, recall, density, coverage,
    balance of classes and unsure ones, agreement with the nearest training image; distance of pixels, and copies.
    Compare only numbers of as many samples and of one feature network.

    Args:
      samples: generated images [N, H, W, C], N >= 11: uint8 pixels, or floats in [-1, 1].
      train: [T, H, W, C], likewise, what the generator was trained on.
      unseen: [M, H, W, C], real images that it never saw; at most N of them make the floor, the first ones, so put
        them in random order.
      features: a shipped network's name, "mnist" or "fashion_mnist" (images 28x28x1); one from `load_features`; a
        function of one's own from pixels uint8 [N, H, W, C] to features [N, D], or to those and class probabilities
        [N, K]; None for what needs pixels alone, of images of any shape.
      resamples: of a bootstrap interval; 0 for no intervals.

    Returns:
      Name -> Score.

    Raises:
      ValueError: the images differ in shape, are too few, not finite, or not in their range; or the features have
        another shape than [N, D].
    """
    images = [_pixels(*each) for each in (("train", train), ("unseen", unseen), ("samples", samples))]  # fmt: skip
    shapes = [each.shape[1:] for each in images]
    if len(set(shapes)) > 1:
        raise ValueError(f"train, unseen and samples must agree in shape per image, got {shapes}")
    images[1] = images[1][: len(images[2])]
    read, chosen = _reader(features)
    held_against, real, generated = (read(each) for each in images)
    values: Values = {}
    floors: Values = {}
    for measure in chosen(generated):
        values |= measure(held_against, real, generated, resamples)
        floors |= measure(held_against, real, real, 0)
    return _beside(values, floors)


def _beside(values: Values, floors: Values) -> dict[str, Score]:
    return {
        name: Score(value, interval, floors[name].value)
        for name, (value, interval) in values.items()
    }


def _pixels(name: str, images: ArrayLike) -> np.ndarray:
    images = np.asarray(images)
    if images.ndim != 4 or len(images) < 11:
        raise ValueError(f"{name} must have shape [N, H, W, C], N >= 11, got {images.shape}")
    if images.dtype == np.uint8:
        return images
    low, high = float(images.min()), float(images.max())
    if images.dtype.kind != "f" or not -1.001 <= low < 0 <= high <= 1.001:
        raise ValueError(
            f"{name} must be uint8 pixels or floats in [-1, 1], got {images.dtype} from {low:g} to {high:g}; map "
            "pictures in [0, 1] by 2 x - 1"
        )
    return as_pixels(images)


def _reader(features: str | FeatureNetwork | Embed | None) -> tuple[Callable, Callable]:
    if features is None:
        nothing = np.zeros((0, 0))
        return lambda images: Embedded(images, nothing, nothing), lambda read: PIXELS_ONLY
    if isinstance(features, str):
        features = load_features(features)
    if isinstance(features, FeatureNetwork):
        network = features
        return lambda images: embed_images(network, images), _applying
    return lambda images: _embedded(images, features(images)), _applying


def _embedded(images: np.ndarray, found: ArrayLike | tuple[ArrayLike, ArrayLike]) -> Embedded:
    vectors, probabilities = found if isinstance(found, tuple) else (found, np.zeros((0, 0)))
    return Embedded(images, np.asarray(vectors), np.asarray(probabilities))


def _applying(read: Embedded) -> tuple[Callable[..., Values], ...]:
    of_classes = WITH_CLASSES if len(read.probabilities) else ()
    return (*WITH_FEATURES, *of_classes, *PIXELS_ONLY)
