"""What is measured of a game with labels: is it the class that was asked for, and is each class like its own data?"""

from collections.abc import Iterator

import numpy as np

from experiments.measuring.measure import HIGHER, LOWER, NEITHER, Labelled, Measure
from gan_jax.evaluation.components import principal_components
from gan_jax.evaluation.frechet import feature_statistics, gaussian_frechet_distance
from gan_jax.evaluation.pixels_of_images import COMPONENTS
from gan_jax.evaluation.values import RESAMPLES, Value, Values, with_centred_interval, with_interval

FEWEST = 2  # samples of a class that have a covariance


def asked(
    train: Labelled, unseen: Labelled, samples: Labelled, resamples: int = RESAMPLES
) -> Values:
    """Share of samples that the frozen network reads as the class that was asked for.

    Args:
      train: not looked at.
      unseen: not looked at.
      samples: read with class `probabilities` [N, K].
      resamples: of the interval.
    """
    del train, unseen
    right = samples.read.probabilities.argmax(axis=1) == samples.labels
    return {"label_agreement": with_interval(right.mean(), np.mean, right, 5 * resamples)}


def features(
    train: Labelled, unseen: Labelled, samples: Labelled, resamples: int = RESAMPLES
) -> Values:
    """Frechet distance of features within each class, averaged over the classes; and the fewest samples of a class."""
    del unseen
    real, fake = (each._replace(read=np.asarray(each.read.features)) for each in (train, samples))
    return _within(real, fake, "", resamples)


def pixels(
    train: Labelled, unseen: Labelled, samples: Labelled, resamples: int = RESAMPLES
) -> Values:
    """Compute the same in the principal components of all training pixels, as a share of their variance there."""
    del unseen
    components = principal_components(train.read.images, COMPONENTS)
    real, fake = (
        each._replace(read=components.project(each.read.images)) for each in (train, samples)
    )
    return _within(real, fake, "pixel_", resamples)


def _within(real: Labelled, fake: Labelled, prefix: str, resamples: int) -> Values:
    counts = np.bincount(real.labels)
    classes = np.flatnonzero(counts >= FEWEST)
    references = {k: feature_statistics(real.read[real.labels == k]) for k in classes}
    found = np.bincount(fake.labels, minlength=len(counts))[classes]
    if not (found >= FEWEST).any():
        raise ValueError(f"no class has {FEWEST} samples: raise --num_samples")

    def mean_distance(indices: np.ndarray) -> float:
        distances = _distances(references, fake.read[indices], fake.labels[indices])
        return float(np.mean(list(distances)))

    everything = np.arange(len(fake.labels))
    value = mean_distance(everything)
    distance = with_centred_interval(value, mean_distance, everything, resamples)
    return {f"{prefix}class_frechet": distance, "class_samples": Value(float(found.min()))}


def _distances(
    references: dict[int, tuple[np.ndarray, np.ndarray]], fake: np.ndarray, labels: np.ndarray
) -> Iterator[float]:
    """Yield the distance of each class of which there are samples enough."""
    for k, reference in references.items():
        of_class = fake[labels == k]
        if len(of_class) >= FEWEST:
            yield gaussian_frechet_distance(*reference, *feature_statistics(of_class))


_COUNT = {"class_samples": NEITHER}
MEASURES = (
    Measure(
        *("asked", ("images", "spoken_digits"), {"label_agreement": HIGHER}, asked, 1),
        labelled=True, names_classes=True,
    ),
    Measure(
        "by_class", ("images", "spoken_digits"), {"class_frechet": LOWER, **_COUNT}, features, labelled=True
    ),
    Measure(
        *("pixels_by_class", ("images", "pictures", "sounds", "spoken_digits")),
        *({"pixel_class_frechet": LOWER, **_COUNT}, pixels), labelled=True,
    ),
)  # fmt: skip
