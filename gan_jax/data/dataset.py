"""What every source returns, and the one error a user of data can cause."""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from gan_jax.data.mapped import let_go

SPLITS = ("train", "test")
_PIECE_BYTES = 2**26  # read at a time
RANGE_TOLERANCE = 1e-3  # how far rounding may carry a float image out of [-1, 1]


class DataError(ValueError):
    """Data that cannot be had: one line with what was expected, what was received, and the remedy."""


class Dataset(NamedTuple):
    """One split of one data set, held in memory. The arrays are read-only.

    Attributes:
      images: uint8 [N, H, W, C], or floats in [-1, 1] of three axes or more; for points of any range floats [N, D].
      labels: int32 [N] from 0, the class of an image or the component a point was drawn from; None where nobody knows.
      name: the name given to `load`.
      sha256: fingerprint of images and labels, see `fingerprint`.
      class_names: one for each label, label 0's first; empty where classes have no names.
    """

    images: np.ndarray
    labels: np.ndarray | None
    name: str
    sha256: str
    class_names: tuple[str, ...] = ()

    @property
    def num_classes(self) -> int:
        """How many classes there are: as many as have names, else up to the highest label; 0 without labels."""
        if self.class_names or self.labels is None:
            return len(self.class_names)
        return 1 + int(self.labels.max(initial=-1))

    @property
    def class_counts(self) -> tuple[int, ...]:
        """How often each class occurs; none without labels."""
        if self.labels is None:
            return ()
        return tuple(np.bincount(self.labels, minlength=self.num_classes).tolist())


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
        flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        for start in range(0, len(flat), _PIECE_BYTES):
            digest.update(flat[start : start + _PIECE_BYTES])
            let_go(flat)
    return digest.hexdigest()


def check_samples(name: str, images: np.ndarray) -> None:
    """Refuse arrays that would train without a word and not be what they seem.

    Args:
      name: what to call them in the error.
      images: uint8; or finite floats: points [N, D] of any range, else images in [-1, 1], some value below 0 (pictures
        in [0, 1] would teach a generator to draw in washed-out grey).

    Raises:
      DataError: another type, a value that is not finite, or images of another range.
    """
    if images.dtype == np.uint8:
        return
    remedy = "give pixels 0..255 as uint8, or floats in [-1, 1]"
    if not np.issubdtype(images.dtype, np.floating):
        raise DataError(f"{name}: expected uint8 or floats, got {images.dtype}; {remedy}")
    if images.size == 0:
        return
    low, high = float(images.min()), float(images.max())
    if not np.isfinite([low, high]).all():
        raise DataError(
            f"{name}: expected finite values, got NaN or infinity; leave those samples out"
        )
    if images.ndim > 2 and (max(-low, high) > 1 + RANGE_TOLERANCE or low >= 0):
        raise DataError(
            f"{name}: expected floats in [-1, 1], got values from {low} to {high}; {remedy}"
        )


def make_dataset(
    images: np.ndarray, labels: np.ndarray | None, name: str, class_names: Sequence[str] = ()
) -> Dataset:
    """Freeze the arrays and fingerprint them.

    Args:
      images: as `check_samples` allows.
      labels: integers [N], or None.
      name: the data set's name.
      class_names: of labels 0, 1, ..., or none at all.

    Returns:
      The `Dataset`.

    Raises:
      DataError: if images and labels differ in number, a label has no name where others have, or as `check_samples`.
    """
    check_samples(name, images)
    images = np.ascontiguousarray(images)
    images.flags.writeable = False
    if labels is None:
        return Dataset(images, None, name, fingerprint(images))
    if labels.shape != images.shape[:1]:
        raise DataError(
            f"{name}: expected one label per image, labels of shape {images.shape[:1]}, got "
            f"{labels.shape}; fetch both files again from one source"
        )
    labels = np.ascontiguousarray(labels, np.int32)
    labels.flags.writeable = False
    num_names, num_classes = len(class_names), 1 + int(labels.max(initial=-1))
    if labels.min(initial=0) < 0 or 0 < num_names < num_classes:
        raise DataError(
            f"{name}: expected labels from 0 to {num_names - 1 if num_names else 'the last class'}, got "
            f"{labels.min()} to {labels.max()}; number the classes from 0, and name each or none"
        )
    return Dataset(images, labels, name, fingerprint(images, labels), tuple(class_names))
