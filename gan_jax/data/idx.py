"""IDX files, the format of MNIST: a magic number, the dimensions, then one byte per pixel.

Nothing in a file is believed before it is checked: the magic number, every dimension, and the exact number
of bytes, which is compared with what the file can hold before any memory is taken.

Reference: LeCun, Cortes and Burges, "The MNIST database of handwritten digits" (1998), file format section.
"""

import gzip
import math
import os
import stat
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np

from gan_jax.data.checksums import Warn, check_published
from gan_jax.data.dataset import DataError

FILES = {  # split -> (images, labels), each with or without .gz
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
ALL_FILES = FILES["train"] + FILES["test"]

_UNSIGNED_BYTES = 0x0800  # a magic number is this plus the number of dimensions
_GZIP_MAGIC = b"\x1f\x8b"
_MAX_RATIO = 1032  # deflate cannot expand one byte to more than this
_MAX_BYTES = 2**32  # MNIST's largest file has 47 million
_CHUNK = 2**20
_AGAIN = "fetch the file again"


def find_folder(name: str, data_dir: str | os.PathLike) -> Path | None:
    """Find the folder that holds at least one of a data set's four files.

    Args:
      name: data set's name.
      data_dir: the folder itself, or its parent if the folder is called `name`; the latter goes first.

    Returns:
      The folder, or None.
    """
    for folder in (Path(data_dir, name), Path(data_dir)):
        if any(_locate(folder, stem) for stem in ALL_FILES):
            return folder
    return None


def read_split(
    name: str, split: str, folder: str | os.PathLike, *, warn: Warn
) -> tuple[np.ndarray, np.ndarray]:
    """Read one split's images and labels.

    Args:
      name: data set's name; mnist and fashion_mnist are compared with their published checksums.
      split: "train" or "test".
      folder: holds the files under their standard names, gzipped or not.
      warn: called with one line for each file that is sound but not the published one.

    Returns:
      images uint8 [N, H, W, 1], labels int32 [N].

    Raises:
      DataError: if a file is missing, unreadable or damaged, or the two differ in number.
    """
    arrays = []
    for stem, ndim in zip(FILES[split], (3, 1), strict=True):
        path = _locate(Path(folder), stem)
        if path is None:
            raise DataError(
                f"{folder}: expected {stem}.gz or {stem} for the {split} split of {name}, "
                "found neither; put the file there"
            )
        arrays.append(read_idx(path, ndim=ndim))
        check_published(name, stem, path, arrays[-1], warn=warn)
    images, labels = arrays
    if len(images) != len(labels):
        raise DataError(
            f"{folder}: expected as many labels as images in the {split} split of {name}, got "
            f"{len(labels)} labels and {len(images)} images; fetch both files again"
        )
    return images[..., None], labels.astype(np.int32)


def read_idx(path: str | os.PathLike, *, ndim: int) -> np.ndarray:
    """Read one IDX file of unsigned bytes.

    Args:
      path: the file, gzipped or not, which its first bytes tell and not its name.
      ndim: 3 for images, 1 for labels.

    Returns:
      uint8 array of the dimensions in the header.

    Raises:
      DataError: if the file cannot be read, is not a regular file, is damaged (truncated, trailing bytes,
        bad gzip), has another magic number, or has no elements or more than 4 GiB of them.
    """
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise DataError(f"{path}: expected a file, got a folder or device; {_AGAIN}")
        with open(path, "rb") as file:
            zipped = file.read(2) == _GZIP_MAGIC
            file.seek(0)
            if not zipped:
                return _read_array(file, path, ndim, possible=status.st_size)
            with gzip.GzipFile(fileobj=file) as stream:
                return _read_array(stream, path, ndim, possible=status.st_size * _MAX_RATIO)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path}: expected sound gzip, got damage ({error}); {_AGAIN}") from error
    except OSError as error:
        reason = error.strerror or error
        raise DataError(
            f"{path}: expected a readable file, got {reason}; check its permissions"
        ) from error


def _read_array(
    stream: BinaryIO, path: str | os.PathLike, ndim: int, *, possible: int
) -> np.ndarray:
    """Read header and elements; `possible` is the most bytes the stream can yield."""
    shape = _read_shape(stream, path, ndim)
    promised = math.prod(shape)
    if promised > min(possible, _MAX_BYTES):
        raise DataError(
            f"{path}: expected {promised} bytes after the header, which says {shape}, got a file that "
            f"holds at most {min(possible, _MAX_BYTES)}; {_AGAIN}"
        )
    content = bytearray()
    while chunk := stream.read(min(_CHUNK, promised + 1 - len(content))):
        content += chunk  # memory grows with what is there, not with what was promised
    if len(content) != promised:
        got = "more" if len(content) > promised else f"only {len(content)}"
        raise DataError(
            f"{path}: expected {promised} bytes after the header, which says {shape}, got {got}; {_AGAIN}"
        )
    return np.frombuffer(content, np.uint8).reshape(shape)


def _read_shape(stream: BinaryIO, path: str | os.PathLike, ndim: int) -> tuple[int, ...]:
    """Read and check the magic number and the dimensions."""
    size = 4 + 4 * ndim
    header = stream.read(size)
    if len(header) < size:
        got = f"only {len(header)} bytes" if header else "an empty file"
        raise DataError(f"{path}: expected an IDX header of {size} bytes, got {got}; {_AGAIN}")
    magic, *shape = struct.unpack(f">{1 + ndim}I", header)
    if magic != _UNSIGNED_BYTES + ndim:
        raise DataError(
            f"{path}: expected magic number 0x{_UNSIGNED_BYTES + ndim:08x} (unsigned bytes, {ndim} "
            f"dimensions), got 0x{magic:08x}; check that it is the file its name says, or {_AGAIN}"
        )
    if 0 in shape:
        raise DataError(f"{path}: expected at least one element, got {tuple(shape)}; {_AGAIN}")
    return tuple(shape)


def _locate(folder: Path, stem: str) -> Path | None:
    """The file with or without .gz, whatever it is, or None."""
    candidates = (folder / f"{stem}.gz", folder / stem)
    return next((path for path in candidates if os.path.exists(path)), None)
