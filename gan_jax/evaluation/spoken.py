"""How well sounds cover spoken digits: 60 modes, ten digits by six speakers, as two judges hear them.

A sound lands on the digit and the speaker that are likeliest among those that are none of "none". It is *sure* if both
judges give what they name a probability of 0.9 or more, "none" left in. A mode is found if at least a tenth of its fair
share of all sounds, 5 of 3,000, are sure and land there: a single one proves little (of 3,000 draws of a Gaussian with
32 components some land on 52 of 60 modes).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from gan_jax.evaluation.balance import SURE
from gan_jax.evaluation.checks import as_probabilities
from gan_jax.evaluation.coverage import histogram_kl
from gan_jax.evaluation.frechet import feature_statistics, gaussian_frechet_distance

FOUND = 0.1  # of a mode's fair share


class Landed(NamedTuple):
    """Where sounds land.

    Attributes:
      modes: int64[N], digit * speakers + speaker.
      sure: bool[N], of both.
      sure_digit: bool[N].
      sure_speaker: bool[N].
      num_modes: how many there are.
    """

    modes: np.ndarray
    sure: np.ndarray
    sure_digit: np.ndarray
    sure_speaker: np.ndarray
    num_modes: int

    def take(self, indices: np.ndarray) -> "Landed":
        """Choose some, in this order."""
        chosen = (self.sure[indices], self.sure_digit[indices], self.sure_speaker[indices])
        return Landed(self.modes[indices], *chosen, self.num_modes)


def land(digits: ArrayLike, speakers: ArrayLike) -> Landed:
    """Say where sounds land.

    Args:
      digits: class probabilities [N, K + 1], N >= 1, the last of "none".
      speakers: [N, S + 1], likewise.

    Raises:
      ValueError: other shapes, or rows that are no probabilities.
    """
    digits = as_probabilities("digits", digits, ndim=2)
    speakers = as_probabilities("speakers", speakers, ndim=2)
    if len(digits) != len(speakers) or min(digits.shape[1], speakers.shape[1]) < 2:
        raise ValueError(
            f"expected [N, K + 1] and [N, S + 1], got {digits.shape}, {speakers.shape}"
        )
    of_digits, of_speakers = digits[:, :-1], speakers[:, :-1]
    digit, speaker = (each.max(axis=1) >= SURE for each in (of_digits, of_speakers))
    modes = of_digits.argmax(axis=1) * of_speakers.shape[1] + of_speakers.argmax(axis=1)
    num_modes = of_digits.shape[1] * of_speakers.shape[1]
    return Landed(modes, digit & speaker, digit, speaker, num_modes)


def modes_found(landed: Landed) -> int:
    """Count the modes that hold a tenth of their fair share, and at least one, of sure sounds."""
    fewest = max(1.0, FOUND * len(landed.modes) / landed.num_modes)
    counts = np.bincount(landed.modes[landed.sure], minlength=landed.num_modes)
    return int((counts >= fewest).sum())


def kl_to_uniform(landed: Landed) -> float:
    """Give KL(share of all sounds that land on each mode || uniform), nats, whether sure or not.

    A perfect sampler's is about (modes - 1) / (2 N): 0.0098 for 60 modes and 3,000 sounds.
    """
    counts = np.bincount(landed.modes, minlength=landed.num_modes)
    return histogram_kl(counts, np.ones(landed.num_modes))


def frechet_of_parts(reference: ArrayLike, features: ArrayLike, size: int) -> float:
    """Give the Frechet distance to a reference, averaged over disjoint parts of one size.

    The distance hangs on the number of samples. Generated sounds are many and unseen recordings few: in parts as large
    as there are recordings both are measured alike.

    Args:
      reference: [M, D], features of the training recordings.
      features: [N, D].
      size: of a part, at least 2; what is left over is not looked at.

    Raises:
      ValueError: there is no part of that size.
    """
    features = np.asarray(features)
    if not 2 <= size <= len(features):
        raise ValueError(f"parts must have 2 to {len(features)} samples, got {size}")
    statistics = feature_statistics(reference)
    parts = [features[i : i + size] for i in range(0, len(features) - size + 1, size)]
    distances = [gaussian_frechet_distance(*statistics, *feature_statistics(p)) for p in parts]
    return float(np.mean(distances))
