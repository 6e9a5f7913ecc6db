"""What is measured of runs on the Free Spoken Digit Dataset, as judges hear them: see `gan_jax.evaluation.judges`.

Everything is heard after the way back to a wave: a spectrogram's sample goes through Griffin-Lim and is drawn again,
and a wave is drawn as it is. The real recordings are heard as they are, so the floor is that of a generator that makes
perfect waves; experiments.sounds_protocol says what the way back costs.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from experiments.command.program import UserError
from experiments.measuring.measure import HIGHER, LOWER, Kind, Measure, Watch, Yardstick
from gan_jax import data, signals
from gan_jax.data import Dataset, Naming
from gan_jax.evaluation import spoken
from gan_jax.evaluation.judges import (
    DIGITS,
    SOUND,
    SPEAKERS,
    Heard,
    Judges,
    listen,
    load_judges,
)
from gan_jax.evaluation.values import RESAMPLES, Value, Values, with_centred_interval, with_interval

NAME = "spoken_digits"  # of the data set
DIGIT = r"(\d)_[a-z]+_\d+\.wav$"
SPEAKER = r"\d_([a-z]+)_\d+\.wav$"
TEST = r"_[0-4]\.wav$"  # recordings 0 to 4 of every speaker and digit
DIGIT_NAMES = tuple(str(digit) for digit in range(DIGITS))
NUM_SAMPLES, NUM_UNSEEN = 3_000, 300  # recordings in all, and in the test set


class HeardOf(NamedTuple):
    """What judges heard, and the probabilities of the classes that a game knows.

    Attributes:
      images: as `Heard` has them; so are `features`, `digits` and `speakers`.
      probabilities: f32[N, K + M], of the K classes, then of the M answers with a "none".
    """

    images: np.ndarray
    features: np.ndarray
    digits: np.ndarray
    speakers: np.ndarray
    probabilities: np.ndarray


class Recordings(NamedTuple):
    """Recordings f32[N, T] with their digits and speakers, i32[N]."""

    waves: np.ndarray
    digits: np.ndarray
    speakers: np.ndarray


def recordings(path: str, cache: str = "") -> tuple[Recordings, Recordings]:
    """Load the training recordings and those of the test set.

    Raises:
      DataError: they cannot be read.
      UserError: they are others.
    """
    by_digit, by_speaker = (
        data.load_waves(path, SOUND, Naming(label_by, held_out_names=TEST), cache=cache)
        for label_by in (DIGIT, SPEAKER)
    )
    names = (by_digit.train.class_names, by_speaker.train.class_names)
    if names != (DIGIT_NAMES, SPEAKERS):
        raise UserError(f"{path}: expected ten digits and {', '.join(SPEAKERS)}, got {names}")
    train, test = (
        Recordings(digit.images.reshape(len(digit.images), -1), digit.labels, speaker.labels)
        for digit, speaker in zip(by_digit, by_speaker, strict=True)
    )
    return train, test


def read(judges: Judges, samples: np.ndarray) -> Heard:
    """Let the judges hear samples.

    Args:
      judges: from `load_judges`.
      samples: recordings as pictures, uint8 [N, 64, 64, 1]; generated pictures, f32 of that shape in [-1, 1], which are
        led back to waves first; or waves f32 [N, 1, 6144, 1].
    """
    samples = np.asarray(samples)
    if samples.dtype != np.uint8 and samples.shape[1:] == SOUND.shape:
        samples = signals.to_waves(samples, SOUND)
    if samples.dtype != np.uint8:
        samples = signals.to_pictures(samples.reshape(len(samples), -1), SOUND)
    return listen(judges, samples)


def coverage(train: Heard, unseen: Heard, samples: Heard, resamples: int = RESAMPLES) -> Values:
    """Share of sounds that the judges are sure of; modes found, of 60; KL of all to uniform.

    Args:
      train: not looked at.
      unseen: not looked at.
      samples: what was heard.
      resamples: of the intervals.
    """
    del train, unseen
    landed = spoken.land(samples.digits, samples.speakers)
    shares = {
        "sure_digit": landed.sure_digit,
        "sure_speaker": landed.sure_speaker,
        "sure": landed.sure,
    }
    found = {
        name: with_interval(share.mean(), np.mean, share, 5 * resamples)
        for name, share in shares.items()
    }
    everything = np.arange(len(landed.modes))
    for name, statistic in (
        ("spoken_modes", spoken.modes_found),
        ("spoken_kl", spoken.kl_to_uniform),
    ):

        def of(indices: np.ndarray, statistic=statistic) -> float:
            return float(statistic(landed.take(indices)))

        found[name] = with_centred_interval(of(everything), of, everything, resamples)
    return found


def frechet(train: Heard, unseen: Heard, samples: Heard, resamples: int = RESAMPLES) -> Values:
    """Frechet distance to the training recordings' features, in parts as large as the unseen recordings are many."""
    del resamples  # a mean over parts; bootstrapped parts repeat sounds, which raises each distance
    return {"spoken_frechet": Value(_in_parts(train, samples, len(unseen.features)))}


def watch_frechet(train: Heard) -> Callable[[Heard], float]:
    """Make the function that --eval_every calls; a sample that is a spectrogram costs its way back."""
    return lambda samples: _in_parts(train, samples, NUM_UNSEEN)


def _in_parts(train: Heard, samples: Heard, size: int) -> float:
    size = min(size, len(samples.features))
    return spoken.frechet_of_parts(train.features, samples.features, size)


def yardstick(train: Dataset, features: str | None = None) -> Yardstick:
    """Let the judges hear the training recordings."""
    if features:
        raise UserError(
            f"--features={features}: spoken digits are heard by judges of their own: leave --features out"
        )
    judges = load_judges()
    of_classes = probabilities_of(train.class_names)

    def hear(samples: np.ndarray) -> HeardOf:
        heard = read(judges, samples)
        return HeardOf(*heard, heard.digits if of_classes is None else of_classes(heard))

    facts = {"features": "judges of spoken digits", "features_sha256": judges.sha256}
    return Yardstick(hear(train.images), hear, facts, knows_classes=of_classes is not None)


def probabilities_of(class_names: tuple[str, ...]) -> Callable[[Heard], np.ndarray] | None:
    """Find how the judges answer for classes.

    Args:
      class_names: ten digits; six speakers; or sixty modes, a digit by a speaker, as "0_george".

    Returns:
      `Heard -> ` probabilities f32[N, K + M] of the K classes in their order and of the M answers with a "none"; or
      None, where the judges know no such classes.
    """
    modes = tuple(f"{digit}_{speaker}" for digit in DIGIT_NAMES for speaker in SPEAKERS)
    ways: dict[tuple[str, ...], Callable[[Heard], np.ndarray]] = {
        DIGIT_NAMES: lambda heard: heard.digits,
        SPEAKERS: lambda heard: heard.speakers,
        modes: lambda heard: of_both(heard.digits, heard.speakers),
    }
    return ways.get(class_names)


def of_both(digits: np.ndarray, speakers: np.ndarray) -> np.ndarray:
    """Give each pair of two judges' answers the product of their probabilities.

    Args:
      digits: f32[N, K + 1], the last of "none".
      speakers: f32[N, S + 1], likewise.

    Returns:
      f32[N, (K + 1) * (S + 1)]: the pairs without a "none", digit * S + speaker, before those with one.
    """
    pairs = digits[:, :, None] * speakers[:, None, :]
    parts = (pairs[:, :-1, :-1], pairs[:, :-1, -1], pairs[:, -1, :])
    return np.concatenate([part.reshape(len(pairs), -1) for part in parts], axis=1)


def refusal(name: str, shape: tuple[int, ...]) -> str:
    """Say why sounds of another length cannot be judged."""
    del name
    shapes = (SOUND.shape, SOUND.wave_shape)
    return "" if shape in shapes else f"the judges hear samples of {' or '.join(map(str, shapes))}"


def unseen(test: Dataset, num: int) -> np.ndarray:
    """Take recordings of the test set."""
    return test.images[:num]


KIND = Kind(NAME, refusal, lambda config: NUM_SAMPLES, yardstick, unseen)
DIRECTIONS = dict.fromkeys(("sure_digit", "sure_speaker", "sure", "spoken_modes"), HIGHER)
DIRECTIONS |= {"spoken_kl": LOWER}
WATCH = Watch("spoken_frechet", watch_frechet)
MEASURES = (
    Measure("spoken", (NAME,), DIRECTIONS, coverage, 1),
    Measure("spoken_frechet", (NAME,), {"spoken_frechet": LOWER}, frechet, watch=WATCH),
)
