"""Write a picture whole or not at all."""

import os
import pathlib
import secrets
from collections.abc import Callable
from typing import BinaryIO


def write_atomically(path: str | os.PathLike, write: Callable[[BinaryIO], object]) -> None:
    """Call `write(file)` on a temporary file beside `path`, then move it to `path`.

    Missing folders are made. If `write` raises, what was at `path` stays as it was and the temporary file
    is removed.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    file = temporary.open("xb")  # exclusive: what others may have put there is not written to
    try:
        with file:
            write(file)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def picture_format(path: str | os.PathLike) -> str:
    """Return the format that the extension of `path` names, without the dot; "png" if it has none."""
    return pathlib.Path(path).suffix.lstrip(".").lower() or "png"
