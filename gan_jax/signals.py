"""Sounds as pictures and back: log-mel spectrograms, and fast Griffin-Lim for the phase that they lack.

A sound of T samples becomes a grey picture of 64 mel bands (the lowest at the bottom) by one column for each 12 ms. A
pixel is the energy of its band in dB below the loudest of the sound, -60 dB black and 0 dB white; so how loud a
recording was is not kept, and black is silence, exactly, on the way back.

Reference: Griffin and Lim 1984, "Signal estimation from modified short-time Fourier transform"; Perraudin et al. 2013,
"A fast Griffin-Lim algorithm"; mel scale: O'Shaughnessy 1987, 2595 log10(1 + f / 700).
"""

from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    from scipy.signal import ShortTimeFFT

BANDS = 64
LOWEST_HZ = 50.0
RANGE_DB = 60.0  # from white to black
_COLUMNS = 16  # their number is a multiple, so that a DCGAN can halve it
_HOP_SECONDS, _WINDOW_SECONDS = 0.012, 0.032
_POWER_ITERATIONS, _PHASE_ITERATIONS, _MOMENTUM = 60, 32, 0.99
_AT_ONCE = 64  # sounds in memory as complex spectra


class Spectrogram(NamedTuple):
    """How sounds of one length are analysed.

    Attributes:
      sample_rate: samples in a second.
      num_samples: of a sound, T.
    """

    sample_rate: int
    num_samples: int

    @property
    def hop(self) -> int:
        """Samples from one column to the next."""
        return max(1, round(_HOP_SECONDS * self.sample_rate))

    @property
    def columns(self) -> int:
        """Columns of a picture: enough for all samples, and a multiple of 16."""
        return -(-self.num_samples // (_COLUMNS * self.hop)) * _COLUMNS

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, 1) of a picture."""
        return BANDS, self.columns, 1


def to_picture(wave: ArrayLike, how: Spectrogram) -> np.ndarray:
    """Draw a sound.

    Args:
      wave: f[T], any scale.
      how: of T samples.

    Returns:
      uint8 [64, W, 1].

    Raises:
      ValueError: the sound has another length, or values that are not finite.
    """
    wave = np.asarray(wave, np.float64)
    if wave.shape != (how.num_samples,) or not np.isfinite(wave).all():
        raise ValueError(
            f"a sound must be {how.num_samples} finite samples, got shape {wave.shape}"
        )
    energy = _mel_filters(how.sample_rate) @ np.abs(_analyse(wave, how)) ** 2
    loudest = energy.max()
    if loudest <= 0:
        return np.zeros(how.shape, np.uint8)
    decibels = 10 * np.log10(np.maximum(energy / loudest, 1e-30))
    pixels = np.rint(255 * np.clip(1 + decibels / RANGE_DB, 0, 1))
    return pixels[::-1, :, None].astype(np.uint8)


def to_waves(pictures: ArrayLike, how: Spectrogram, *, seed: int = 0) -> np.ndarray:
    """Find sounds whose pictures these are, as nearly as can be.

    The energies of bands are spread over frequencies by non-negative least squares; then phases are sought that fit
    them, by 32 turns of fast Griffin-Lim from random ones.

    Args:
      pictures: [N, 64, W, 1], uint8, or floats in [-1, 1].
      how: how they were drawn.
      seed: of the first phases; the same for every sound.

    Returns:
      f32[N, T], each with a peak of 1, or silent.

    Raises:
      ValueError: pictures of another shape.
    """
    pictures = np.asarray(pictures)
    if pictures.shape[1:] != how.shape:
        raise ValueError(f"pictures must have shape [N, {how.shape}], got {pictures.shape}")
    parts = [pictures[i : i + _AT_ONCE] for i in range(0, len(pictures), _AT_ONCE)]
    waves = [_invert(part, how, seed) for part in parts]
    return np.concatenate([np.zeros((0, how.num_samples), np.float32), *waves])


def _invert(pictures: np.ndarray, how: Spectrogram, seed: int) -> np.ndarray:
    levels = pictures / 255.0 if pictures.dtype == np.uint8 else (pictures + 1.0) / 2
    levels = np.clip(levels[:, ::-1, :, 0], 0, 1)
    energy = np.where(levels > 0, 10 ** (RANGE_DB / 10 * (levels - 1)), 0.0)
    magnitude = np.sqrt(_spread(energy, _mel_filters(how.sample_rate)))
    phase = np.random.default_rng(seed).uniform(0, 2 * np.pi, magnitude.shape[1:])
    unit, before = np.exp(1j * phase), np.zeros_like(magnitude, complex)
    for _ in range(_PHASE_ITERATIONS):
        again = _analyse(_synthesise(magnitude * unit, how), how)
        unit = again - _MOMENTUM / (1 + _MOMENTUM) * before
        unit = unit / np.maximum(np.abs(unit), 1e-16)
        before = again
    waves = _synthesise(magnitude * unit, how)
    peak = np.abs(waves).max(axis=1, keepdims=True)
    return (waves / np.where(peak > 0, peak, 1)).astype(np.float32)


def _spread(energy: np.ndarray, filters: np.ndarray) -> np.ndarray:
    """Find energies of frequencies >= 0 [N, F, W] for those of bands [N, 64, W].

    Reference: multiplicative updates of Lee and Seung 2001, which never increase the squared error.
    """
    towards = found = filters.T @ energy
    for _ in range(_POWER_ITERATIONS):
        found = found * towards / np.maximum(filters.T @ (filters @ found), 1e-30)
    return found


def _analyse(waves: np.ndarray, how: Spectrogram) -> np.ndarray:
    """Give the short-time spectra [..., F, W] of waves [..., T]."""
    padded = np.zeros((*waves.shape[:-1], how.columns * how.hop))
    padded[..., : how.num_samples] = waves
    return _transform(how.sample_rate, how.hop).stft(padded, p0=0, p1=how.columns)


def _synthesise(spectra: np.ndarray, how: Spectrogram) -> np.ndarray:
    """Give the waves [..., T] whose spectra are nearest to [..., F, W]; what lies before and behind is silent."""
    transform = _transform(how.sample_rate, how.hop)
    length = how.columns * how.hop
    behind = transform.p_max(length) - how.columns
    around = [(0, 0)] * (spectra.ndim - 1) + [(-transform.p_min, behind)]
    waves = transform.istft(np.pad(spectra, around), k1=length)
    return waves[..., : how.num_samples]


@cache
def _transform(sample_rate: int, hop: int) -> "ShortTimeFFT":
    from scipy.signal import ShortTimeFFT
    from scipy.signal.windows import hann

    window = hann(max(4, round(_WINDOW_SECONDS * sample_rate)), sym=False)
    return ShortTimeFFT(window, hop, sample_rate, mfft=2 * len(window))


@cache
def _mel_filters(sample_rate: int) -> np.ndarray:
    """Give the triangles [64, F] of bands that are equally wide on the mel scale."""
    transform = _transform(sample_rate, Spectrogram(sample_rate, 1).hop)
    mel = 2595 * np.log10(1 + np.array([LOWEST_HZ, sample_rate / 2]) / 700)
    edges = 700 * (10 ** (np.linspace(*mel, BANDS + 2) / 2595) - 1)
    rising = (transform.f - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - transform.f) / np.diff(edges)[1:, None]
    return np.maximum(0, np.minimum(rising, falling))
