"""List the programs: `python -m experiments`."""

import ast
import sys
import textwrap
from pathlib import Path

from experiments.command import program, usage

FOLDER = Path(__file__).parent


def main(arguments: list[str]) -> int:
    """Print each program's name and the first line of its docstring, which is read without importing it."""
    if arguments:
        raise program.UserError(f"a program is started by python -m experiments.{arguments[0]}")
    notes = {path.stem: first_line(path) for path in programs(FOLDER)}
    longest = max(map(len, notes))
    print("usage: python -m experiments.PROGRAM [--flag=value ...]\n")
    for name, note in notes.items():
        print(f"  {name:{longest}}  {textwrap.shorten(note, 98 - longest, placeholder=' ...')}")
    print(
        "\npython -m experiments.PROGRAM --help explains a program and its flags. Presets are files of flags in\n"
        "experiments/flags: --flagfile=digits. What is timed against what:\n"
        "experiments/benchmarks. Results, minutes and hardware: experiments/README.md."
    )
    return 0


def programs(folder: Path) -> list[Path]:
    """List the files that are programs: rooms are folders."""
    return sorted(path for path in folder.glob("*.py") if not path.stem.startswith("__"))


def first_line(path: Path) -> str:
    """Read what a program says of itself in one line."""
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return docstring.partition("\n")[0]


if __name__ == "__main__":
    if usage.is_asked_for(sys.argv):  # the list is the help
        del sys.argv[1:]
    program.run(main, takes_arguments=True)
