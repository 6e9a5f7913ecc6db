"""What is measured of StackedMNIST samples: which of 1,000 triples of digits they show, and how evenly.

Each channel is read by the frozen classifier of the data set. Its mistakes invent modes and flatten or sharpen the
histogram, so every figure is to be read beside its floor, the same measure of real triples.
"""

from functools import partial

import jax
import numpy as np

from experiments.measuring.measures import RESAMPLES, Value, Values
from gan_jax import data
from gan_jax.evaluation.bootstrap import Interval, bootstrap_interval
from gan_jax.evaluation.coverage import histogram_kl, stacked_coverage
from gan_jax.evaluation.features import SHA256, FeatureNetwork, embed, load_features
from gan_jax.sampling import sample_triples

UNSURE = 0.9  # a digit is read unsurely if no class has this probability


def classifier(dataset: str) -> FeatureNetwork:
    """Load the network that reads the digits: the data set's own, or that of MNIST."""
    return load_features(dataset if dataset in SHA256 else "mnist")


def read(network: FeatureNetwork, samples: np.ndarray) -> np.ndarray:
    """Give the class probabilities [N, 3, 10] of the channels of samples [N, 28, 28, 3]."""
    channels = np.moveaxis(np.asarray(samples), 3, 1).reshape(-1, 28, 28, 1)
    return embed(network, channels)[1].reshape(-1, 3, 10)


def frequencies(labels: np.ndarray) -> np.ndarray:
    """Give the share [1000] of each triple among independent draws of labels: 'abc' at 100 a + 10 b + c."""
    share = np.bincount(labels, minlength=10) / len(labels)
    return np.einsum("a,b,c->abc", share, share, share).reshape(-1)


def coverage(probabilities: np.ndarray, labels: np.ndarray) -> Values:
    """Count modes and compute both KL and the unsure share, with their intervals.

    Args:
      probabilities: [N, 3, 10], from `read`.
      labels: [M], of the training images.

    Returns:
      `modes`; `mode_kl` to uniform (the published figure); `mode_kl_digits` to the training digits' frequencies, which
      a perfect sampler has; `unsure`, the share of digits of which the classifier is less than 90 % sure.
    """
    codes = probabilities.argmax(axis=-1) @ np.array([100, 10, 1])
    found = stacked_coverage(probabilities)
    expected = frequencies(labels)

    def counts(codes: np.ndarray) -> np.ndarray:
        return np.bincount(codes, minlength=1000)

    def interval(statistic, value: float) -> Value:
        # Resampled sets repeat samples, which loses modes and raises KL: moved back around the value.
        low, high = bootstrap_interval(statistic, codes, num_resamples=RESAMPLES)
        shift = value - 0.5 * (low + high)
        return Value(value, Interval(low + shift, high + shift))

    unsure = (probabilities.max(axis=-1) < UNSURE).mean(axis=1)
    return {
        "modes": interval(lambda c: float((counts(c) > 0).sum()), float(found.modes)),
        "mode_kl": interval(lambda c: histogram_kl(counts(c), np.ones(1000)), found.kl),
        "mode_kl_digits": interval(
            lambda c: histogram_kl(counts(c), expected), histogram_kl(counts(codes), expected)
        ),
        "unsure": Value(float(unsure.mean()), bootstrap_interval(np.mean, unsure)),
    }


def evaluate(dataset: str, data_dir: str, samples: np.ndarray) -> tuple[dict, Values, Values]:
    """Measure samples [N, 28, 28, 3], and as many triples of test images in their place.

    Returns:
      The facts of the classifier, the values, and the floors.
    """
    network = classifier(dataset)
    train, test = (
        data.load(dataset, split=split, data_dir=data_dir) for split in ("train", "test")
    )
    draw = jax.jit(partial(sample_triples, num=len(samples)))
    unseen = draw(jax.random.key(0), test.images)
    values, floors = (coverage(read(network, images), train.labels) for images in (samples, unseen))
    return {"features": network.name, "features_sha256": network.sha256}, values, floors
