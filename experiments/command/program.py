"""Start a program: parse flags, and turn what a user can do wrong into one line and exit code 1. Imports no JAX."""

import errno
import os
import sys
import textwrap
from collections.abc import Callable, Sequence

from absl import flags

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_OURS = ("gan_jax", "experiments", "__main__")


class UserError(Exception):
    """Something the user can put right; the message is one line and says how."""


def run(
    main: Callable[..., int | None],
    argv: Sequence[str] | None = None,
    *,
    takes_arguments: bool = False,
) -> None:
    """Parse the command line, call `main`, and exit with its code.

    `main` is called without arguments, or, if it `takes_arguments`, with the list of the positional ones.

    Flags that do not parse, positional arguments, the errors that this project defines and those of the operating
    system end in one line on standard error and exit code 1. Anything else is a bug and shows its traceback.
    """
    argv = list(sys.argv if argv is None else argv)
    if "--help" in argv or "-h" in argv:
        print(_help(sys.modules["__main__"].__doc__ or ""))
        sys.exit(0)
    try:
        positional = _parse(argv)
        if positional and not takes_arguments:
            raise UserError(
                f"unexpected argument {positional[0]!r}: every option is --name=value, "
                "and a line of a flagfile begins with -- or #"
            )
        code = main(positional) if takes_arguments else main()
    except BrokenPipeError:  # the reader of our output went away
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 141
    except KeyboardInterrupt:  # before a run listens to signals, or in a program that does not
        print("stopped by SIGINT", file=sys.stderr)
        code = 130
    except Exception as error:
        if not _is_for_the_user(error):
            raise
        print(f"error: {_in_one_line(error)}", file=sys.stderr)
        code = 1
    sys.exit(code or 0)


def _parse(argv: list[str]) -> list[str]:
    if "flagfile=" in (word.lstrip("-") for word in argv):
        raise UserError("--flagfile= names no file")
    try:
        positional = flags.FLAGS(argv)[1:]
    except UnicodeDecodeError as error:
        raise UserError(f"a --flagfile is no text: {error}") from error
    for name, value in flags.FLAGS.flag_values_dict().items():
        if isinstance(value, str) and "\0" in value:
            raise UserError(f"--{name} holds a zero byte")
        if isinstance(value, str) and os.path.expanduser(value).startswith("~"):
            raise UserError(f"--{name}={value} names a user that does not exist")
    return positional


def _is_for_the_user(error: Exception) -> bool:
    module = type(error).__module__.split(".")[0]
    return isinstance(error, (flags.Error, OSError)) or module in _OURS


def _in_one_line(error: Exception) -> str:
    line = " ".join(str(error).split())
    no_room = isinstance(error, OSError) and error.errno in _NO_ROOM
    return f"{line}: make room, then give the same command again" if no_room else line


def _help(description: str) -> str:
    lines = [description.strip(), ""]
    for module, module_flags in flags.FLAGS.flags_by_module_dict().items():
        if module.split(".")[0] not in _OURS and not module.endswith(sys.argv[0]):
            continue
        for flag in module_flags:
            lines.append(f"  --{'[no]' if flag.boolean else ''}{flag.name}")
            text = f"{flag.help}. "  # absl puts an enum's choices before its help
            if flag.default is not None:
                text += f"Default: {flag.default}."
            lines.extend(textwrap.wrap(text, 90, initial_indent=" " * 6, subsequent_indent=" " * 6))
    lines.append("  --flagfile")
    lines.append(
        "      read flags from a file, one --name=value a line; presets: experiments/flags."
    )
    return "\n".join(lines)
