"""Data: `load(name)` gives images and labels as arrays, from files, TFDS, scikit-learn or a formula.

`digits` and the point sets need no files. Any other name is looked for in `data_dir`: four IDX files in it or in
its folder of that name, else a prepared TFDS folder; and is downloaded only if asked. `load_pictures(path)` and
`load_sounds(path, ...)` read what is one's own.
"""

import os
import re
import warnings

import numpy as np

from gan_jax.data import digits, idx, mixtures, tfds
from gan_jax.data.checksums import Warn
from gan_jax.data.dataset import (
    SPLITS,
    DataError,
    Dataset,
    check_samples,
    fingerprint,
    make_dataset,
)
from gan_jax.data.download import DOWNLOADABLE
from gan_jax.data.download import download as download_idx
from gan_jax.data.folder.load import PictureOptions, load_pictures, name_of
from gan_jax.data.folder.naming import Naming
from gan_jax.data.folder.sounds import load_sounds, load_waves
from gan_jax.data.mixtures import MIXTURES, POINT_SETS, Mixture, mixture
from gan_jax.data.tfds import prepare_from_idx

BUILT_IN = ("digits", *POINT_SETS)
NAMES = (*BUILT_IN, *DOWNLOADABLE)
_DIGITS = tuple("0123456789")
CLASS_NAMES = {
    "digits": _DIGITS,
    "mnist": _DIGITS,
    "fashion_mnist": (
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ),
}

__all__ = [
    "BUILT_IN",
    "MIXTURES",
    "NAMES",
    "SPLITS",
    "DataError",
    "Dataset",
    "Mixture",
    "Naming",
    "PictureOptions",
    "check_samples",
    "fingerprint",
    "load",
    "load_pictures",
    "load_sounds",
    "load_waves",
    "mixture",
    "name_of",
    "prepare_from_idx",
]


def load(
    name: str,
    *,
    split: str = "train",
    data_dir: str | os.PathLike | None = None,
    download: bool = False,
    warn: Warn = warnings.warn,
) -> Dataset:
    """Load one split of a data set into memory.

    Args:
      name: one of `NAMES`, or any data set that lies in `data_dir` (emnist/balanced as TFDS names it, your own).
      split: "train" or "test".
      data_dir: holds the IDX files, or a folder called `name` with them or with what TFDS prepared. Unused by
        the built-in sets. IDX files go before TFDS, the inner folder before the outer.
      download: True fetches mnist, fashion_mnist or kmnist into data_dir/name if nothing is there.
      warn: called with one line if a file of mnist or fashion_mnist is sound but not the published one.

    Returns:
      The `Dataset`, in the order of its source.

    Raises:
      DataError: for a name or split that does not exist, data that are missing, unreadable or damaged, and
        downloads that fail.
    """
    if split not in SPLITS:
        raise DataError(f"expected a split, one of {', '.join(SPLITS)}, got {split!r}; choose one")
    if not isinstance(name, str) or not re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*)?", name):
        raise DataError(
            f"expected a data set's name such as {', '.join(NAMES)}, got {name!r}; choose one"
        )
    if name in POINT_SETS:
        return make_dataset(*mixtures.points(name, split), name)
    if name == "digits":
        return _named(*digits.digits(split), name)
    if data_dir is None or not str(data_dir):
        raise _nothing_found(name, "no data_dir")
    data_dir = os.path.expanduser(data_dir)

    if (folder := idx.find_folder(name, data_dir)) is not None:
        return _named(*idx.read_split(name, split, folder, warn=warn), name)
    if (folder := tfds.find_folder(name, data_dir)) is not None:
        return _named(*tfds.read(split, folder), name)
    if not download:
        raise _nothing_found(name, _describe(name, data_dir))
    folder = download_idx(name, data_dir)
    return _named(*idx.read_split(name, split, folder, warn=warn), name)


def _named(images: np.ndarray, labels: np.ndarray, name: str) -> Dataset:
    """Make a data set with its classes' names, where it is known by name; what only bears its name may have others."""
    names = CLASS_NAMES.get(name, ())
    return make_dataset(images, labels, name, names if labels.max() < len(names) else ())


def _nothing_found(name: str, got: str) -> DataError:
    """The error for data that are nowhere, with the ways out as argument and as flag."""
    files = ", ".join(idx.ALL_FILES)
    fetch = "fetch them into it by download=True (--download), " if name in DOWNLOADABLE else ""
    return DataError(
        f"{name}: expected {files} (each with or without .gz) or a prepared TFDS folder, got {got}; set "
        f"data_dir (--data_dir) to where they are, {fetch}or use digits (--dataset=digits), which needs no "
        f"download (so do {', '.join(POINT_SETS)})"
    )


def _describe(name: str, data_dir: str) -> str:
    """Say where was looked, and why nothing was there."""
    if not os.path.isdir(data_dir):
        return f"{data_dir}, which is no folder"
    inner = os.path.join(data_dir, name)
    for folder in (data_dir, inner):
        if os.path.isdir(folder) and not os.access(folder, os.R_OK | os.X_OK):
            return f"{folder}, which cannot be read"
    return f"none of them in {inner} or {data_dir}"
