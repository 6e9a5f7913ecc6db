"""The one error of this room."""


class CheckpointError(Exception):
    """A checkpoint cannot be written, or none can be trusted. The message is one line."""


def brief(error: BaseException) -> str:
    """Return an error's type and message in one line of at most 205 characters: the head and the tail.

    Args:
      error: from a library whose messages may run over pages. TensorStore gives the cause at the end.
    """
    message = " ".join(str(error).split())
    line = f"{type(error).__name__}: {message}" if message else type(error).__name__
    return line if len(line) <= 205 else f"{line[:80]} ... {line[-120:]}"
