"""One page of several runs: how their recipes differ, what they measure, their curves and pictures."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from experiments.command.program import UserError
from experiments.record import schema
from experiments.record.files import refuse_links_out, write_text
from experiments.reporting import curves, facts, measured, page, pictures
from experiments.reporting.facts import Facts
from gan_jax.checkpoint import CheckpointError

POPULATION = "population.json"  # of a folder of seeds or of a sweep
REMEDY = "remove it to have it written anew"


def holds_runs(folder: Path) -> bool:
    """Whether a folder is one of seeds or of a sweep."""
    return (folder / POPULATION).is_file()


def write_all(folder: Path, names: list[str] | None = None) -> Iterator[str]:
    """Make the page of each run in a folder, then that of all; say of each where it is, or why it is not.

    Args:
      folder: of seeds or of a sweep.
      names: of the runs whose pages are made; None for all.

    Raises:
      UserError: the folder is damaged, or none of its runs has begun.
    """
    members = list(schema.read(folder / POPULATION, schema.POPULATION, REMEDY)["members"])
    for name in members if names is None else names:
        schema.plain_name(name, "members")
        if not (folder / name / "run.json").is_file():
            continue
        try:
            yield f"wrote {page.write(folder / name)}"
        except (UserError, CheckpointError, OSError) as error:
            yield f"{name} has no page: {' '.join(str(error).split())}"
    refuse_links_out(folder, [folder / page.REPORT])
    begun = [folder / name for name in members if (folder / name / "run.json").is_file()]
    yield f"wrote {write(begun, folder / page.REPORT, heading=folder.resolve().name)}"


def write(folders: list[Path], out: Path, *, heading: str = "Runs side by side") -> Path:
    """Write the page of several runs; those that cannot be read are named in it.

    Raises:
      UserError: none can be read.
      OSError: the page cannot be written.
    """
    found, trouble = [], []
    for folder in folders:
        try:
            found.append(facts.read(folder))
            trouble += found[-1].trouble
        except (UserError, OSError) as error:
            trouble.append(" ".join(str(error).split()))
    if not found:
        raise UserError(trouble[0] if trouble else "there are no runs to show")
    out.parent.mkdir(parents=True, exist_ok=True)
    write_text(out, page.render("runs.html", _context(found, trouble, heading)))
    return out


def _context(found: list[Facts], trouble: list[str], heading: str) -> dict[str, Any]:
    recipes = [facts.recipe(each) for each in found]
    charts = _charts(found)
    groups = _groups(found, recipes)
    differing = _differing(recipes)
    if len(found) > 8 and set(differing) <= {"seed"}:
        differing = {}
    sections = {"recipes": differing, "measures": True, "curves": charts, "runs": True}
    return {
        "title": f"{heading}: runs of gan_jax",
        "heading": heading,
        "summary": f"{_count(found)}: {', '.join(each.name for each in found)}.",
        "sections": [(name, name.capitalize()) for name, there in sections.items() if there],
        "names": [each.name for each in found],
        "differing": differing,
        "trouble": trouble,
        "groups": groups,
        "charts_shown": charts,
        "runs": [_card(each) for each in found],
        "data": {"charts": [chart["spec"] for chart in charts], "frames": [], "generator": None},
    }


def _count(runs: list) -> str:
    return "1 run" if len(runs) == 1 else f"{len(runs)} runs"


def _differing(recipes: list[dict[str, str]]) -> dict[str, list[str]]:
    names = sorted({name for recipe in recipes for name in recipe})
    rows = {name: [recipe.get(name, "") for recipe in recipes] for name in names}
    return {name: values for name, values in rows.items() if len(set(values)) > 1}


def _groups(found: list[Facts], recipes: list[dict[str, str]]) -> list[dict[str, Any]]:
    """Sum up the last results of runs that differ in their seeds alone, and of as many samples."""
    groups: dict[tuple, list[tuple[Facts, dict[str, Any]]]] = {}
    titles: dict[tuple, str] = {}
    differing = [name for name in _differing(recipes) if name != "seed"]
    for each, recipe in zip(found, recipes, strict=True):
        if each.results:
            result = each.results[-1]
            labels = tuple(f"{name} {recipe.get(name, 'none')}" for name in differing)
            key = (*labels, result.get("num_samples"), result.get("features"))
            groups.setdefault(key, []).append((each, result))
            titles[key] = ", ".join(labels) or "All runs"
    return [_group(titles[key], members) for key, members in groups.items()]


def _group(title: str, members: list[tuple[Facts, dict[str, Any]]]) -> dict[str, Any]:
    results = [result for _, result in members]
    names = [name for name in results[0]["measures"] if all(name in r["measures"] for r in results)]
    how = f"{_count(members)} ({', '.join(each.name for each, _ in members)})"
    if num := results[0].get("num_samples"):
        how += f", {num:,} samples each, the last checkpoint"
    values = {name: [r["measures"][name]["value"] for r in results] for name in names}
    floors = {name: results[0]["measures"][name].get("floor") for name in names}
    rows = [measured.seeds_row(name, values[name], floors[name]) for name in names]
    return {"title": title, "how": how, "heads": ["median", "range", "floor"], "rows": rows}


def _charts(found: list[Facts]) -> list[dict[str, Any]]:
    logged = [(each.name, facts.series(each)) for each in found if each.metrics]
    losses = {str(each.run["config"].get("loss", "")) for each in found}
    loss = losses.pop() if len(losses) == 1 else ""
    present = tuple(dict.fromkeys(name for _, columns in logged for name in columns))
    return [page.as_shown(chart, logged, None) for chart in curves.charts(loss, present)]


def _card(found: Facts) -> dict[str, Any]:
    loss = str(found.run["config"].get("loss", ""))
    verdicts = curves.verdicts(loss, found.metrics)
    return {
        "name": found.name,
        "steps": f"{found.steps:,}",
        "health": curves.overall(list(verdicts.values())),
        "picture": pictures.of_file(found.path / "samples.png"),
    }
