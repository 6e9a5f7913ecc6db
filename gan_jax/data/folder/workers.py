"""Do something with many files at once, in bounded memory, and tell of all that fail in one line."""

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from gan_jax.data.dataset import DataError
from gan_jax.data.folder.files import File, UnreadableError

T = TypeVar("T")
WINDOW = 512  # results that may wait for whoever takes them
WINDOW_BYTES = 2**27  # of them together
_NAMED = 3  # files that an error names


class Budget:
    """Lets threads in as long as what they need together stays within `total`; one that needs more goes alone."""

    def __init__(self, total: int) -> None:
        self._total, self._used, self._changed = total, 0, threading.Condition()

    @contextlib.contextmanager
    def hold(self, amount: int) -> Iterator[None]:
        """Wait until the amount is free; hold it until the block ends."""
        amount = min(amount, self._total)
        with self._changed:
            self._changed.wait_for(lambda: self._used + amount <= self._total)
            self._used += amount
        try:
            yield
        finally:
            with self._changed:
                self._used -= amount
                self._changed.notify_all()


def for_each(
    files: Sequence[File], do: Callable[[bytes], T], doing: str, place: str, result_bytes: int = 1
) -> Iterator[T]:
    """Read each file and do something with its bytes, in threads; a bar at a terminal tells how far it is.

    Pillow and NumPy let other threads run while they compute, so threads suffice.

    Args:
      files: to read.
      do: bytes -> result; raises `UnreadableError` for a file that is not what it should be.
      doing: what the bar is to say, as in "decoding".
      place: where the files lie, for the error.
      result_bytes: of one result: so large ones that fewer wait at a time.

    Yields:
      The results, in the order of the files.

    Raises:
      DataError: some failed. It names the first three and counts all.
    """
    from tqdm import tqdm

    def attempt(file: File) -> T | UnreadableError:
        try:
            return do(file.read())
        except UnreadableError as error:
            return error

    failed: list[str] = []
    shown = sys.stderr is not None and not sys.stderr.closed and sys.stderr.isatty()
    with (
        ThreadPoolExecutor(
            min(32, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 4)
        ) as pool,
        tqdm(total=len(files), desc=doing, unit="file", disable=not shown, leave=False) as bar,
    ):
        width = min(WINDOW, max(1, WINDOW_BYTES // max(1, result_bytes)))
        for start in range(0, len(files), width):
            window = files[start : start + width]
            for file, found in zip(window, pool.map(attempt, window), strict=True):
                bar.update()
                if isinstance(found, UnreadableError):
                    failed.append(" ".join(f"{file.name} ({found})".split()))
                elif not failed:
                    yield found
    if failed:
        raise DataError(_line(failed, len(files), place))


def _line(failed: list[str], total: int, place: str) -> str:
    named = ", ".join(failed[:_NAMED])
    if len(failed) > _NAMED:
        named += f" and {len(failed) - _NAMED:,} more"
    which = "1 cannot" if len(failed) == 1 else f"{len(failed):,} cannot"
    them = "it" if len(failed) == 1 else "them"
    return f"{place}: of {total:,} files {which} be read: {named}; mend {them} or take {them} out"
