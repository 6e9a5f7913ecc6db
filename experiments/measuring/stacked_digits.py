"""What is measured of StackedMNIST samples: which of 1,000 triples of digits they show, and how evenly.

Each channel is read by the frozen classifier of the data set. Its mistakes invent modes and flatten or sharpen the
histogram, so every figure is to be read beside its floor, the same measure of real triples.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np

from experiments.command.program import UserError
from experiments.measuring.measure import (
    HIGHER,
    LOWER,
    Kind,
    Measure,
    Watch,
    Yardstick,
    frozen_network,
    network_facts,
)
from gan_jax.data import Dataset
from gan_jax.evaluation.balance import unsure
from gan_jax.evaluation.coverage import histogram_kl, stacked_coverage
from gan_jax.evaluation.features import IMAGE_SHAPE, FeatureNetwork, embed
from gan_jax.evaluation.features_of_images import as_pixels
from gan_jax.evaluation.values import RESAMPLES, Value, Values, with_centred_interval, with_interval
from gan_jax.sampling import sample_triples
from gan_jax.types import Batch


def read(network: FeatureNetwork, samples: np.ndarray) -> np.ndarray:
    """Give the class probabilities [N, 3, 10] of the channels of samples [N, 28, 28, 3], pixels or in [-1, 1]."""
    channels = np.moveaxis(as_pixels(samples), 3, 1).reshape(-1, 28, 28, 1)
    return embed(network, channels, signed=True)[1].reshape(-1, 3, 10)


def frequencies(labels: np.ndarray) -> np.ndarray:
    """Give the share [1000] of each triple among independent draws of labels: 'abc' at 100 a + 10 b + c.

    Raises:
      UserError: a label is no digit.
    """
    if labels.min() < 0 or labels.max() > 9:
        raise UserError(
            f"the labels of the data lie in {labels.min()}..{labels.max()}: triples are made of digits 0..9"
        )
    share = np.bincount(labels, minlength=10) / len(labels)
    return np.einsum("a,b,c->abc", share, share, share).reshape(-1)


def coverage(
    train: np.ndarray, unseen: np.ndarray, samples: np.ndarray, resamples: int = RESAMPLES
) -> Values:
    """Count modes and compute both KL and the unsure share, with their intervals.

    Args:
      train: [1000], shares of the triples among the training digits.
      unseen: not looked at.
      samples: class probabilities [N, 3, 10], from `read`.
      resamples: of the intervals.

    Returns:
      `modes`; `mode_kl` to uniform (the published figure); `mode_kl_digits` to the training digits' frequencies, which
      a perfect sampler has; `unsure`, the share of digits of which the classifier is less than 90 % sure.
    """
    del unseen
    codes = samples.argmax(axis=-1) @ np.array([100, 10, 1])

    def over_codes(statistic: Callable[[np.ndarray], float]) -> Value:
        def of(codes: np.ndarray) -> float:
            return statistic(np.bincount(codes, minlength=1000))

        return with_centred_interval(of(codes), of, codes, resamples)

    doubtful = unsure(samples).mean(axis=1)
    return {
        "modes": over_codes(lambda counts: float((counts > 0).sum())),
        "mode_kl": over_codes(lambda counts: histogram_kl(counts, np.ones(1000))),
        "mode_kl_digits": over_codes(lambda counts: histogram_kl(counts, train)),
        "unsure": with_interval(doubtful.mean(), np.mean, doubtful, 5 * resamples),
    }


def watch_kl(train: np.ndarray) -> Callable[[np.ndarray], float]:
    """Make the function that --eval_every calls: KL to uniform."""
    del train
    return lambda samples: stacked_coverage(samples).kl


def refusal(name: str, shape: tuple[int, ...]) -> str:
    """Say why no triples of digits can be read."""
    triple = (*IMAGE_SHAPE[:2], 3)
    return "" if shape == triple else f"digits are read from images {triple}"


def yardstick(train: Dataset, features: str | None = None) -> Yardstick:
    """Take the frequencies of the training digits' triples, and the network that reads digits."""
    network = frozen_network(train.name, features)
    return Yardstick(frequencies(train.labels), partial(read, network), network_facts(network))


def unseen(test: Dataset, num: int) -> np.ndarray:
    """Draw triples of test digits."""
    draw = jax.jit(partial(sample_triples, num=num))
    return np.asarray(draw(jax.random.key(0), Batch(test.images)).images)


def num_samples(config: Any) -> int:
    """Give the published number: of the unrolled networks' table, or of the other one."""
    return 25_600 if config.network == "unrolled" else 26_000


KIND = Kind("stacked_digits", refusal, num_samples, yardstick, unseen)
DIRECTIONS = {"modes": HIGHER, "mode_kl": LOWER, "mode_kl_digits": LOWER, "unsure": LOWER}
MEASURES = (
    Measure("stacked", ("stacked_digits",), DIRECTIONS, coverage, 1, Watch("mode_kl", watch_kl)),
)
