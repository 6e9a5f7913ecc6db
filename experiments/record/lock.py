"""Hold a folder against other processes."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import filelock

from experiments.command.program import UserError
from experiments.record.files import refuse_links_out

LOCK = ".lock"


@contextlib.contextmanager
def hold(folder: Path, *, patience: float, refusal: str) -> Iterator[None]:
    """Hold a folder, which is made if missing, until the block ends.

    The lock is the operating system's, so a process that died holds nothing.

    Args:
      folder: which.
      patience: seconds to wait for another process.
      refusal: what to say if the other still holds it then.

    Raises:
      UserError: it is held, or cannot be written.
    """
    file = folder / LOCK
    lock = filelock.FileLock(file, fallback_to_soft=False)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        refuse_links_out(folder, [file])
        lock.acquire(timeout=patience)
    except filelock.Timeout as error:
        raise UserError(refusal) from error
    except OSError as error:
        raise UserError(f"cannot write to --workdir={folder}: {error.strerror}") from error
    try:
        yield
    finally:
        lock.release()
