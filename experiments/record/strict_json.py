"""Read JSON that may come from anyone: what Python's reader lets pass and this project never writes is refused."""

import json
import math
from typing import Any

LARGEST = 2**63 - 1
DEEPEST = 16  # lists and tables within one another


def parse(raw: bytes) -> Any:
    """Parse one JSON value.

    Args:
      raw: UTF-8, without a byte-order mark.

    Returns:
      Plain values. Whole numbers fit 64 bits, others are finite, every text can be written as UTF-8.

    Raises:
      ValueError: it is no such value: cut short, NaN or an infinity, a number too large, a key that stands twice,
        half a surrogate pair, or lists and tables nested too deeply.
    """
    if not raw.strip():
        raise ValueError("it is empty")
    try:
        value = json.loads(
            raw.decode("utf-8"),
            object_pairs_hook=_table,
            parse_constant=_no_constant,
            parse_float=_finite,
            parse_int=_whole,
        )
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    _check_inside(value, DEEPEST)
    return value


def _table(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice!a:.40} stands twice in one table")
    return table


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text:.20} is too large")
    return value


def _whole(text: str) -> int:
    value = int(text) if len(text) <= 20 else LARGEST + 1
    if abs(value) > LARGEST:
        raise ValueError(f"{text:.20} is too large")
    return value


def _check_inside(value: Any, depth: int) -> None:
    """Refuse text that cannot be printed, and what a writer would choke on."""
    if isinstance(value, str):
        value.encode("utf-8")  # raises for half a surrogate pair
    elif isinstance(value, dict | list):
        if not depth:
            raise ValueError("it is nested too deeply")
        for inner in value:
            _check_inside(inner, depth - 1)
        for inner in value.values() if isinstance(value, dict) else ():
            _check_inside(inner, depth - 1)
