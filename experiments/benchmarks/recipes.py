"""Search for a recipe: train each for the same time of the processor, and measure it on images that it did not see.

    python -m experiments.benchmarks.recipes --flagfile=experiments/flags/mnist.flags --recipes=FILE --out=CSV

FILE holds a recipe a line, `name: --flag=value ...`, what it changes in the flagfile. 5,000 training images are held
back from every recipe, and the Frechet distance of 10,000 samples is to those, so that the test images stay out of the
choice. A recipe's steps are those for which its measured time of a step allows; its learning rates fall over these. A
row for each recipe and seed is added to CSV as soon as it is there, and what stands there already is not run again:
successive halving is a second call with fewer recipes and more seconds. A GAN that fails has its row, too; --plot draws
the whole table. Time is the processor's, so that other work on the machine does not count; run it on one core
(`taskset -c 0`).
"""

import math
import re
import shlex
from pathlib import Path
from typing import Any, NamedTuple

from absl import flags
from absl.testing import flagsaver

from experiments.command import config as configs
from experiments.command import program, shared_flags

CHUNK = 100  # steps
TIMED_CHUNKS = 4
WATCHED = (0.25, 0.5, 1.0)  # shares of the training at which the distance is taken


class Recipe(NamedTuple):
    """What a line of the file says: a name, and flags that differ from the flagfile's."""

    name: str
    arguments: tuple[str, ...]


def define_flags() -> None:
    """Define this program's own flags, and those that recipes are made of."""
    shared_flags.define_flags()
    flags.DEFINE_string("recipes", None, "file with a recipe a line, `name: --flag=value`")
    flags.DEFINE_float("seconds", 60, "time of the processor for each training", 1.0, 1e6)
    flags.register_validator("seconds", math.isfinite, message="must be a finite number of seconds")
    flags.DEFINE_list("seeds", ["100"], "seeds; keep those of the final runs out")
    flags.DEFINE_integer("num_samples", 10_000, "samples that are measured", 100, 10**6)
    flags.DEFINE_string("out", "recipes.csv", "table that the rows are added to")
    flags.DEFINE_string("plot", None, "draw the table, distance against seconds; unset: do not")


def main() -> int:
    """Train, measure, write."""
    values = flags.FLAGS
    if not values.recipes and not values.plot:
        raise program.UserError("--recipes=FILE names the file with the recipes")
    recipes = read_recipes(Path(values.recipes).expanduser()) if values.recipes else []
    table = Path(values.out).expanduser()
    done = {(row["name"], row["seed"], row["asked_seconds"]) for row in read_rows(table)}
    for recipe in recipes:
        for seed in values.seeds:
            if (recipe.name, seed, f"{values.seconds:g}") in done:
                continue
            row = _row(recipe, seed)
            add_row(table, row)
            print(", ".join(f"{name} {value}" for name, value in row.items()), flush=True)
    if values.plot:
        draw(read_rows(table), Path(values.plot).expanduser())
    return 0


def read_recipes(path: Path) -> list[Recipe]:
    """Read the file.

    Raises:
      UserError: a line that is no recipe, or two of one name.
      OSError: the file cannot be read.
    """
    recipes = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        found = re.fullmatch(r"([\w.+-]+):(.*)", line.strip())
        if found is None:
            raise program.UserError(
                f"{path}, line {number}: expected `name: --flag=value`, got {line!r}"
            )
        recipes.append(Recipe(found[1], tuple(shlex.split(found[2]))))
    names = [recipe.name for recipe in recipes]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise program.UserError(f"{path} has more than one recipe called {', '.join(twice)}")
    return recipes


def read_rows(table: Path) -> list[dict[str, str]]:
    """Read the rows that stand in a table; none if there is no such file."""
    import csv

    if not table.exists():
        return []
    with table.open(newline="") as file:
        return list(csv.DictReader(file))


def add_row(table: Path, row: dict[str, Any]) -> None:
    """Add a row to a table, which is made if it is missing."""
    import csv

    is_new = not table.exists()
    with table.open("a", newline="") as file:
        writer = csv.DictWriter(file, row)
        if is_new:
            writer.writeheader()
        writer.writerow(row)


def draw(rows: list[dict[str, str]], path: Path) -> None:
    """Draw the rows of a table.

    Raises:
      UserError: there are none.
    """
    from gan_jax import plots

    if not rows:
        raise program.UserError("the table holds no rows to draw")
    seconds, distances, lengths = (
        [float(row[name]) for row in rows] for name in ("seconds", "distance_100", "asked_seconds")
    )
    plots.save_recipes([row["name"] for row in rows], seconds, distances, lengths, path)


def steps_within(seconds: float, seconds_a_step: float) -> int:
    """Count the steps that a time allows, in whole chunks, at least one."""
    return max(1, int(seconds / seconds_a_step / CHUNK)) * CHUNK


def config_of(recipe: Recipe, seed: str) -> configs.Config:
    """Freeze the flags of a recipe.

    Raises:
      UserError: flags that there are not, that exclude one another, or that ask for what is not searched here.
    """
    with flagsaver.flagsaver():
        try:
            rest = flags.FLAGS(["recipe", *recipe.arguments, f"--seed={seed}"])[1:]
        except flags.Error as error:
            raise program.UserError(f"recipe {recipe.name}: {error}") from error
        if rest:
            raise program.UserError(f"recipe {recipe.name}: {rest[0]!r} is not a flag")
        config = configs.from_flags()
        if config.conditional or config.augment_target is not None:
            raise program.UserError(
                f"recipe {recipe.name}: --conditional and --augment_target are not searched here: leave them out"
            )
        return config


def _row(recipe: Recipe, seed: str) -> dict[str, Any]:
    import dataclasses

    from experiments.benchmarks import recipe_run
    from experiments.command import precision

    config, _ = precision.settle(config_of(recipe, seed))
    images = recipe_run.images_of(config)
    second = recipe_run.seconds_a_step(config, images.learnt, CHUNK, TIMED_CHUNKS)
    config = dataclasses.replace(config, num_steps=steps_within(flags.FLAGS.seconds, second))
    found = recipe_run.train_and_measure(config, images, CHUNK, WATCHED, flags.FLAGS.num_samples)
    return {
        "name": recipe.name,
        "seed": seed,
        "dataset": config.dataset,
        "asked_seconds": f"{flags.FLAGS.seconds:g}",
        "ms_a_step": round(1e3 * second, 2),
        "steps": config.num_steps,
        **found,
        "flags": shlex.join(recipe.arguments),
    }


if __name__ == "__main__":
    define_flags()
    program.run(main)
