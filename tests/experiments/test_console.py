"""What a run tells while it goes, on streams that are sound, closed or gone."""

import errno
import io
import sys

import pytest

from experiments.training.console import Console

RECORD = {"step": 5, "d_loss": 1.23456, "g_loss": None, "images_per_second": 1234.5}
LINE = "step 5/10  d_loss 1.23  images/s 1234\n"


class Stream(io.StringIO):
    """A stream, or a terminal, whose writes fail with `error`."""

    def __init__(self, terminal: bool = False, error: Exception | None = None) -> None:
        super().__init__()
        self._terminal, self.error = terminal, error

    def isatty(self) -> bool:
        return self._terminal

    def write(self, text: str) -> int:
        if self.error is not None:
            raise self.error
        return super().write(text)


def closed() -> Stream:
    stream = Stream()
    stream.close()
    return stream


def use_all(console: Console) -> None:
    console.start_at(0)
    console.say("said")
    console.warn("warned")
    console.advance(5)
    console.log(RECORD)
    console.close()
    console.say("said at last")


@pytest.fixture
def streams(monkeypatch):
    def replace(out, err):
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(sys, "stderr", err)

    return replace


def test_away_from_a_terminal_everything_is_plain_lines_on_stdout(capsys):
    use_all(Console(10))
    assert capsys.readouterr() == ("said\nwarned\n" + LINE + "said at last\n", "")


def test_a_quiet_run_only_warns_and_a_silent_one_says_nothing(capsys):
    use_all(Console(10, quiet=True))
    assert capsys.readouterr() == ("warned\n", "")
    use_all(Console(10, quiet=True, silent=True))
    assert capsys.readouterr() == ("", "")


def test_at_a_terminal_there_is_a_bar_and_lines_stand_above_it(streams):
    out, err = Stream(), Stream(terminal=True)
    streams(out, err)
    use_all(Console(10))
    assert out.getvalue() == ""
    shown = err.getvalue()
    assert "said\n" in shown and "warned\n" in shown and "said at last\n" in shown
    assert "5/10" in shown and "d_loss=1.23" in shown and LINE not in shown


def test_the_bar_of_a_resumed_run_starts_at_its_step_and_counts_its_speed_from_there(streams):
    streams(Stream(), Stream(terminal=True))
    console = Console(10)
    console.start_at(4)
    console.advance(6)
    state = console._bar.format_dict
    assert (state["initial"], state["n"], state["total"]) == (4, 6, 10)
    console.close()


def test_a_quiet_run_at_a_terminal_has_no_bar(streams):
    out, err = Stream(), Stream(terminal=True)
    streams(out, err)
    use_all(Console(10, quiet=True))
    assert (out.getvalue(), err.getvalue()) == ("warned\n", "")


GONE = OSError(errno.EIO, "the terminal is gone")
FULL = OSError(errno.ENOSPC, "no room")


@pytest.mark.parametrize("make", [lambda: None, closed, lambda: Stream(error=GONE), lambda: Stream(error=FULL)],
                         ids=["none", "closed", "gone", "full"])  # fmt: skip
def test_no_stream_that_fails_ends_a_training(streams, make):
    kept = Stream()
    streams(kept, make())
    use_all(Console(10))
    assert kept.getvalue().endswith(LINE + "said at last\n")  # without a bar, but told
    streams(make(), make())
    for quiet in (False, True):
        use_all(Console(10, quiet=quiet))


def test_a_terminal_that_goes_away_under_the_bar_does_not_end_a_training(streams):
    terminal = Stream(terminal=True)
    streams(Stream(), terminal)
    console = Console(10)
    terminal.error = GONE
    use_all(console)


def test_a_reader_that_goes_away_does(streams):
    streams(Stream(error=BrokenPipeError(errno.EPIPE, "nobody reads")), Stream())
    console = Console(10)
    with pytest.raises(BrokenPipeError):
        console.say("said")
    with pytest.raises(BrokenPipeError):
        console.log(RECORD)
