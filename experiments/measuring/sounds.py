"""Sounds of one's own: the pixels of their spectrograms count; spoken digits are heard by judges besides."""

from functools import cache
from typing import Any

import numpy as np

from experiments.command import own_data
from experiments.measuring import pictures, spoken_digits
from experiments.measuring.measure import Kind, Yardstick
from gan_jax import signals
from gan_jax.data import Dataset
from gan_jax.evaluation.judges import SOUND
from gan_jax.signals import Spectrogram


def kind_of(config: Any) -> Kind:
    """Give the kind of a run's sounds: spoken digits of the length that judges know, waves, or spectrograms."""
    how = own_data.spectrogram(config)
    if config.dataset == spoken_digits.NAME and how == SOUND:
        return spoken_digits.KIND
    return _of_waves(how) if own_data.are_waves(config) else KIND


@cache  # so that a kind is equal to itself, and real data are read once
def _of_waves(how: Spectrogram) -> Kind:
    def read(samples: np.ndarray) -> pictures.Pixels:
        samples = np.asarray(samples)
        return pictures.Pixels(signals.to_pictures(samples.reshape(len(samples), -1), how))

    def yardstick(train: Dataset, features: str | None = None) -> Yardstick:
        found = pictures.yardstick(train._replace(images=read(train.images).images), features)
        return found._replace(read=read)

    return KIND._replace(yardstick=yardstick)


# Of spectrograms the pixels, as G makes them: not after the way back to a wave.
KIND = pictures.KIND._replace(name="sounds", seen=None, of_config=kind_of)
