"""WAV files, written from the format's description and not by the code under test."""

import struct

import numpy as np


def wav(samples: np.ndarray, rate: int = 8000, kind: int | None = None) -> bytes:
    """A WAV file of samples [T] or [T, C]: whole numbers, or floats (kind 3)."""
    samples = samples[:, None] if samples.ndim == 1 else samples
    size, channels = samples.dtype.itemsize, samples.shape[1]
    kind = kind or (3 if samples.dtype.kind == "f" else 1)
    how = struct.pack(
        "<HHIIHH", kind, channels, rate, rate * size * channels, size * channels, 8 * size
    )
    body = samples.astype(samples.dtype.newbyteorder("<")).tobytes()
    chunks = b"fmt " + struct.pack("<I", len(how)) + how
    chunks += b"LIST" + struct.pack("<I", 4) + b"INFO"  # what programs add, and nobody needs
    chunks += b"data" + struct.pack("<I", len(body)) + body
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def tone(hertz: float, seconds: float = 0.1, rate: int = 8000, peak: float = 0.5) -> np.ndarray:
    """A sine, f64[T]."""
    return peak * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


def as_int16(wave: np.ndarray) -> np.ndarray:
    return np.rint(32768 * wave).astype(np.int16)
