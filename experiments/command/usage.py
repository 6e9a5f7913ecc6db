"""The page that --help prints: flags in groups, presets, wrapped to the terminal. Imports no JAX."""

import contextlib
import shutil
import sys
import textwrap
from collections.abc import Iterator

from absl import flags

from experiments.command import presets

OWN = "this program"
_ASKS = ("-h", "-help", "--help", "--helpshort", "--helpfull")

_groups: dict[str, str] = {}  # a flag's name -> the title under which it is shown


@contextlib.contextmanager
def group(title: str) -> Iterator[None]:
    """Show the flags that are defined inside the block under a title of their own."""
    before = set(flags.FLAGS)
    yield
    _groups.update({name: title for name in flags.FLAGS if name not in before})


def is_asked_for(argv: list[str]) -> bool:
    """Whether a command line asks for help."""
    return any(word in _ASKS for word in argv[1:])


def page(description: str, command: str) -> str:
    """Write the page, as wide as the terminal but at most 100 columns.

    Args:
      description: a program's docstring.
      command: what starts it, as in `python -m experiments.mnist`.
    """
    width = max(40, min(100, shutil.get_terminal_size().columns))
    parts = [f"usage: {command} [--flag=value ...]", _reflow(description, width)]
    for title, listed in _sections().items():
        parts.append("\n".join([f"{title}:", *(_entry(flag, width) for flag in listed)]))
    parts.append(_flagfile(width))
    if "num_steps" in _groups:  # a program that trains
        parts.append(_presets(command, width))
    return "\n\n".join(part for part in parts if part)


def _reflow(text: str, width: int) -> str:
    """Wrap paragraphs and lists; tables and commands, which are indented, stay as they are."""
    return "\n\n".join(_wrap(part, width) for part in text.strip().split("\n\n"))


def _wrap(paragraph: str, width: int) -> str:
    if paragraph.startswith(" "):
        return paragraph
    items = [" ".join(item.split()) for item in paragraph.split("\n* ")]
    hanging = "  " if items[0].startswith("* ") else ""
    lines = [textwrap.fill(items[0], width, subsequent_indent=hanging)]
    lines += [textwrap.fill(f"* {item}", width, subsequent_indent="  ") for item in items[1:]]
    return "\n".join(lines)


def _sections() -> dict[str, list[flags.Flag]]:
    """Sort the flags: groups in the order of their definition, then the program's own."""
    titles = [*dict.fromkeys(_groups.values()), OWN]
    sections: dict[str, list[flags.Flag]] = {title: [] for title in titles}
    for name in filter(_is_ours, flags.FLAGS):
        sections[_groups.get(name, OWN)].append(flags.FLAGS[name])
    return {title: listed for title, listed in sections.items() if listed}


def _is_ours(name: str) -> bool:
    """Whether a flag is of this project: absl and other libraries define flags too."""
    module = flags.FLAGS.find_module_defining_flag(name) or ""
    return name in _groups or module.split(".")[0] == "experiments" or module == sys.argv[0]


def _entry(flag: flags.Flag, width: int) -> str:
    text = f"{flag.help.removesuffix('.')}."  # absl puts an enum's choices before its help
    if flag.default not in (None, "", []):
        text += f" Default: {flag.default_as_str.strip(chr(39))}."
    return f"  --{'[no]' if flag.boolean else ''}{flag.name}\n" + _indented(text, width)


def _flagfile(width: int) -> str:
    text = (
        "Read flags from a file, one --name=value a line; flags after it on the command line win."
    )
    return f"files of flags:\n  --flagfile\n{_indented(text, width)}"


def _presets(command: str, width: int) -> str:
    """List the presets, each with the beginning of its note."""
    lines = [
        f"presets: {command} --flagfile=NAME, where NAME is one of",
    ]
    notes = {
        path.stem: path.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ")
        for path in sorted(presets.FOLDER.glob("*.flags"))
    }
    longest = max(map(len, notes), default=0)
    for name, note in notes.items():
        note = textwrap.shorten(note, width - longest - 4, placeholder=" ...")
        lines.append(f"  {name:{longest}}  {note}")
    return "\n".join(lines)


def _indented(text: str, width: int) -> str:
    text = " ".join(text.split())
    return textwrap.fill(text, width, initial_indent=" " * 6, subsequent_indent=" " * 6)
