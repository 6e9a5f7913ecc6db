"""Start a program, and end it with one line for whatever its user can put right. Imports no JAX.

A program that imports what is slow begins in front of these imports, so that --help and wrong flags answer at once:

    from experiments.command import program
    from experiments.many import members

    if __name__ == "__main__":  # --help and wrong flags answer before the slow imports below
        program.begin(members.define_flags, dataset="ring")

    import jax

    def main() -> int: ...

    if __name__ == "__main__":
        program.run(main)

Exit codes: 0 done; 1 an error for the user, told in one line, or a bug, which keeps its traceback; 129, 130, 143
stopped by SIGHUP, SIGINT, SIGTERM; 141 the reader of the output went away, as in `... --help | head`.
"""

import errno
import gc
import os
import shlex
import sys
from collections.abc import Callable, Sequence

from absl import flags

from experiments.command import compiler, hints, interruption, presets, streams, usage

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_OURS = ("gan_jax", "experiments", "__main__")

_positional: list[str] | None = None  # what `begin` has left for `run`


class UserError(Exception):
    """Something the user can put right; the message is one line and says how."""


def begin(
    define: Callable[[], None] | None = None, *, takes_arguments: bool = False, **defaults: object
) -> None:
    """Do what a program does before its slow imports: listen to signals, answer --help, parse the command line.

    Ends the process where there is nothing more to do. Call it only where `__name__ == "__main__"`: a module that is
    imported by others is to define no flags of the training.

    Args:
      define: what defines the flags that the program shares with others; its own are defined already.
      takes_arguments: whether the command line may hold positional arguments, for `run`.
      **defaults: the program's own defaults of shared flags.
    """
    global _positional
    _prepare_process()
    if define is not None:
        define()
    for name, value in defaults.items():
        flags.FLAGS.set_default(name, value)
    arguments: list[str] = []
    if usage.is_asked_for(sys.argv):
        sys.exit(_answer(lambda: print(_help())))
    if code := _answer(lambda: arguments.extend(_parse(sys.argv, takes_arguments))):
        sys.exit(code)
    compiler.cure()
    _positional = arguments


def run(
    main: Callable[..., int | None],
    argv: Sequence[str] | None = None,
    *,
    takes_arguments: bool = False,
) -> None:
    """Parse the command line where `begin` has not, call `main`, and exit with its code.

    Flags that do not parse, positional arguments, the errors that this project defines and those of the operating
    system end in one line on standard error and exit code 1. Anything else is a bug and shows its traceback.

    Args:
      main: called without arguments, or, if it `takes_arguments`, with the list of the positional ones.
      argv: the command line of a program that is run inside another process, as tests do; None for this process's own.
      takes_arguments: whether there may be positional arguments.
    """
    if argv is None:
        _prepare_process()
    line = list(sys.argv if argv is None else argv)
    if usage.is_asked_for(line):
        sys.exit(_answer(lambda: print(_help())))

    def act() -> int | None:
        positional = _positional if argv is None else None
        if positional is None:  # not begun
            positional = _parse(line, takes_arguments)
            compiler.cure()
        return main(positional) if takes_arguments else main()

    sys.exit(_answer(act))


def command_line(module: str, **values: object) -> str:
    """Write the command that starts a program, as a shell takes it.

    Args:
      module: its name, as in `experiments.mnist`.
      **values: flags, in this order; None is left out, a list is given once for each value.
    """
    words = ["python", "-m", module]
    for name, value in values.items():
        for each in value if isinstance(value, list | tuple) else [value]:
            if isinstance(each, bool):
                words.append(f"--{name}" if each else f"--no{name}")
            elif each is not None:
                words.append(f"--{name}={each}")
    return shlex.join(words)


def _prepare_process() -> None:
    """Make this process ready for JAX; once more does no harm."""
    # Importing and tracing make many objects that stay: looking through them for garbage took a tenth of the start.
    gc.set_threshold(50_000)
    interruption.end_at_once()
    streams.mend()


def _answer(act: Callable[[], int | None]) -> int:
    """Do something for the user; turn what goes wrong into one line and an exit code."""
    try:
        code = act() or 0
        streams.settle(sys.stdout)
        return code
    except BrokenPipeError:
        return 141
    except KeyboardInterrupt:  # in a process whose signals belong to others, as a test's
        streams.complain("stopped by SIGINT")
        return 130
    except Exception as error:
        if not _is_for_the_user(error):
            raise
        streams.complain(f"error: {_in_one_line(error)}")
        return 1
    finally:
        streams.settle_all()


def _parse(argv: list[str], takes_arguments: bool) -> list[str]:
    """Parse the flags; return the positional arguments."""
    if "flagfile=" in (word.lstrip("-") for word in argv):
        raise UserError("--flagfile= names no file")
    try:
        positional = flags.FLAGS(presets.find_presets(argv))[1:]
    except UnicodeDecodeError as error:
        raise UserError(f"a --flagfile is no text: {error}") from error
    except flags.UnrecognizedFlagError as error:
        raise UserError(hints.explain(error)) from error
    for name, value in flags.FLAGS.flag_values_dict().items():
        if isinstance(value, str) and "\0" in value:
            raise UserError(f"--{name} holds a zero byte")
        if isinstance(value, str) and os.path.expanduser(value).startswith("~"):
            raise UserError(f"--{name}={value} names a user that does not exist")
    if positional and not takes_arguments:
        raise UserError(
            f"unexpected argument {positional[0]!r}: every option is --name=value, "
            "and a line of a flagfile begins with -- or #"
        )
    return positional


def _is_for_the_user(error: Exception) -> bool:
    module = type(error).__module__.split(".")[0]
    return isinstance(error, (flags.Error, OSError)) or module in _OURS


def _in_one_line(error: Exception) -> str:
    line = " ".join(str(error).split())
    no_room = isinstance(error, OSError) and error.errno in _NO_ROOM
    return f"{line}: make room, then give the same command again" if no_room else line


def _help() -> str:
    program = sys.modules["__main__"]
    spec = getattr(program, "__spec__", None)
    started = f"python -m {spec.name}" if spec else f"python {sys.argv[0]}"
    return usage.page(program.__doc__ or "", started)
