"""Compare runs that have been measured: the same seeds side by side, differences with intervals, in words.

    python -m experiments.compare runs/ring_a runs/ring_b
    python -m experiments.compare runs/mnist_article runs/mnist --out=comparison.json

Each argument is the folder of one run, or of a command with --seeds, after `experiments.evaluate` (a command with
--seeds measures by itself). The first is what the others are compared with. Runs of one seed share that seed's random
streams: with equal --latent_dim, --batch_size and --update they saw the same real batches and the same latents, so
their difference is that of the recipes and not of the luck of the draw; what they do not share is said.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

from absl import flags

from experiments.command import program

OUT = flags.DEFINE_string("out", None, "file for the comparison as JSON; unset: none")

# What decides which numbers are drawn.
STREAMS = ("latent_dim", "batch_size", "update", "n_dis", "loss")
FEWEST = 6  # seeds; of five equal runs all differ in one direction by luck in 1 of 16 trials
# Of the measurements, or they tell nothing.
SAME = ("checkpoint", "num_samples", "seed", "ema", "features_sha256")


class Measured(NamedTuple):
    """The measured runs of one folder.

    Attributes:
      path: of the folder.
      configs: seed -> the run's flags.
      results: seed -> the result of its last checkpoint.
      missing: names of runs that have no result, and why: comparing those that are left may flatter the recipe.
      program: that trained them; "" where nobody knows.
    """

    path: Path
    configs: dict[int, dict[str, Any]]
    results: dict[int, dict[str, Any]]
    missing: dict[str, str] = {}  # noqa: RUF012
    program: str = ""


def main(arguments: list[str]) -> int:
    """Compare, print, write."""
    if len(arguments) < 2:
        raise program.UserError("name at least two folders: experiments.compare RUN_A RUN_B")
    first, *others = (read_measured(Path(text).expanduser()) for text in arguments)
    comparisons = []
    for other in others:
        comparison = compare(first, other)
        comparisons.append(comparison)
        print("\n".join(in_words(comparison)))
    if OUT.value:
        from experiments.record.run_folder import write_text

        text = json.dumps(comparisons, indent=2, allow_nan=False)
        write_text(Path(OUT.value).expanduser(), text + "\n")
    return 0


def read_measured(path: Path) -> Measured:
    """Read what has been measured in a folder.

    Raises:
      UserError: it holds no measured run, or a sweep.
    """
    from experiments.many import folder as population_folder

    folders, missing = [path], {}
    if population_folder.is_population(path):
        swept = population_folder.read(path).members
        if any(swept.values()):
            raise program.UserError(
                f"{path} holds a sweep: name the folders of single runs in it, such as {next(iter(swept))}"
            )
        missing = dict.fromkeys(population_folder.read_diverged(path), "diverged")
        left = [path / name for name in swept if name not in missing]
        folders = [folder for folder in left if (folder / "evaluation.json").exists()]
        missing |= {folder.name: "not measured" for folder in left if folder not in folders}
    configs, results, programs = {}, {}, set()
    for folder in folders:
        config, program_name, result = _read_result(folder)
        programs.add(program_name)
        configs[config["seed"]], results[config["seed"]] = config, result
    if not results:
        raise program.UserError(
            f"{path} has not been measured: experiments.evaluate --workdir={path}"
        )
    return Measured(path, configs, results, missing, " and ".join(sorted(programs)))


def _read_result(folder: Path) -> tuple[dict[str, Any], str, dict[str, Any]]:
    from experiments.record import schema
    from experiments.record.resumption import program_named
    from experiments.record.run_folder import read_run

    facts = read_run(folder)
    file = folder / "evaluation.json"
    if not file.is_file():
        raise program.UserError(
            f"{folder} has not been measured: experiments.evaluate --workdir={folder}"
        )
    result = schema.read(file, schema.EVALUATION, "measure the run again")[-1]
    return facts["config"], program_named(facts), result


def compare(first: Measured, other: Measured) -> dict[str, Any]:
    """Compare the runs of the seeds that both have.

    Returns:
      Plain values: paths, seeds, the flags that differ, and for each measure the differences (other - first) with
      their median and its 95 % bootstrap interval over seeds; no interval for one seed.

    Raises:
      UserError: no seed is in both, or the two were not measured alike.
    """
    from gan_jax.evaluation.bootstrap import summarise_seeds

    seeds = sorted(first.results.keys() & other.results.keys())
    if not seeds:
        raise program.UserError(f"{first.path} and {other.path} have no seed in common")
    _check_alike(first, other, seeds)
    a, b = first.configs[seeds[0]], other.configs[seeds[0]]
    differing = sorted(
        name for name in a.keys() | b.keys() if name != "workdir" and a.get(name) != b.get(name)
    )
    measures = {}
    for name in first.results[seeds[0]]["measures"]:
        pairs = [
            [side.results[seed]["measures"][name]["value"] for side in (first, other)]
            for seed in seeds
            if all(name in side.results[seed]["measures"] for side in (first, other))
        ]
        if not pairs:
            continue
        differences = [after - before for before, after in pairs]
        summary = summarise_seeds(differences)
        measures[name] = {
            "differences": differences,
            "median": summary.median,
            "interval": list(summary.median_interval) if len(pairs) > 1 else None,
        }
    return {
        "first": str(first.path),
        "other": str(other.path),
        "seeds": seeds,
        "missing": {str(side.path): side.missing for side in (first, other) if side.missing},
        "steps": [side.results[seeds[0]].get("step") for side in (first, other)],
        "differing_flags": {name: [a.get(name), b.get(name)] for name in differing},
        "programs": [first.program, other.program],
        "same_streams": first.program == other.program
        and all(a.get(name) == b.get(name) for name in STREAMS),
        "measures": measures,
    }


def _check_alike(first: Measured, other: Measured, seeds: list[int]) -> None:
    results = [side.results[seed] for side in (first, other) for seed in seeds]
    for name in SAME:
        values = {result.get(name) for result in results}
        if len(values) > 1:
            raise program.UserError(
                f"the runs were measured with different {name} ({', '.join(sorted(map(str, values)))}): "
                "measure them again, with the same flags of experiments.evaluate"
            )


def in_words(comparison: dict[str, Any]) -> list[str]:
    """Say what a comparison found."""
    first, other = comparison["first"], comparison["other"]
    differing = ", ".join(
        f"--{name} {before} -> {after}"
        for name, (before, after) in comparison["differing_flags"].items()
    )
    num, steps = len(comparison["seeds"]), comparison["steps"]
    streams = (
        "the pairs share latents and real batches"
        if comparison["same_streams"]
        else "the pairs share their seeds, but not the numbers drawn from them"
    )
    lines = [
        f"{other} (step {steps[1]}) against {first} (step {steps[0]}), {num} {'seed' if num == 1 else 'seeds'}; "
        f"{streams}",
        f"flags that differ: {differing or 'none'}",
    ]
    before, after = comparison["programs"]
    if before != after:
        lines.append(f"programs that differ: {before} -> {after}")
    lines += [
        f"{path}: {', '.join(f'{name} {why}' for name, why in missing.items())}: left out, which may flatter it"
        for path, missing in comparison["missing"].items()
    ]
    return lines + [f"  {_sentence(name, row)}" for name, row in comparison["measures"].items()]


def _sentence(name: str, row: dict[str, Any]) -> str:
    differences, median, interval = row["differences"], row["median"], row["interval"]
    if not any(differences):
        return f"{name}: equal"
    lower = median < 0
    text = (
        f"{name}: {'lower' if lower else 'higher'} by {abs(median):.4g} ({_verdict(name, lower)})"
    )
    if not median:
        text = f"{name}: equal in the median"
    if interval is None:
        return f"{text}, on the one seed: whether that is more than luck cannot be told"
    agreeing = sum((difference < 0) == lower for difference in differences if difference)
    text += f", 95 % interval {interval[0]:+.4g} to {interval[1]:+.4g}"
    text += f", {'lower' if lower else 'higher'} on {agreeing} of {len(differences)} seeds"
    if len(differences) < FEWEST:
        return f"{text}: fewer than {FEWEST} seeds, which cannot rule out luck"
    return text if interval[0] * interval[1] > 0 else f"{text}: no difference that these seeds show"


def _verdict(name: str, lower: bool) -> str:
    from experiments.measuring.measures import direction

    better = direction(name)
    if better is None:
        return "neither better nor worse by itself"
    return "better" if (better == "lower") == lower else "worse"


if __name__ == "__main__":
    program.run(main, takes_arguments=True)
