"""What many runs come to: every measure over the seeds, the share of successes, and pictures of all runs."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from experiments.command.program import UserError
from experiments.many import folder as population_folder
from experiments.measuring import evaluation
from experiments.measuring.evaluation import Request, Result
from experiments.record.run_folder import RunFolder, read_run, write_text
from gan_jax.checkpoint import CheckpointError, Checkpoints

CURVES = (
    "d_loss",
    "g_loss",
    "dis_acc",
    "gan_acc",
    "modes",
    "high_quality",
    "mode_kl",
    "d_accuracy",
)
MOST_CURVES = 6  # quantities in one picture


def conclude(folder: Path, names: list[str], request: Request) -> None:
    """Measure the named runs of a folder, print what they come to, write summary.json, seeds.png and curves.png.

    Runs that are not finished, or cannot be measured, are named and left out.

    Raises:
      UserError: the folder is damaged.
    """
    population, lost = population_folder.read(folder), population_folder.read_diverged(folder)
    swept = population.members
    draw_curves(folder, [name for name in names if (folder / name / "run.json").exists()], swept)
    results: dict[str, list[Result]] = {}
    left_out: dict[str, str] = {}
    for name in names:
        if name in lost:
            continue
        try:
            _check_finished(folder / name, population_folder.steps_asked_of(population, name))
            results[name] = evaluation.evaluate_run(folder / name, request)
            print(_line(name, results[name][-1]), flush=True)
        except (UserError, CheckpointError) as error:
            left_out[name] = str(error)
            print(f"{name} is left out: {error}", flush=True)
    groups = [
        summarise(checkpoint, _label(swept, members), members, results, lost, left_out)
        for members in _by_recipe(names, swept)
        for checkpoint in _checkpoints(results.get(name, ()) for name in members)
    ]
    for group in groups:
        print(table(group))
    write_text(folder / "summary.json", json.dumps(groups, indent=2, allow_nan=False) + "\n")
    drawn = groups[-1]["checkpoint"]
    _draw_seeds(folder, [group for group in groups if group["checkpoint"] == drawn])
    print(f"wrote {folder}/summary.json, with pictures of what was measured and logged")


def _check_finished(folder: Path, num_steps: int | None) -> None:
    """Refuse a run of another length than the folder's: numbers after few and after many steps are not one."""
    read_run(folder)
    if not isinstance(num_steps, int):
        raise UserError(f"{folder.parent}/{population_folder.POPULATION} names no --num_steps")
    newest = max(Checkpoints(folder / "checkpoints").steps(), default=0)
    if newest != num_steps:
        raise UserError(f"it has taken {newest} of {num_steps} steps")


def _checkpoints(results: Iterable[Sequence[Result]]) -> list[str]:
    """Name the checkpoints that were measured of runs of one recipe, the last one last."""
    found = {result["checkpoint"]: None for of_a_run in results for result in of_a_run}
    return sorted(found or ["last"], key=lambda name: name == "last")


def _by_recipe(names: list[str], swept: dict[str, dict[str, Any]]) -> list[list[str]]:
    """Put runs together that differ in their seeds only."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(json.dumps(swept.get(name, {})), []).append(name)
    return list(groups.values())


def _label(swept: dict[str, dict[str, Any]], members: list[str]) -> str:
    return ", ".join(f"{flag} {value}" for flag, value in swept.get(members[0], {}).items())


def summarise(
    checkpoint: str,
    label: str,
    names: list[str],
    results: dict[str, list[Result]],
    lost: dict[str, str],
    left_out: dict[str, str],
) -> dict[str, Any]:
    """Sum up runs that differ in their seeds only.

    Args:
      checkpoint: which is summed up; where a run has no other best than its last, that is taken.
      label: what the runs have in common against others.
      names: of the runs.
      results: name -> what `evaluation.evaluate_run` gave.
      lost: runs that diverged. They have no measures, and are no successes.
      left_out: runs that are not finished or cannot be measured, and why. They do not count.

    Returns:
      Plain values, for summary.json.
    """
    from gan_jax.evaluation.bootstrap import summarise_seeds

    chosen = {name: _of(checkpoint, results[name]) for name in names if name in results}
    diverged = [name for name in names if name in lost]
    group: dict[str, Any] = {
        "label": label, "checkpoint": checkpoint, "runs": list(chosen), "diverged": diverged,
        "left_out": {name: left_out[name] for name in names if name in left_out},
    }  # fmt: skip
    if not chosen:
        return group | {"measures": {}}
    first = next(iter(chosen.values()))
    kept = ("num_samples", "num_floor_samples", "seed", "ema", "features", "features_sha256")
    group |= {name: first[name] for name in kept if name in first}
    group["success"] = _success(chosen, len(diverged))
    group["measures"] = {}
    for measure, row in first["measures"].items():
        values = [result["measures"][measure]["value"] for result in chosen.values()]
        summary = summarise_seeds(values)
        group["measures"][measure] = {
            "values": values,
            "median": summary.median,
            "quartiles": [summary.q1, summary.q3],
            "median_interval": list(summary.median_interval),
            "mean": summary.mean,
            "mean_interval": list(summary.mean_interval),
            "floor": row["floor"],
        }
    return group


def _of(checkpoint: str, results: list[Result]) -> Result:
    return next((r for r in results if r["checkpoint"] == checkpoint), results[-1])


def _success(chosen: dict[str, Result], num_diverged: int) -> dict[str, Any]:
    rules = [
        result.get("success", {"means": "did not diverge", "met": True})
        for result in chosen.values()
    ]
    num = len(rules) + num_diverged
    met = sum(rule["met"] for rule in rules)
    return {"means": rules[0]["means"], "met": met, "of": num, "rate": met / num}


def table(group: dict[str, Any]) -> str:
    """Lay out a summary for the terminal."""
    title = f"{group['label'] or 'all runs'}, {group['checkpoint']} checkpoint, {len(group['runs'])} seeds"
    if group["diverged"]:
        title += f", {len(group['diverged'])} diverged"
    if group["left_out"]:
        title += f", {len(group['left_out'])} left out"
    if not group["measures"]:
        return f"{title}: nothing measured"
    success = group["success"]
    lines = [
        f"{title}, {group['num_samples']:,} samples each; success ({success['means']}): {success['met']} of "
        f"{success['of']}",
        f"{'':18}{'median':>10}  {'95 % interval':>20}  {'quartiles':>20}  {'range':>20}  {'floor':>10}",
    ]
    for name, row in group["measures"].items():
        spans = (row["median_interval"], row["quartiles"], (min(row["values"]), max(row["values"])))
        cells = "".join(f"  {low:.4g} to {high:.4g}".rjust(22) for low, high in spans)
        lines.append(f"{name:18}{row['median']:>10.4g}{cells}  {row['floor']:>10.4g}")
    if group["num_floor_samples"] < group["num_samples"]:
        lines.append(f"floor: only {group['num_floor_samples']:,} unseen real samples exist")
    return "\n".join(lines)


def _line(name: str, result: Result) -> str:
    values = "  ".join(f"{key} {row['value']:.4g}" for key, row in result["measures"].items())
    return f"{name}: {values}"


def draw_curves(folder: Path, names: list[str], swept: dict[str, dict[str, Any]]) -> None:
    """Draw the logs of all runs over one another; a run whose log cannot be read is named and left out."""
    from gan_jax import plots

    logs = {}
    for name in names:
        try:
            if records := RunFolder(folder / name).read_metrics():
                logs[name] = records
        except (UserError, OSError) as error:
            print(f"{name} is left out of curves.png: {error}", flush=True)
    if not logs:
        return
    present = [key for key in CURVES if any(key in records[0] for records in logs.values())]
    curves = {
        _label(swept, group): [logs[name] for name in group]
        for group in _by_recipe(list(logs), swept)
    }
    plots.save_population_curves(curves, present[:MOST_CURVES], folder / "curves.png")


def _draw_seeds(folder: Path, groups: list[dict[str, Any]]) -> None:
    from gan_jax import plots

    measured_groups = [group for group in groups if group["measures"]]
    if not measured_groups:
        (folder / "seeds.png").unlink(missing_ok=True)  # of earlier runs
        return
    values = {
        group["label"]: {name: row["values"] for name, row in group["measures"].items()}
        for group in measured_groups
    }
    floors = {name: row["floor"] for name, row in measured_groups[0]["measures"].items()}
    plots.save_seeds(values, floors, folder / "seeds.png")
