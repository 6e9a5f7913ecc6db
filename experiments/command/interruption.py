"""Ctrl-C and SIGTERM: the first asks the run to stop after its chunk, a second one ends it at once."""

import contextlib
import signal
from collections.abc import Iterator


class Interruption:
    """Whether a signal has asked the run to stop, and which."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None

    @property
    def exit_code(self) -> int:
        """What a shell reports for a process that a signal ended: 130 for Ctrl-C, 143 for SIGTERM."""
        return 0 if self.signal is None else 128 + self.signal


@contextlib.contextmanager
def listening() -> Iterator[Interruption]:
    """Catch SIGINT and SIGTERM inside the block."""
    interruption = Interruption()

    def handle(number: int, frame: object) -> None:
        del frame
        interruption.signal = signal.Signals(number)
        for either in before:
            signal.signal(either, signal.SIG_DFL)

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
