"""Pictures that lie in an .npz or .npy file already: nothing in it is ever executed."""

import os
import zipfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gan_jax.data.dataset import DataError
from gan_jax.data.folder.files import File

SUFFIXES = (".npz", ".npy")
MAX_BYTES = 2**32  # of an .npz, unpacked; an .npy is mapped and may be of any size


class Arrays(NamedTuple):
    """What a file of arrays holds.

    Attributes:
      images: uint8 [N, H, W, C], C 1 or 3.
      labels: int32 [N], or None.
      class_names: one for each class, or none.
    """

    images: np.ndarray
    labels: np.ndarray | None = None
    class_names: tuple[str, ...] = ()

    def files(self) -> list[File]:
        """Give each image as a file of raw pixels."""
        return [File(f"image {i}", partial(self._pixels, i)) for i in range(len(self.images))]

    def _pixels(self, place: int) -> bytes:
        return self.images[place].tobytes()


def read_arrays(path: str | os.PathLike) -> Arrays:
    """Read `images`, and `labels` and `class_names` if there are any, from an .npz; or images from an .npy.

    Args:
      path: the file. An .npz with one array only may call it what it likes.

    Returns:
      The arrays; grey images [N, H, W] get their channel.

    Raises:
      DataError: it is no such file, needs code to be read, is damaged or huge, or holds something else.
    """
    path = Path(path).expanduser()
    try:
        if path.suffix.lower() == ".npy":
            found = {"images": np.load(path, mmap_mode="r", allow_pickle=False)}
        else:
            found = _read_npz(path)
    except DataError:
        raise
    except OSError as error:
        got = error.strerror or error
        raise DataError(f"{path}: expected a readable file, got {got}; set --data_dir") from error
    except Exception as error:  # NumPy and zipfile raise many kinds on damaged files
        got = " ".join(str(error).split())
        raise DataError(f"{path}: expected arrays of numbers, got {got}; save it anew") from error
    return _checked(path, found)


def opened_npz(path: Path) -> "np.lib.npyio.NpzFile":
    """Open an .npz, unless what it promises to unpack to would fill the memory.

    Args:
      path: the file.

    Returns:
      Its arrays by their names; whoever takes them closes it.

    Raises:
      DataError: it is too large.
      Exception: of many kinds, if it is damaged.
    """
    with zipfile.ZipFile(path) as archive:
        promised = sum(entry.file_size for entry in archive.infolist())
    if promised > MAX_BYTES:
        raise DataError(
            f"{path}: expected at most {MAX_BYTES >> 30} GiB, got {promised / 2**30:.1f} when unpacked; save the "
            "images as .npy, which is not unpacked"
        )
    return np.load(path, allow_pickle=False)


def member(archive: Mapping[str, np.ndarray | bytes], name: str) -> np.ndarray:
    """Take an array of an .npz; NumPy gives what is none as bytes.

    Args:
      archive: from `opened_npz`.
      name: of the array.

    Returns:
      The array.

    Raises:
      ValueError: it is none, or damaged.
    """
    found = archive[name]
    if isinstance(found, bytes):
        raise ValueError(f"{name}, which is no array")
    return found


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    with opened_npz(path) as archive:
        names = list(archive.files)
        wanted = [name for name in ("images", "labels", "class_names") if name in names]
        if "images" not in wanted and len(names) == 1:
            return {"images": member(archive, names[0])}
        if "images" not in wanted:
            raise DataError(
                f"{path}: expected an array images, got {', '.join(names) or 'none'}; give it that name"
            )
        return {name: member(archive, name) for name in wanted}


def _checked(path: Path, found: dict[str, np.ndarray]) -> Arrays:
    images, labels = found["images"], found.get("labels")
    if images.ndim == 3:
        images = images[..., None]
    if (
        images.dtype != np.uint8
        or images.ndim != 4
        or images.shape[3] not in (1, 3)
        or 0 in images.shape
    ):
        raise DataError(
            f"{path}: expected images uint8 [N, H, W, 1 or 3], got {found['images'].dtype} "
            f"{list(found['images'].shape)}; give pixels 0..255"
        )
    names = tuple(str(name) for name in np.atleast_1d(found.get("class_names", ())))
    if labels is None:
        return Arrays(images)
    if labels.dtype.kind not in "iu" or labels.shape != images.shape[:1]:
        raise DataError(
            f"{path}: expected labels as whole numbers [{len(images)}], one for each image, got {labels.dtype} "
            f"{list(labels.shape)}"
        )
    most, of = len(names) or len(images), "class_names" if names else "images"
    if labels.min() < 0 or labels.max() >= most:
        raise DataError(
            f"{path}: expected labels from 0 to {most - 1}, as there are {most} {of}, got "
            f"{labels.min()} to {labels.max()}; number the classes from 0"
        )
    return Arrays(images, labels.astype(np.int32), names)
