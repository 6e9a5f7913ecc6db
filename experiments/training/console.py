"""What a run tells while it goes: a progress bar at a terminal, plain lines elsewhere, TensorBoard on request."""

import contextlib
import sys
from collections.abc import Iterator, Mapping
from typing import Any, TextIO

SHOWN = ("d_loss", "g_loss", "dis_acc", "gan_acc", "modes", "high_quality")


class Console:
    """Progress of a run of `total` steps; a quiet one only warns, a silent one says nothing at all.

    A stream that is closed, full or a terminal that is gone does not end a training. A reader that went away
    (`... | head`) ends it, as it ends every program.
    """

    def __init__(self, total: int, quiet: bool = False, silent: bool = False) -> None:
        from tqdm import tqdm

        self._total, self._quiet, self._silent = total, quiet, silent
        self._at_terminal = not quiet and _is_terminal(sys.stderr)
        self._bar = tqdm(total=total, unit="step", disable=not self._at_terminal)

    def start_at(self, step: int) -> None:
        """Put the bar at a step without counting the time before."""
        with _whatever_becomes_of_it():
            self._bar.reset(self._total)
        self._bar.n = self._bar.initial = step

    def say(self, text: str) -> None:
        """Print a line, above the bar if there is one."""
        if self._at_terminal:
            with _whatever_becomes_of_it():
                self._bar.write(text, file=sys.stderr)
        elif not self._quiet:
            _print(text)

    def warn(self, text: str) -> None:
        """Print a line that is meant for the user even where others are not: a quiet run is one of many."""
        if self._quiet and not self._silent:
            _print(text)
        else:
            self.say(text)

    def advance(self, step: int) -> None:
        """Move the bar to a step."""
        with _whatever_becomes_of_it():
            self._bar.update(step - self._bar.n)

    def log(self, record: Mapping[str, Any]) -> None:
        """Show a line of the log."""
        shown = {key: f"{record[key]:.3g}" for key in SHOWN if record.get(key) is not None}
        shown["images/s"] = f"{record['images_per_second']:.0f}"
        if self._at_terminal:
            with _whatever_becomes_of_it():
                self._bar.set_postfix(shown)
        else:
            values = "  ".join(f"{key} {value}" for key, value in shown.items())
            self.say(f"step {record['step']}/{self._total}  {values}")

    def close(self) -> None:
        """Leave the bar as it stands."""
        with _whatever_becomes_of_it():
            self._bar.close()


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and not stream.closed and stream.isatty()


def _print(text: str) -> None:
    if sys.stdout is not None:
        with _whatever_becomes_of_it():
            print(text, flush=True)


@contextlib.contextmanager
def _whatever_becomes_of_it() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except (OSError, ValueError):  # a stream that is closed raises ValueError
        pass
