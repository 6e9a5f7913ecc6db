"""The writing of a folder's small files: whole or not at all, and never to a place outside the folder."""

import os
import re
import secrets
from collections.abc import Iterable
from pathlib import Path

from experiments.command.program import UserError

# What a process that was killed while it wrote NAME left; version 0.1.0 left `.NAME.part`.
_LEFT_OVER = re.compile(r"\.(?P<name>.+?)(?:\.[0-9a-f]{16})?\.part")


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all. A link in its place is replaced, not followed.

    Raises:
      OSError: it cannot be written.
    """
    content = text.encode("utf-8")
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    file = beside.open("xb")  # exclusive: what others may have put there is not written to
    try:
        with file:
            file.write(content)
        os.replace(beside, path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def without_part(name: str) -> str:
    """Name the file of which a killed process left a part under this name; another name stays as it is."""
    found = _LEFT_OVER.fullmatch(name)
    return found["name"] if found else name


def refuse_links_out(folder: Path, paths: Iterable[Path]) -> None:
    """Check that what will be written in a folder lies in it: what others planted there may lead elsewhere.

    Args:
      folder: the folder; that it is reached by a link itself is its owner's business.
      paths: of files and folders inside; they need not exist.

    Raises:
      UserError: one leads out of the folder.
    """
    home = Path(os.path.realpath(folder))
    for path in paths:
        if not Path(os.path.realpath(path)).is_relative_to(home):
            raise UserError(
                f"{path} is a link that leads out of the folder: put in its place what it points to, or remove it"
            )
