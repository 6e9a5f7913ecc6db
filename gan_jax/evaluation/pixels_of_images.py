"""What is measured of pictures without the eyes of a network: in the 64 principal components of the training pixels.

Whoever chose a recipe by the frozen features has trained on that judge, by hand. These numbers come from elsewhere:
pictures of any size and any number of channels, and no weights but the directions in which the training data vary.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from gan_jax.evaluation.components import Components, principal_components
from gan_jax.evaluation.frechet import feature_statistics, gaussian_frechet_distance
from gan_jax.evaluation.neighbours import neighbour_agreement
from gan_jax.evaluation.values import (
    RESAMPLES,
    Values,
    with_centred_interval,
    with_interval,
)

COMPONENTS = 64


def pixels(train: Any, unseen: Any, samples: Any, resamples: int = RESAMPLES) -> Values:
    """Frechet distance in the principal components of the training pixels, as a share of their variance there.

    Args:
      train: whatever has `images`, uint8 [N, ...]; so have the others.
      unseen: not looked at.
      samples: to measure.
      resamples: of the interval.
    """
    del unseen
    components = principal_components(train.images, COMPONENTS)
    distance = _distance_to(components, train)
    points = components.project(samples.images)
    value = distance(points)
    return {"pixel_frechet": with_centred_interval(value, distance, points, resamples)}


def _distance_to(components: Components, train: Any) -> Callable[[np.ndarray], float]:
    reference = feature_statistics(components.project(train.images))
    return lambda points: gaussian_frechet_distance(*reference, *feature_statistics(points))


def watch_pixels(train: Any) -> Callable[[Any], float]:
    """Make the function that gives the Frechet distance of pixels, with what depends on `train` done once."""
    components = principal_components(train.images, COMPONENTS)
    distance = _distance_to(components, train)
    return lambda samples: distance(components.project(samples.images))


def agreement(train: Any, unseen: Any, samples: Any, resamples: int = RESAMPLES) -> Values:
    """Share of samples that the frozen network reads as it reads the nearest training picture.

    Args:
      train: whatever has `images` [N, ...] and class `probabilities` [N, K]; so have the others.
      unseen: not looked at.
      samples: to measure.
      resamples: of the interval.
    """
    del unseen
    components = principal_components(train.images, COMPONENTS)
    (points, labels), (train_points, train_labels) = (
        (components.project(each.images), each.probabilities.argmax(axis=1))
        for each in (samples, train)
    )
    same = neighbour_agreement(points, labels, train_points, train_labels)
    return {"agreement": with_interval(same.mean(), np.mean, same, 5 * resamples)}
