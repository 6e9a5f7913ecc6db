"""Samples that were made elsewhere, as pixels: arrays of whatever range and layout generators write, or pictures."""

import os
import zipfile
from functools import partial
from pathlib import Path

import numpy as np

from gan_jax.data.dataset import DataError
from gan_jax.data.folder import arrays
from gan_jax.data.folder.files import File, find_files
from gan_jax.data.folder.pictures import (
    SUFFIXES,
    Recipe,
    pillow_is_quiet,
    read_header,
    read_pixels,
)
from gan_jax.data.folder.workers import for_each

CHANNELS = (1, 3)
USUAL_NAMES = ("images", "samples", "arr_0", "points")
SLACK = 1e-3  # beyond [-1, 1], by rounding


def read_samples(path: str | os.PathLike) -> np.ndarray:
    """Read samples from an .npz or .npy file, or a folder or .zip of pictures; nothing in it is ever executed.

    Args:
      path: which. Of an .npz with several arrays, `images`, `samples`, `arr_0` or `points` is taken. Pictures are taken
        in the order of their names, and must be of one size; all are grey, or all get three channels.

    Returns:
      Images as pixels uint8 [N, H, W, C]: channels that come first (PyTorch) are moved to the end, grey images without
      a channel get one, floats in [-1, 1] become the pixels they would be saved as. Points [N, 2] as they are.

    Raises:
      DataError: it is no such file, is damaged, needs code to be read, holds nothing of that kind, or floats that may
        be meant in [0, 1] as well as in [-1, 1].
    """
    path = Path(path).expanduser()
    if path.is_dir() or path.suffix.lower() == ".zip":
        return _pictures(path)
    try:
        found = _read(path)
    except DataError:
        raise
    except OSError as error:
        raise DataError(
            f"{path}: expected a readable file, got {error.strerror or error}; name an .npz, an .npy, a "
            "folder or a .zip of pictures"
        ) from error
    except Exception as error:  # NumPy and zipfile raise many kinds on damaged files
        got = " ".join(str(error).split())
        raise DataError(f"{path}: expected arrays of numbers, got {got}; save them anew") from error
    if found.ndim and not len(found):
        raise DataError(f"{path}: expected at least one sample, got none; save some")
    if found.ndim == 2 and found.dtype.kind == "f":
        if not np.isfinite(found).all():
            raise DataError(f"{path}: expected finite points, got others; leave those out")
        return found.astype(np.float32)
    return _pixels(path, _channels_last(path, found))


def _pictures(path: Path) -> np.ndarray:
    with pillow_is_quiet():
        return _of_one_size(path, find_files(path, SUFFIXES))


def _of_one_size(path: Path, files: list[File]) -> np.ndarray:
    headers = list(for_each(files, read_header, "looking at", str(path)))
    sizes = sorted({(header.height, header.width) for header in headers})
    if len(sizes) > 1:
        raise DataError(
            f"{path}: expected pictures of one size, got {len(sizes)}, such as {sizes[0]} and {sizes[-1]}; resize them"
        )
    recipe = Recipe(*sizes[0], 1 if all(header.is_grey for header in headers) else 3)
    decoded = for_each(files, partial(read_pixels, recipe=recipe), "decoding", str(path))
    return np.stack(list(decoded))


def _read(path: Path) -> np.ndarray:
    if not zipfile.is_zipfile(path):
        return np.load(path, allow_pickle=False)
    with arrays.opened_npz(path) as opened:
        names = list(opened.files)
        usual = [name for name in USUAL_NAMES if name in names] or names
        if not names or (len(names) > 1 and usual == names):
            raise ValueError(f"{', '.join(names) or 'none'}, none of which is called images")
        return arrays.member(opened, usual[0])


def _channels_last(path: Path, found: np.ndarray) -> np.ndarray:
    if found.ndim == 3:
        return found[..., None]
    if found.ndim == 4 and len(found) and found.shape[3] in CHANNELS:
        return found
    if found.ndim == 4 and len(found) and found.shape[1] in CHANNELS:
        return np.moveaxis(found, 1, 3)
    raise DataError(
        f"{path}: expected images [N, H, W, C], [N, C, H, W] or [N, H, W], or points [N, 2], got "
        f"{list(found.shape)}; save them so"
    )


def _pixels(path: Path, images: np.ndarray) -> np.ndarray:
    if images.dtype == np.uint8:
        return images
    numbers = images.dtype.kind in "iuf"
    low, high = (float(images.min()), float(images.max())) if numbers else (np.nan, np.nan)
    if images.dtype.kind != "f" or not -1 - SLACK <= low < 0 or not high <= 1 + SLACK:
        raise DataError(
            f"{path}: expected pixels uint8, or floats in [-1, 1], some below 0, got {images.dtype} from {low:g} to "
            f"{high:g}; save pixels, np.round(255 * images).astype(np.uint8) of images in [0, 1]"
        )
    return np.round(np.clip(images * 127.5 + 127.5, 0, 255)).astype(np.uint8)
