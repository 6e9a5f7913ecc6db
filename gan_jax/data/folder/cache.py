"""Keep decoded data as one array on disk, which later runs map into memory instead of decoding again.

An array is kept under a hash of what it was made of, so it never needs to be brought up to date; it may be removed at
any time. It takes its name only when it is whole. Two processes that need it at once: one makes it, the other waits.
"""

import contextlib
import hashlib
import math
import os
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from gan_jax.data.dataset import DataError

VERSION = 1  # raise it when the same files are to give other arrays


def content_key(digests: Iterable[bytes], *facts: object) -> str:
    """Name an array after what it is made of.

    Args:
      digests: SHA-256 of each file, in the order of the array.
      *facts: whatever else its values depend on; their `repr` counts.

    Returns:
      64 hexadecimal digits.
    """
    digest = hashlib.sha256(repr((VERSION, *facts)).encode())
    for each in digests:
        digest.update(each)
    return digest.hexdigest()


def kept_array(
    folder: str | os.PathLike,
    key: str,
    shape: tuple[int, ...],
    dtype: type,
    rows: Iterable[np.ndarray],
) -> np.ndarray:
    """Give the array that is kept under a key; make it of its rows if it is not there.

    Args:
      folder: where arrays are kept, made if missing; empty: nowhere, the array is held in memory.
      key: from `content_key`.
      shape: of the array [N, ...].
      dtype: of its elements.
      rows: N arrays of shape[1:], taken only where they are needed.

    Returns:
      The array, read-only and mapped into memory where it lies on disk.

    Raises:
      DataError: the folder cannot be written.
    """
    if not str(folder):
        array = np.empty(shape, dtype)
        for place, row in enumerate(rows):
            array[place] = row
        array.flags.writeable = False
        return array
    file = Path(folder).expanduser() / f"{key}.npy"
    try:
        with _held(file):
            found = _mapped(file, shape, dtype)
            if found is None:
                _write(file, shape, dtype, rows)
                found = _mapped(file, shape, dtype)
    except OSError as error:
        raise DataError(
            f"{error.filename or file}: expected a place for {math.prod(shape) >> 20} MiB of decoded data, got "
            f"{error.strerror or error}; choose another by --data_cache=FOLDER, or hold them in memory by --data_cache="
        ) from error
    return found


@contextlib.contextmanager
def _held(file: Path) -> Iterator[None]:
    import filelock

    file.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(file.with_suffix(".lock"), fallback_to_soft=False):
        yield


def _mapped(file: Path, shape: tuple[int, ...], dtype: type) -> np.ndarray | None:
    """Map a file into memory; None if it is missing or none that was written whole."""
    try:
        array = np.load(file, mmap_mode="r", allow_pickle=False)
    except (FileNotFoundError, ValueError, EOFError):
        return None
    return array if (array.shape, array.dtype) == (shape, np.dtype(dtype)) else None


def _write(file: Path, shape: tuple[int, ...], dtype: type, rows: Iterable[np.ndarray]) -> None:
    """Write row after row, so that no more than one is in memory; the file is whole, or not there."""
    beside = file.with_name(f".{file.name}.{secrets.token_hex(8)}.part")
    header = {
        "descr": np.lib.format.dtype_to_descr(np.dtype(dtype)),
        "fortran_order": False,
        "shape": shape,
    }
    try:
        with beside.open("xb") as out:
            np.lib.format.write_array_header_1_0(out, header)
            for row in rows:
                out.write(np.ascontiguousarray(row, dtype).data)
        os.replace(beside, file)
    finally:
        beside.unlink(missing_ok=True)
