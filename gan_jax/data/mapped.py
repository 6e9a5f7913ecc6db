"""Arrays that are mapped into memory from a file: read in pieces, they need not stay there."""

import mmap

import numpy as np


def let_go(array: np.ndarray) -> None:
    """Give back the memory of an array that is mapped from a file, to be read again when it is used.

    Of other arrays, and of mapped ones that may have been written to, nothing happens.

    Args:
      array: an array, or a view of one.
    """
    owner = array
    while owner is not None and not isinstance(owner, np.memmap):
        owner = getattr(owner, "base", None)
    while isinstance(owner, np.memmap) and isinstance(owner.base, np.memmap):
        owner = owner.base
    mapped = getattr(owner, "base", None)
    if isinstance(mapped, mmap.mmap) and owner.mode == "r" and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)
