"""What a measurement looks like: plain values for evaluation.json, and a table for the terminal."""

from collections.abc import Mapping
from typing import Any

from experiments.measuring.drawing import Drawn, Way
from gan_jax.evaluation.values import Values

Result = dict[str, Any]


def rows(values: Values, floors: Values) -> Result:
    """Put each number beside its interval and what unseen real data reach."""
    return {
        name: {
            "value": value,
            "interval": None if interval is None else list(interval),
            "floor": floors[name].value,
        }
        for name, (value, interval) in values.items()
    }


def way_result(way: Way, drawn: Drawn, measures: Result) -> Result:
    """Say how else samples were drawn, what it cost, and what it brought."""
    cost = {"draws": drawn.draws, "accepted": drawn.accepted}
    return {"way": str(way), **way._asdict(), **cost, "measures": measures}


def table(result: Result) -> str:
    """Lay out a result for the terminal."""
    whose = result.get("samples") or f"{result['checkpoint']} checkpoint, step {result['step']}"
    lines = [
        f"{whose}, {result['num_samples']:,} samples",
        f"{'':18}{'value':>10}  {'95 % interval':>20}  {'floor':>10}",
        *(_line(name, row) for name, row in result["measures"].items()),
    ]
    if result["num_floor_samples"] < result["num_samples"]:
        lines.append(f"floor: only {result['num_floor_samples']:,} unseen real samples exist")
    lines += [f"{name}: {result[name]}" for name in ("features", "compared") if name in result]
    for way in result.get("ways", ()):
        lines += _way_lines(way, result["measures"])
    return "\n".join(lines)


def _line(name: str, row: Mapping[str, Any]) -> str:
    interval = "" if row["interval"] is None else "{:.4g} to {:.4g}".format(*row["interval"])
    return f"{name:18}{row['value']:>10.4g}  {interval:>20}  {row['floor']:>10.4g}"


def _way_lines(way: Result, plain: Result) -> list[str]:
    cost = ""
    if way["rejection"] is not None:
        share = way["accepted"] / way["draws"]
        cost = f": {way['draws']:,} draws, {share:.1%} of them accepted"
    return [
        f"{way['way']}{cost}",
        f"{'':18}{'value':>10}  {'95 % interval':>20}  {'floor':>10}  {'as G makes them':>16}",
        *(
            f"{_line(name, row)}  {plain[name]['value']:>16.4g}"
            for name, row in way["measures"].items()
        ),
    ]
