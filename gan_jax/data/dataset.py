"""What every source returns, and the one error a user of data can cause."""

import hashlib
from typing import NamedTuple

import numpy as np

SPLITS = ("train", "test")


class DataError(ValueError):
    """Data that cannot be had: one line with what was expected, what was received, and the remedy."""


class Dataset(NamedTuple):
    """One split of one data set, held in memory. The arrays are read-only.

    Attributes:
      images: uint8 [N, H, W, C]; for the point sets float32 [N, D].
      labels: int32 [N], the class of an image or the component a point was drawn from.
      name: the name given to `load`.
      sha256: fingerprint of images and labels, see `fingerprint`.
    """

    images: np.ndarray
    labels: np.ndarray
    name: str
    sha256: str


def fingerprint(*arrays: np.ndarray) -> str:
    """Hash types, shapes and bytes, so that two runs can say that they saw the same data.

    Args:
      *arrays: arrays in a fixed order; their order in memory does not matter.

    Returns:
      SHA-256 as 64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array))
    return digest.hexdigest()


def make_dataset(images: np.ndarray, labels: np.ndarray, name: str) -> Dataset:
    """Freeze the arrays and fingerprint them.

    Args:
      images: uint8 [N, H, W, C] or float32 [N, D].
      labels: integers [N].
      name: the data set's name.

    Returns:
      The `Dataset`.

    Raises:
      DataError: if images and labels differ in number.
    """
    if labels.shape != images.shape[:1]:
        raise DataError(
            f"{name}: expected one label per image, labels of shape {images.shape[:1]}, got "
            f"{labels.shape}; fetch both files again from one source"
        )
    images = np.ascontiguousarray(images)
    labels = np.ascontiguousarray(labels, np.int32)
    images.flags.writeable = False
    labels.flags.writeable = False
    return Dataset(images, labels, name, fingerprint(images, labels))
