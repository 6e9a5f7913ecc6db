"""Say what a value read from a file must be: small checks that combine into the description of a whole file."""

from collections.abc import Callable, Mapping
from typing import Any

from experiments.record.strict_json import LARGEST

Check = Callable[[Any, str], None]  # the value, and where it stands; raises ValueError


def refuse(value: Any, where: str, expected: str) -> None:
    """Say what a value is, and what was expected in its place.

    Raises:
      ValueError: always.
    """
    raise ValueError(f"{where or 'it'} is {value!a:.40}, expected {expected}")


def anything(value: Any, where: str) -> None:
    """Let every value pass."""
    del value, where


def text(value: Any, where: str) -> None:
    """Expect a text."""
    if not isinstance(value, str):
        refuse(value, where, "a text")


def truth(value: Any, where: str) -> None:
    """Expect true or false."""
    if not isinstance(value, bool):
        refuse(value, where, "true or false")


def number(value: Any, where: str) -> None:
    """Expect a number; true and false are none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        refuse(value, where, "a number")


def scalar(value: Any, where: str) -> None:
    """Expect a flag's value: a number, a text, true, false or null."""
    if isinstance(value, list | dict):
        refuse(value, where, "a number, a text, true, false or null")


def whole(low: int = -LARGEST) -> Check:
    """Expect a whole number of at least `low`; true, false and 3.0 are none."""
    expected = "a whole number" + (f" of at least {low}" if low > -LARGEST else "")

    def check(value: Any, where: str) -> None:
        if isinstance(value, bool) or not isinstance(value, int) or value < low:
            refuse(value, where, expected)

    return check


def or_null(check: Check) -> Check:
    """Let null pass, and check everything else."""
    return lambda value, where: None if value is None else check(value, where)


def list_of(check: Check, *, least: int = 0) -> Check:
    """Expect a list whose values pass a check, at least `least` of them."""

    def check_list(value: Any, where: str) -> None:
        if not isinstance(value, list) or len(value) < least:
            refuse(value, where, "a list" + (f" of at least {least}" if least else ""))
        for place, inner in enumerate(value):
            check(inner, f"{where}[{place}]")

    return check_list


def table_of(check: Check) -> Check:
    """Expect a table whose values pass a check, under any names."""

    def check_table(value: Any, where: str) -> None:
        if not isinstance(value, dict):
            refuse(value, where, "a table")
        for name, inner in value.items():
            check(inner, _below(where, name))

    return check_table


def record(
    required: Mapping[str, Check], *, optional: Mapping[str, Check] = {}, others: Check = anything
) -> Check:
    """Expect a table that has the required entries, may have the optional ones, and `others` besides."""

    def check_record(value: Any, where: str) -> None:
        if not isinstance(value, dict):
            refuse(value, where, "a table")
        for name in required:
            if name not in value:
                raise ValueError(f"{_below(where, name)} is missing")
        for name, inner in value.items():
            check = required.get(name) or optional.get(name) or others
            check(inner, _below(where, name))

    return check_record


def _below(where: str, name: str) -> str:
    shown = name if name.isidentifier() else f"{name!a:.40}"
    return f"{where}.{shown}" if where else shown
