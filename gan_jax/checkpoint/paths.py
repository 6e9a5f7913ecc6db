"""Folders in which checkpoints can be kept, told apart before anything is written."""

import os
import unicodedata
from pathlib import Path

from gan_jax.checkpoint.error import CheckpointError

# Orbax looks for its files by a pattern (glob), of which the folder's own path becomes a part; TensorStore
# refuses a backslash; and "gs:" at the end of a part is rewritten to the address of a cloud bucket.
PATTERN = "*?[]"
UNUSABLE = (*PATTERN, "\\", "gs:/")
# Unicode's categories of control characters, and of separators of lines and of paragraphs.
LINE_BREAKS = ("Cc", "Zl", "Zp")


def check_folder(folder: str | Path) -> Path:
    r"""Resolve a folder that checkpoints, or a run with them, are to lie in, and check that they can.

    Orbax loses a checkpoint without a word where it cannot use the path. Spaces and any letters are fine.

    Args:
      folder: need not exist.

    Returns:
      The absolute path, without links.

    Raises:
      CheckpointError: the resolved path holds one of `* ? [ ] \`, a part that ends in `gs:`, a line break or
        another control character, or is not UTF-8; or it cannot be resolved.
    """
    try:
        path = Path(folder).resolve()
    except (OSError, RuntimeError, ValueError) as error:  # links in a circle, a zero byte
        raise CheckpointError(f"{str(folder)!r} is no path to a folder: {error}") from error
    if trouble := _trouble(path):
        raise CheckpointError(
            f"checkpoints cannot be kept in {str(path)!r}: {trouble}; choose another folder, or rename it"
        )
    return path


def _trouble(path: Path) -> str | None:
    """Return what is wrong with an absolute path, or None."""
    text = path.as_posix()  # a backslash that separates is none
    for part in UNUSABLE:
        if part in f"{text}/":
            return f"Orbax and TensorStore cannot use {part!r} in a path"
    if any(unicodedata.category(letter) in LINE_BREAKS for letter in text):
        return "it holds a line break or another control character"
    try:
        if os.fsencode(path) == str(path).encode():
            return None
    except UnicodeEncodeError:
        pass
    return "its name is not UTF-8 (if it looks right to you, set a UTF-8 locale, such as LC_ALL=C.UTF-8)"
