"""The one error of this room, and how the errors of others are told in it."""

import errno
import os
import re
from collections.abc import Iterator

NO_ROOM = {
    errno.ENOSPC: "disk full",
    errno.EDQUOT: "disk full",
    errno.EFBIG: "file too large",
}
# What libraries make of it, where they drop the number: TensorStore's number, the system's words.
TOLD_BY_NUMBER = re.compile(r"os_error_code\W{1,4}(\d+)")
TOLD_IN_WORDS = {
    "no space left": errno.ENOSPC,
    "not enough space on the disk": errno.ENOSPC,
    "enospc": errno.ENOSPC,
    "quota exceeded": errno.EDQUOT,
    "edquot": errno.EDQUOT,
    "file too large": errno.EFBIG,
    "efbig": errno.EFBIG,
}


class CheckpointError(Exception):
    """A checkpoint cannot be written, or none can be trusted. The message is one line."""


def brief(error: BaseException) -> str:
    """Return what went wrong in one line of at most 205 characters.

    Where there was no room, the line says `disk full` or `file too large`, however long the library's own message
    is. Any other error is told by its type, and the head and the tail of its message.

    Args:
      error: from a library whose messages may run over pages. TensorStore gives the cause at the end, or amid them.
    """
    for each in _causes(error):
        if (number := _number(each)) in NO_ROOM:
            return f"{NO_ROOM[number]} ({os.strerror(number)}): make room"
    message = " ".join(str(error).split())
    line = f"{type(error).__name__}: {message}" if message else type(error).__name__
    return line if len(line) <= 205 else f"{line[:80]} ... {line[-120:]}"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and what it comes from, the members of a group included."""
    waiting, seen = [error], []
    while waiting:
        each = waiting.pop(0)
        if each is not None and each not in seen:
            seen.append(each)
            waiting += [*getattr(each, "exceptions", ()), each.__cause__, each.__context__]
            yield each


def _number(error: BaseException) -> int | None:
    """Return the operating system's number of an error, from its text if it has no other."""
    if isinstance(error, OSError) and error.errno:
        return error.errno
    text = str(error)
    if told := TOLD_BY_NUMBER.search(text):
        return int(told[1])
    return next((number for words, number in TOLD_IN_WORDS.items() if words in text.lower()), None)
