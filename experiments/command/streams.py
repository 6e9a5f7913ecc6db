"""Standard output and error that may be closed, broken, or unable to spell a name. Imports no JAX."""

import contextlib
import os
import sys
from typing import TextIO


def mend() -> None:
    """Give a process with closed streams (`>&-`, `2>&-`) silent ones, and let every stream spell every name.

    Opened here, the silent ones take the closed descriptors. Otherwise the next file that is opened would take them,
    and whatever a C++ library tells its standard error would be written into that file.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError):  # a test's or a notebook's own
            stream.reconfigure(errors="backslashreplace")


def complain(line: str) -> None:
    """Print a line on standard error, if there is one that takes it."""
    if sys.stderr is not None:
        with contextlib.suppress(OSError, ValueError):  # nobody reads it, or it is closed
            print(line, file=sys.stderr, flush=True)


def settle(stream: TextIO | None) -> None:
    """Write out what a stream still holds; if that fails, let the interpreter not try again as it ends.

    Raises:
      OSError: it could not be written.
    """
    if stream is None or stream.closed:
        return
    try:
        stream.flush()
    except OSError:
        _silence(stream)
        raise


def settle_all() -> None:
    """Write out what standard output and error still hold, as far as anybody takes it."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            settle(stream)


def _silence(stream: TextIO) -> None:
    """Lead a stream that nobody reads into nothing."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, stream.fileno())
        os.close(silent)
