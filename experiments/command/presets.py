"""Presets: files of flags that come with the programs, found by their bare names from anywhere."""

import os
from collections.abc import Sequence
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "flags"


def find_presets(arguments: Sequence[str]) -> list[str]:
    """Put a shipped preset's path in the place of its bare name: --flagfile=digits, as one word or as two.

    A file of that name in the working directory goes before a preset; whatever names neither is kept.
    """
    found, before = [], ""
    for argument in arguments:
        flag, equals, value = argument.partition("=")
        if equals and _is_flagfile(flag):
            argument = f"{flag}={_path_of(value)}"
        elif _is_flagfile(before):
            argument = _path_of(argument)
        found.append(argument)
        before = "" if _is_flagfile(before) else argument
    return found


def _is_flagfile(word: str) -> bool:
    return word in ("--flagfile", "-flagfile")


def _path_of(name: str) -> str:
    is_bare = name and not set(name) & {"/", os.sep, "\0"} and not name.startswith(".")
    if not is_bare or os.path.exists(name):
        return name
    preset = FOLDER / f"{name.removesuffix('.flags')}.flags"
    return str(preset) if preset.is_file() else name
