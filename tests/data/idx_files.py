"""IDX files for tests, written from the format's description and not by the code under test."""

import gzip
import struct
from pathlib import Path

import numpy as np

STEMS = {"train": "train", "test": "t10k"}


def idx_bytes(array: np.ndarray) -> bytes:
    """Two zeros, the type (8: unsigned bytes), the number of dimensions, the dimensions, the elements."""
    dims = b"".join(struct.pack(">I", n) for n in array.shape)
    return bytes([0, 0, 8, array.ndim]) + dims + array.astype(np.uint8).tobytes()


def gz_bytes(array: np.ndarray) -> bytes:
    return gzip.compress(idx_bytes(array), mtime=0)


def some_images(num: int, height: int = 5, width: int = 4, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (num, height, width), np.uint8)


def some_labels(num: int) -> np.ndarray:
    return np.arange(num, dtype=np.uint8) % 10


def write_set(folder: Path, train: int = 12, test: int = 6, suffix: str = ".gz") -> Path:
    """Write the four files of a tiny data set."""
    folder.mkdir(parents=True, exist_ok=True)
    encode = gz_bytes if suffix else idx_bytes
    for split, num in (("train", train), ("test", test)):
        images = some_images(num, seed=num)
        stem = STEMS[split]
        (folder / f"{stem}-images-idx3-ubyte{suffix}").write_bytes(encode(images))
        (folder / f"{stem}-labels-idx1-ubyte{suffix}").write_bytes(encode(some_labels(num)))
    return folder
