"""Sounds that are no spoken digit, though each shares something with one: what a judge of digits must not be sure of.

They are controls, rows of a table beside which a generator's is read; and what a judge learns that "no digit" means.
Waves are f[N, T], with a peak of 1 or silent, and are changed into f32[N, T] of the same kind. Real spectrograms that
are `blurred` or `noisy` are digits still: they say how finely a judge hears.
"""

import numpy as np
from numpy.typing import ArrayLike

from gan_jax.evaluation.components import principal_components

ENVELOPE = 160  # samples over which loudness is smoothed: 20 ms at 8 kHz


def normalised(waves: ArrayLike) -> np.ndarray:
    """Give waves [N, T] a peak of 1; silence stays silence."""
    waves = np.asarray(waves, np.float32)
    peak = np.abs(waves).max(axis=1, keepdims=True)
    return waves / np.where(peak > 0, peak, 1)


def lengths(waves: ArrayLike) -> np.ndarray:
    """Count the samples of each wave [N, T] up to its last that is not 0, int[N]."""
    heard = np.asarray(waves) != 0
    return np.where(heard.any(axis=1), heard.shape[1] - heard[:, ::-1].argmax(axis=1), 0)


def backwards(waves: ArrayLike) -> np.ndarray:
    """Play each sound from its end to its beginning; the silence behind it stays behind."""
    waves = np.array(waves, np.float32)
    for wave, length in zip(waves, lengths(waves), strict=True):
        wave[:length] = wave[:length][::-1].copy()
    return waves


def mixed(waves: ArrayLike, rng: np.random.Generator) -> np.ndarray:
    """Add to each sound another one, as loud."""
    waves = normalised(waves)
    return normalised(waves + waves[_others(len(waves), rng)])


def spliced(waves: ArrayLike, rng: np.random.Generator) -> np.ndarray:
    """Go on after the first half of each sound with the second half of another one."""
    waves, others = normalised(waves), normalised(waves)[_others(len(waves), rng)]
    found = np.zeros_like(waves)
    for to, first, second, a, b in zip(
        found, waves, others, lengths(waves), lengths(others), strict=True
    ):
        whole = np.concatenate([first[: a // 2], second[b // 2 : b]])[: len(to)]
        to[: len(whole)] = whole
    return normalised(found)


def hissed(waves: ArrayLike, rng: np.random.Generator) -> np.ndarray:
    """Put white noise in the place of each sound, as loud as it is at each moment."""
    waves = np.asarray(waves, np.float64)
    num = min(ENVELOPE, waves.shape[1])
    kernel = np.ones(num) / num
    loudness = np.stack([np.convolve(wave**2, kernel, "same") for wave in waves])
    return normalised(np.sqrt(np.maximum(loudness, 0)) * rng.normal(size=waves.shape))


def white_noise(num: int, num_samples: int, rng: np.random.Generator) -> np.ndarray:
    """Draw white noise, f32[num, num_samples]."""
    return normalised(rng.normal(size=(num, num_samples)))


def gaussian_pictures(
    pictures: ArrayLike, num: int, rng: np.random.Generator, *, components: int = 64
) -> np.ndarray:
    """Draw pictures from a Gaussian with the mean of some and their variances along the directions of the greatest.

    Args:
      pictures: uint8 [N, H, W, C], N >= 2.
      num: how many to draw.
      rng: draws them.
      components: directions; fewer where there are fewer pictures.

    Returns:
      uint8 [num, H, W, C].
    """
    pictures = np.asarray(pictures)
    found = principal_components(pictures, components)
    coordinates = found.scale * found.project(pictures)
    deviations = coordinates.std(axis=0)
    drawn = found.mean + (rng.normal(size=(num, len(deviations))) * deviations) @ found.axes
    return np.clip(np.rint(drawn), 0, 255).astype(np.uint8).reshape(num, *pictures.shape[1:])


def blurred(pictures: ArrayLike, sigma: float, axis: int) -> np.ndarray:
    """Blur spectrograms along one axis; what is silent stays so.

    Args:
      pictures: uint8 [N, H, W, C], silent where 0.
      sigma: of the Gaussian, pixels.
      axis: 1 along frequency, 2 along time.
    """
    from scipy.ndimage import gaussian_filter1d

    pictures = np.asarray(pictures)
    return _where_heard(pictures, gaussian_filter1d(pictures.astype(np.float64), sigma, axis))


def noisy(pictures: ArrayLike, deviation: float, rng: np.random.Generator) -> np.ndarray:
    """Add to every pixel that is not silent a normal number of its own.

    Args:
      pictures: uint8 [N, H, W, C], silent where 0.
      deviation: standard deviation, of 255.
      rng: draws the numbers.
    """
    pictures = np.asarray(pictures)
    return _where_heard(pictures, pictures + deviation * rng.normal(size=pictures.shape))


def _where_heard(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    return np.where(before > 0, np.clip(np.rint(after), 0, 255), 0).astype(np.uint8)


def _others(num: int, rng: np.random.Generator) -> np.ndarray:
    """Choose for each of so many another one, int[num]."""
    return (np.arange(num) + rng.integers(1, max(2, num), num)) % num
