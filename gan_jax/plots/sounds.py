"""Sounds to look at and to hear."""

import io
import os

import numpy as np
from numpy.typing import ArrayLike

from gan_jax.plots.charts import BLUE, new_figure, write_figure
from gan_jax.plots.files import write_atomically

PAUSE_SECONDS = 0.2  # between sounds in one file


def save_sounds(waves: ArrayLike, path: str | os.PathLike, *, sample_rate: int) -> None:
    """Save sounds one after another, with pauses, as a WAV file of 16 bits.

    Args:
      waves: f[N, T] in [-1, 1], N >= 1; what lies outside is clipped.
      path: where.
      sample_rate: samples in a second.

    Raises:
      ValueError: another shape, or values that are not finite.
    """
    from scipy.io import wavfile

    waves = _checked(waves)
    pause = np.zeros((len(waves), round(PAUSE_SECONDS * sample_rate)))
    joined = np.concatenate([waves, pause], axis=1).reshape(-1)[: -pause.shape[1]]
    file = io.BytesIO()
    wavfile.write(file, sample_rate, np.rint(32767 * np.clip(joined, -1, 1)).astype(np.int16))
    write_atomically(path, lambda out: out.write(file.getvalue()))


def save_waves(
    waves: ArrayLike, path: str | os.PathLike, *, sample_rate: int, columns: int = 5
) -> None:
    """Draw sounds as waves over time, in a grid.

    Args:
      waves: f[N, T] in [-1, 1], N >= 1.
      path: where; the extension names the format.
      sample_rate: samples in a second.
      columns: sounds in a row.

    Raises:
      ValueError: another shape, or values that are not finite.
    """
    waves = _checked(waves)
    rows = -(-len(waves) // columns)
    figure = new_figure(2 * columns, 0.9 * rows)
    seconds = np.arange(waves.shape[1]) / sample_rate
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for place, axis in enumerate(axes.flat):
        axis.set(ylim=(-1, 1), xlim=(0, seconds[-1] + 1 / sample_rate), yticks=[])
        if place < len(waves):
            axis.plot(seconds, waves[place], linewidth=0.4, color=BLUE)
        else:
            axis.set_axis_off()
    for axis in axes[-1]:
        axis.set_xlabel("seconds")
    write_figure(figure, path)


def _checked(waves: ArrayLike) -> np.ndarray:
    waves = np.asarray(waves)
    if waves.ndim != 2 or 0 in waves.shape or not np.isfinite(waves).all():
        raise ValueError(f"waves must be finite [N, T], N and T > 0, got shape {waves.shape}")
    return waves
