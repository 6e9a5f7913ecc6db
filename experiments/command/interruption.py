"""Ctrl-C, SIGTERM and SIGHUP. Imports no JAX, so that it can listen before JAX is imported.

Outside the training loop nothing is under way that a kill would harm, so a signal ends the program at once, with
one line and the exit code that a shell reports for it. Inside, the first signal asks the run to stop after its chunk,
and a second one ends it at once.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows has no SIGHUP


class Interruption:
    """Whether a signal has asked the run to stop, and which."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None

    @property
    def exit_code(self) -> int:
        """What a shell reports for a process that a signal ended: 130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP."""
        return 0 if self.signal is None else 128 + self.signal


def end_at_once() -> None:
    """From now on, let a signal end the process with one line.

    No exception is raised: Python and JAX lose one that comes in a callback, and crash on one in an import.
    """
    for number in _heard():
        signal.signal(number, _end)


@contextlib.contextmanager
def listening() -> Iterator[Interruption]:
    """Catch SIGINT, SIGTERM and SIGHUP inside the block: the first is noted, a second one ends the process."""
    interruption = Interruption()

    def note(number: int, frame: object) -> None:
        del frame
        interruption.signal = signal.Signals(number)
        _let_the_next_one_kill()

    before = {number: signal.signal(number, note) for number in _heard()}
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _heard() -> list[signal.Signals]:
    """List the signals that are the program's business; under nohup a hangup is not."""
    numbers = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
    ignored = [n for n in numbers[2:] if signal.getsignal(n) == signal.SIG_IGN]
    return [number for number in numbers if number not in ignored]


def _let_the_next_one_kill() -> None:
    for number in _heard():
        signal.signal(number, signal.SIG_DFL)


def _end(number: int, frame: object) -> None:
    del frame
    _let_the_next_one_kill()
    with contextlib.suppress(Exception):  # whatever the interrupted code was doing to it
        sys.stdout.flush()
    with contextlib.suppress(OSError):
        os.write(2, f"stopped by {signal.Signals(number).name}\n".encode())
    os._exit(128 + number)  # no farewells: threads of JAX may be at work
