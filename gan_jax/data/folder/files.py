"""List the files of a folder or a .zip, without unpacking it: nothing is ever written, and no file is believed."""

import os
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from gan_jax.data.dataset import DataError

MAX_DEPTH = 64  # folders in one another
MAX_FILES = 10_000_000
MAX_FILE_BYTES = 2**28  # the largest that is read at all, unpacked
_NOT_OURS = ("__MACOSX",)  # what macOS adds to a .zip; hidden files are left out, too


class UnreadableError(Exception):
    """One file cannot be had; the message says why, and not which."""


class File(NamedTuple):
    """A file that can be read.

    Attributes:
      name: its way from the folder or within the .zip, with slashes.
      read: gives its bytes; raises `UnreadableError`.
    """

    name: str
    read: Callable[[], bytes]


def find_files(path: str | os.PathLike, suffixes: tuple[str, ...]) -> list[File]:
    """List the files with certain endings, sorted by name.

    Hidden files are left out, as are files that are none (pipes, devices). Links are followed.

    Args:
      path: a folder, or a .zip.
      suffixes: in lower case, as in (".png", ".jpg"); a file's own may be in upper case.

    Returns:
      At least one file.

    Raises:
      DataError: there is no such folder or .zip, it cannot be read, or no file ends so.
    """
    path = Path(path).expanduser()
    try:
        found = _in_zip(path) if path.is_file() else _in_folder(path, "", ())
        files = []
        for file in found:
            if file.name.lower().endswith(suffixes):
                files.append(file)
            if len(files) > MAX_FILES:
                raise DataError(f"{path}: expected at most {MAX_FILES:,} files, got more")
    except zipfile.BadZipFile as error:
        raise DataError(f"{path}: expected a sound .zip, got {error}; fetch it again") from error
    except OSError as error:
        got = error.strerror or error
        raise DataError(
            f"{error.filename or path}: expected a readable folder or .zip, got {got}; set --data_dir"
        ) from error
    if not files:
        raise DataError(
            f"{path}: expected files that end in {', '.join(suffixes)}, got none; set --data_dir to where they are"
        )
    return sorted(files, key=lambda file: file.name)


def _is_ours(name: str) -> bool:
    hidden = name.startswith(".") and name.strip(
        "."
    )  # "." and "..", as a .zip may have them, are ways
    return not hidden and name not in _NOT_OURS


def _in_folder(folder: Path, above: str, ancestors: tuple[tuple[int, int], ...]) -> Iterator[File]:
    status = os.stat(folder)
    this = (status.st_dev, status.st_ino)
    if this in ancestors:  # a link that leads in a circle
        return
    if len(ancestors) >= MAX_DEPTH:
        raise DataError(
            f"{folder}: expected folders at most {MAX_DEPTH} deep, got deeper ones; set --data_dir to an inner one"
        )
    with os.scandir(folder) as entries:
        for entry in entries:
            name = above + entry.name
            if not _is_ours(entry.name):
                continue
            if entry.is_dir():
                yield from _in_folder(folder / entry.name, f"{name}/", (*ancestors, this))
            elif entry.is_file():
                yield File(name, partial(_read_file, Path(entry.path)))


def _read_file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise UnreadableError(error.strerror or str(error)) from error
    return _checked(content)


def _in_zip(path: Path) -> Iterator[File]:
    try:
        archive = zipfile.ZipFile(path)  # stays open as long as a file of it may be read
    except (ValueError, NotImplementedError) as error:  # names that are no text, a later version
        raise zipfile.BadZipFile(str(error)) from error
    for entry in archive.infolist():
        if not entry.is_dir() and all(_is_ours(part) for part in entry.filename.split("/")):
            yield File(entry.filename, partial(_read_entry, archive, entry))


def _read_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """Unpack an entry, at most `MAX_FILE_BYTES` of it, whatever its header promises."""
    try:
        with archive.open(entry) as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except (RuntimeError, NotImplementedError) as error:  # a password, an unknown compression
        raise UnreadableError(f"cannot be unpacked: {error}") from error
    except Exception as error:  # every compression has errors of its own
        raise UnreadableError(f"damaged within the .zip: {error}") from error
    return _checked(content)


def _checked(content: bytes) -> bytes:
    if len(content) > MAX_FILE_BYTES:
        raise UnreadableError(f"more than {MAX_FILE_BYTES >> 20} MiB")
    if not content:
        raise UnreadableError("an empty file")
    return content
