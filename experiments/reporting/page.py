"""Put a run's page together and write it."""

import base64
import hashlib
from importlib import resources
from pathlib import Path
from typing import Any

from experiments.command.program import UserError
from experiments.record.files import refuse_links_out, write_text
from experiments.reporting import curves, facts, measured, pictures
from experiments.reporting.curves import Chart, Verdict
from experiments.reporting.facts import Facts
from gan_jax import __version__, portable

REPORT = "report.html"
ROWS = 12  # of a chart's table


def write(path: Path) -> Path:
    """Write report.html into a run folder, from what lies in it; return its place.

    Raises:
      UserError: the folder is no run, its run.json is damaged, or report.html is a link that leads elsewhere.
    """
    refuse_links_out(path, [path / REPORT])
    write_text(path / REPORT, render("run.html", context_of(facts.read(path))))
    return path / REPORT


def render(template: str, context: dict[str, Any]) -> str:
    """Fill a template. Everything is escaped, and the page's own script is the only one that a browser will run."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    loader = PackageLoader("experiments.reporting", "templates")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined)
    environment.trim_blocks = environment.lstrip_blocks = True
    script = portable.runtime() + _own("report.js")
    digest = hashlib.sha256(script.encode()).digest()
    return environment.get_template(template).render(
        context,
        style=Markup(_own("style.css")),
        script=Markup(script),
        script_hash="sha256-" + base64.b64encode(digest).decode(),
        version=__version__,
    )


def _own(name: str) -> str:
    return resources.files("experiments.reporting").joinpath("templates", name).read_text("utf-8")


def context_of(found: Facts) -> dict[str, Any]:
    """Gather what the page of a run shows."""
    loss = str(found.run["config"].get("loss", ""))
    verdicts = curves.verdicts(loss, found.metrics)
    charts = [*_charts(loss, found, verdicts), *_evaluations(found)]
    frames = pictures.over_training(_sample_pictures(found.path))
    live = _live(found)
    data = {
        "charts": [chart["spec"] for chart in charts],
        "frames": [{"step": step, "uri": picture.uri} for step, picture in frames],
        "generator": live["generator"].data if live["generator"] else None,
    }
    context = {
        "title": f"{found.name}: a run of gan_jax",
        "facts": found,
        "summary": _summary(found),
        "health": curves.overall([chart["verdict"] for chart in charts if chart["verdict"]]),
        "charts_shown": charts,
        "frames": len(frames),
        "samples": pictures.of_file(found.path / "samples.png"),
        "sound": pictures.sound_of(found.path / "samples.wav"),
        "results": [_result(result) for result in found.results],
        "recipe": facts.recipe(found),
        "provenance": facts.provenance(found),
        "commands": facts.commands(found),
        "data": data,
        **live,
    }
    return context | {"sections": _sections(context)}


def _sections(context: dict[str, Any]) -> list[tuple[str, str]]:
    shown = {
        "generator": True,
        "samples": context["samples"],
        "training": context["frames"],
        "curves": context["charts_shown"],
        "measures": True,
        "neighbours": context["neighbours"] or context["neighbours_why"],
        "recipe": True,
        "again": True,
    }
    return [(name, name.capitalize()) for name, there in shown.items() if there]


def _sample_pictures(path: Path) -> list[Path]:
    from experiments.record.run_folder import RunFolder

    return RunFolder(path).sample_pictures()


def _summary(found: Facts) -> str:
    config, data = found.run["config"], found.run["dataset"]
    return (
        f"A GAN of {data.get('name', 'unnamed data')}: {config.get('network', 'own')} networks, "
        f"{config.get('loss', 'own')} loss, {found.steps:,} steps, seed {config.get('seed', '?')}."
    )


def _charts(loss: str, found: Facts, verdicts: dict[str, Verdict]) -> list[dict[str, Any]]:
    columns = facts.series(found) if found.metrics else {"step": []}
    return [
        as_shown(chart, [("", columns)], verdicts.get(chart.title))
        for chart in curves.charts(loss, tuple(columns))
    ]


def _evaluations(found: Facts) -> list[dict[str, Any]]:
    columns = facts.columns(found.evaluations) if found.evaluations else {"step": []}
    names = [name for name in columns if name != "step"]
    reading = "Measured along the way by --eval_every; lower is better. The lowest is the best checkpoint."
    return [
        as_shown(
            Chart(f"Measured: {name}", ((name, name, "g"),), (), reading),
            [("", columns)],
            curves.best_and_last(found.evaluations),
        )
        for name in names
    ]


def as_shown(
    chart: Chart, runs: list[tuple[str, dict[str, list]]], verdict: Verdict | None
) -> dict[str, Any]:
    """Give a chart as its template and its script take it.

    Args:
      chart: which.
      runs: (name, columns) of each run; a single run has no name.
      verdict: what it says of the run.
    """
    lines = [
        {
            "label": f"{name} {label}".strip(),
            "player": player + (" runs" if name else ""),
            "steps": columns["step"],
            "values": columns[key],
        }
        for key, label, player in chart.lines
        for name, columns in runs
        if key in columns
    ]
    references = [reference._asdict() for reference in chart.references]
    spec = {
        "title": chart.title,
        "log": chart.log_scale,
        "lines": lines,
        "references": references,
    }
    shown = {"title": chart.title, "reading": chart.reading, "references": references}
    return {**shown, "verdict": verdict, "lines": lines, "rows": _rows(lines), "spec": spec}


def _rows(lines: list[dict[str, Any]]) -> list[list[str]]:
    """Choose rows of a chart's table, evenly, of runs that were logged at the same steps."""
    if not lines or len(lines) > 6 or any(line["steps"] != lines[0]["steps"] for line in lines):
        return []
    steps = lines[0]["steps"]
    every = -(-len(steps) // ROWS) or 1
    return [
        [f"{steps[i]:,}", *(measured.number(line["values"][i]) for line in lines)]
        for i in range(len(steps) - 1, -1, -every)
    ][::-1]


def _result(result: dict[str, Any]) -> dict[str, Any]:
    name, step = result.get("checkpoint", "last"), result.get("step")
    at = f", step {step:,}" if isinstance(step, int) else ""
    num, floor = result.get("num_samples"), result.get("num_floor_samples")
    how = f"{num:,} samples" if num else ""
    how += f"; floors of {floor:,} unseen real ones" if floor else ""
    how += f"; features of {result['features']}" if "features" in result else ""
    return {
        "title": f"The {name} checkpoint{at}",
        "how": how,
        "rows": measured.rows(result["measures"]),
    }


def _live(found: Facts) -> dict[str, Any]:
    """Restore the run for what needs its weights; where that fails, say why, and show the rest."""
    from experiments.record.restored import restore_run
    from experiments.reporting import generator
    from gan_jax.checkpoint import CheckpointError

    nothing = {"generator": None, "plane": False, "neighbours": None, "neighbours_why": ""}
    try:
        run = restore_run(found.path)
    except (UserError, CheckpointError, OSError) as error:
        why = " ".join(str(error).split())
        return nothing | {"no_generator": f"The generator is not here: {why}"}
    real, real_why = _real(run)
    found_live = generator.in_page(run, real if real is not None and real.ndim == 2 else None)
    plane = bool(found_live.data and found_live.data["plane"])
    shown = {"generator": found_live, "plane": plane, "no_generator": ""}
    nearest = None
    if (
        real is not None
        and real.ndim == 4
        and real.shape[1:] == tuple(run.facts["dataset"]["shape"])
    ):
        nearest = generator.nearest_pictures(run, real)
    return shown | {"neighbours": nearest, "neighbours_why": "" if nearest else real_why}


def _real(run: Any) -> tuple[Any, str]:
    """Load the training samples of a run; or say why that cannot be."""
    from experiments.measuring.real_data import source_of

    try:
        return source_of(run).train.images, ""
    except (
        Exception
    ) as error:  # a fork's own loader may fail in its own way; the page shows the rest
        return None, " ".join(str(error).split())
