"""What the files of a run folder hold, and the one way to read them: sound, or refused in a line that says how.

Entries that are not named here pass, so that folders of newer versions can be read; entries that a version added
are optional, so that folders of older versions can be.
"""

from pathlib import Path
from typing import Any, get_type_hints

from experiments.command.config import Config
from experiments.command.program import UserError
from experiments.record.checks import (
    Check,
    anything,
    list_of,
    number,
    or_null,
    record,
    refuse,
    scalar,
    table_of,
    text,
    truth,
    whole,
)
from experiments.record.strict_json import parse

Table = dict[str, Any]

_OF_TYPE: dict[Any, Check] = {
    str: text,
    bool: truth,
    int: whole(),
    float: number,
    int | None: or_null(whole()),
    float | None: or_null(number),
}
_FLAGS = {name: _OF_TYPE.get(kind, anything) for name, kind in get_type_hints(Config).items()}


def module_name(value: Any, where: str) -> None:
    """Expect the name of a program, as in `python -m experiments.<name>`."""
    if not isinstance(value, str) or not all(part.isidentifier() for part in value.split(".")):
        refuse(value, where, "the name of a program")


def plain_name(value: Any, where: str) -> None:
    """Expect the name of a folder inside another: one that no system reads as a way elsewhere."""
    plain = isinstance(value, str) and value not in ("", ".", "..") and value.isprintable()
    if not plain or set("/\\:") & set(value):
        refuse(value, where, "the plain name of a folder")


RUN = record(
    {
        "experiment": module_name,
        "config": record({}, optional=_FLAGS, others=scalar),
        "dataset": record(
            {"shape": list_of(whole(1), least=1), "sha256": text},
            optional={
                **{"name": text, "samples": whole(1)},
                **{"class_counts": list_of(whole(0), least=1), "class_names": list_of(text)},
            },
        ),
        "versions": table_of(or_null(text)),
        "devices": list_of(text, least=1),
    },
    optional={
        "program": text,
        "xla_flags": text,
        "dtype_reason": text,
        "weights": table_of(whole()),
        "commit": or_null(text),
        "processes": whole(1),
        "continued": list_of(record({"step": whole(0), "flags": record({}, optional=_FLAGS)})),
    },
)
METRICS_LINE = record({"step": whole(0)}, others=or_null(number))
_MEASURE = record(
    {"value": number},
    optional={"interval": or_null(list_of(number, least=2)), "floor": or_null(number)},
)
EVALUATION = list_of(
    record(
        {"measures": table_of(_MEASURE)},
        optional={
            "checkpoint": text,
            "step": whole(0),
            "samples": text,
            "dataset": text,
            "num_samples": whole(1),
            "num_floor_samples": whole(0),
            "seed": whole(0),
            "ema": truth,
            "features": text,
            "features_sha256": text,
            "success": record({"means": text, "met": truth}),
            "ways": list_of(
                record({"way": text, "measures": table_of(_MEASURE)}, others=or_null(number))
            ),
        },
    ),
    least=1,
)
POPULATION = record(
    {
        "recipe": record({}, optional={"sweep": list_of(text)}, others=scalar),
        "members": table_of(table_of(scalar)),
        "groups": list_of(list_of(plain_name, least=1)),
    },
    optional={"program": text},
)
DIVERGED = table_of(text)


def evaluations_line(measure: str | None) -> Check:
    """Expect what --eval_every measured at a step: that measure, if it is named, and nothing but numbers."""
    required = {"step": whole(0)} | ({measure: number} if measure else {})
    return record(required, others=number)


def read(file: Path, check: Check, remedy: str) -> Any:
    """Read a file that holds one JSON value.

    Args:
      file: which.
      check: what it must hold.
      remedy: what to do if it does not, as the end of a sentence.

    Raises:
      UserError: "FILE is damaged: config.seed is missing; REMEDY".
    """
    try:
        value = parse(file.read_bytes())
        check(value, "")
    except ValueError as error:
        raise damaged(file, error, remedy) from error
    return value


def read_lines(file: Path, raw: bytes, check: Check, remedy: str) -> list[Table]:
    """Read one JSON value from each line of what was read of a file.

    Raises:
      UserError: as `read`, naming the line.
    """
    records = []
    lines = raw.removesuffix(b"\n").split(b"\n") if raw else []
    for count, line in enumerate(lines, 1):
        try:
            records.append(parse(line))
            check(records[-1], "")
        except ValueError as error:
            raise damaged(file, f"line {count}: {error}", remedy) from error
    return records


def damaged(file: Path, how: object, remedy: str) -> UserError:
    """Make the line that tells the user of a damaged file."""
    return UserError(f"{file} is damaged: {how}; {remedy}")


def read_evaluation(file: Path) -> list[Table]:
    """Read what `experiments.evaluate` measured of a run: a result for each checkpoint, the last one at the end.

    Raises:
      UserError: the file is damaged.
      OSError: it cannot be read.
    """
    return read(file, EVALUATION, "measure the run again")
