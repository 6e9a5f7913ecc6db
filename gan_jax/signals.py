"""Sounds as pictures and back: log-mel spectrograms, and fast Griffin-Lim for the phase that they lack.

A sound of T samples becomes a grey picture of 64 mel bands (the lowest at the bottom) by one column for each 12 ms. A
pixel is the energy of its band in dB below the loudest of the sound, -60 dB black and 0 dB white; so how loud a
recording was is not kept, and black is silence, exactly, on the way back.

Reference: Griffin and Lim 1984, "Signal estimation from modified short-time Fourier transform"; Perraudin et al. 2013,
"A fast Griffin-Lim algorithm"; mel scale: O'Shaughnessy 1987, 2595 log10(1 + f / 700).
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    from scipy.signal import ShortTimeFFT

BANDS = 64
LOWEST_HZ = 50.0
RANGE_DB = 60.0  # from white to black
SILENT_DB = 3.0  # above black, up to which a pixel is silence on the way back: no generator draws black exactly
_COLUMNS = 16  # their number is a multiple, so that a DCGAN can halve it
_HOP_SECONDS, _WINDOW_SECONDS = 0.012, 0.032
_POWER_ITERATIONS, _PHASE_ITERATIONS, _MOMENTUM = 30, 32, 0.99
_AT_ONCE = 16  # sounds whose spectra fit a processor's cache, nearly


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

    @property
    def wave_shape(self) -> tuple[int, int, int]:
        """(1, T, 1) of a wave as an image one pixel high."""
        return 1, self.num_samples, 1


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
    return to_pictures(np.asarray(wave)[None], how)[0]


def to_pictures(waves: ArrayLike, how: Spectrogram) -> np.ndarray:
    """Draw many sounds, f[N, T] -> uint8 [N, 64, W, 1]; see `to_picture`."""
    waves = np.asarray(waves, np.float64)
    if waves.ndim != 2 or waves.shape[1] != how.num_samples or not np.isfinite(waves).all():
        raise ValueError(
            f"a sound must be {how.num_samples} finite samples, got shape {waves.shape[1:]}"
        )
    parts = _in_parts(partial(_draw, how=how), waves)
    return np.concatenate([np.zeros((0, *how.shape), np.uint8), *parts])


def _draw(waves: np.ndarray, how: Spectrogram) -> np.ndarray:
    energy = _mel_filters(how.sample_rate) @ np.abs(_analyse(waves, how)) ** 2
    loudest = energy.max(axis=(1, 2), keepdims=True)
    share = energy / np.where(loudest > 0, loudest, 1)
    decibels = 10 * np.log10(np.maximum(share, 1e-30))
    pixels = np.rint(255 * np.clip(1 + decibels / RANGE_DB, 0, 1))
    return pixels[:, ::-1, :, None].astype(np.uint8)


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
    waves = _in_parts(partial(_invert, how=how, seed=seed), pictures)
    return np.concatenate([np.zeros((0, how.num_samples), np.float32), *waves])


def _in_parts(function: Callable[[np.ndarray], np.ndarray], rows: np.ndarray) -> list[np.ndarray]:
    """Map a few rows at a time, on all cores: NumPy lets go of Python's lock."""
    parts = [rows[i : i + _AT_ONCE] for i in range(0, len(rows), _AT_ONCE)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(function, parts))


def _invert(pictures: np.ndarray, how: Spectrogram, seed: int) -> np.ndarray:
    """Invert some at once, in float32: it is the phases that are uncertain, not the sums."""
    levels = pictures / 255.0 if pictures.dtype == np.uint8 else (pictures + 1.0) / 2
    levels = np.clip(levels[:, ::-1, :, 0].transpose(0, 2, 1), 0, 1).astype(np.float32)
    energy = np.where(
        levels > SILENT_DB / RANGE_DB,
        np.float32(10) ** (RANGE_DB / 10 * (levels - 1)),
        np.float32(0),
    )
    filters = _mel_filters(how.sample_rate).astype(np.float32)
    magnitude = np.sqrt(_spread(energy.reshape(-1, BANDS), filters)).reshape(*levels.shape[:2], -1)
    phase = np.random.default_rng(seed).uniform(0, 2 * np.pi, magnitude.shape[1:])
    frames = _Frames.of(how)
    spectra, before = magnitude * np.exp(1j * phase).astype(np.complex64), np.complex64(0)
    for _ in range(_PHASE_ITERATIONS):
        again = frames.analyse(frames.synthesise(spectra))
        unit = again - np.float32(_MOMENTUM / (1 + _MOMENTUM)) * before
        size = np.sqrt(unit.real**2 + unit.imag**2)
        spectra = unit * (magnitude / np.maximum(size, 1e-16))
        before = again
    waves = frames.synthesise(spectra)
    peak = np.abs(waves).max(axis=1, keepdims=True)
    return waves / np.where(peak > 0, peak, 1)


def _spread(energy: np.ndarray, filters: np.ndarray) -> np.ndarray:
    """Find energies of frequencies >= 0 [M, F] for those of bands [M, 64].

    Reference: multiplicative updates of Lee and Seung 2001, which never increase the squared error.
    """
    towards = found = energy @ filters
    for _ in range(_POWER_ITERATIONS):
        found = found * towards / np.maximum(found @ filters.T @ filters, 1e-30)
    return found


class _Frames(NamedTuple):
    """Short-time spectra [N, W, F] of sounds [N, T] and back, many sounds at once.

    Attributes:
      how: the sounds are analysed.
      window: f32[L], of a frame.
      dual: f32[L], with which frames are added so that they make up the sound again.
    """

    how: Spectrogram
    window: np.ndarray
    dual: np.ndarray

    @classmethod
    def of(cls, how: Spectrogram) -> "_Frames":
        transform = _transform(how.sample_rate, how.hop)
        return cls(how, *(each.astype(np.float32) for each in (transform.win, transform.dual_win)))

    def analyse(self, waves: np.ndarray) -> np.ndarray:
        """Give the spectra of sounds; a frame lies around its column's first sample."""
        from scipy.fft import rfft

        how, (before, length) = self.how, self._span()
        padded = np.zeros((len(waves), length), np.float32)
        padded[:, before : before + how.num_samples] = waves
        views = np.lib.stride_tricks.sliding_window_view(padded, len(self.window), axis=1)
        return rfft(views[:, :: how.hop] * self.window, 2 * len(self.window))

    def synthesise(self, spectra: np.ndarray) -> np.ndarray:
        """Give the sounds whose spectra are nearest; what lies before and behind is silent."""
        from scipy.fft import irfft

        how, (before, length) = self.how, self._span()
        frames = irfft(spectra, 2 * len(self.window))[..., : len(self.window)] * self.dual
        added = np.zeros((len(spectra), length), np.float32)
        for column in range(how.columns):
            start = column * how.hop
            added[:, start : start + len(self.window)] += frames[:, column]
        return added[:, before : before + how.num_samples]

    def _span(self) -> tuple[int, int]:
        """Samples before the sound, and in all, that frames reach."""
        return len(self.window) // 2, (self.how.columns - 1) * self.how.hop + len(self.window)


def _analyse(waves: np.ndarray, how: Spectrogram) -> np.ndarray:
    """Give the short-time spectra [..., F, W] of waves [..., T]."""
    padded = np.zeros((*waves.shape[:-1], how.columns * how.hop))
    padded[..., : how.num_samples] = waves
    return _transform(how.sample_rate, how.hop).stft(padded, p0=0, p1=how.columns)


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
