"""Study which update rule, loss and penalty help: every combination with the same seeds and as many gradients.

    python -m experiments.study --dataset=ring --seeds=0..9
    python -m experiments.study --dataset=grid
    python -m experiments.study --dataset=digits

Each cell is a training command with --seeds, which measures its runs, in a folder of its own; experiments.compare holds
the rules of one loss and penalty against the alternating one, seed by seed. A step of extragradient or consensus counts
as two gradients of each player, one of symplectic adjustment as three: such cells take fewer steps. Cells that fail are
kept and named. The same command goes on where it was stopped. Writes study.json, study.png and a sentence for each
cell; docs/dynamics.md has what was found.
"""

from absl import flags

from experiments.command import program

RING = (
    "--network=mlp", "--width=0.5", "--bias_std=0.5", "--latent_dim=2", "--batch_size=64", "--g_lr=0.001",
    "--d_lr=0.001", "--b1=0", "--b2=0.99", "--together=yes",
)  # fmt: skip
DIGITS = (
    "--width=0.25", "--d_width=0.5", "--g_hidden=256x256", "--d_hidden=256x128", "--latent_dim=32", "--batch_size=16",
    "--g_lr=0.002", "--d_lr=0.002", "--b1=0",
)  # fmt: skip
# data set -> the program that trains on it, its flags, and the measure by which cells are ordered (lower is better)
STUDIES = {
    "ring": ("experiments.gaussians", RING, "shortfall"),
    "grid": ("experiments.gaussians", RING, "shortfall"),
    "digits": ("experiments.mnist", DIGITS, "frechet"),
}
PENALTIES = {
    "none": (),
    "r1": ("--r1_gamma=0.1",),
    "r1_r2": ("--r1_gamma=0.1", "--r2_gamma=0.1"),
}
# of each player in a step; others take one
GRADIENTS = {"extragradient": 2, "consensus": 2, "symplectic_gradient_adjustment": 3}
BASE = "alternating"
RULES = (
    BASE, "simultaneous", "extragradient", "extrapolation_from_the_past", "consensus",
    "symplectic_gradient_adjustment", "lookahead_minimax", "optimistic_adam",
)  # fmt: skip

DATASET = flags.DEFINE_enum("dataset", "ring", tuple(STUDIES), "what the players learn from")
WORKDIR = flags.DEFINE_string("workdir", None, "folder of the study; unset: runs/study_<dataset>")
SEEDS = flags.DEFINE_string("seeds", "0..9", "seeds of every cell, as in 0..9 or 0,3,7")
NUM_GRADIENTS = flags.DEFINE_integer("num_gradients", 6000, "of each player in a run", 10, 10**8)
CHOSEN_RULES = flags.DEFINE_list(
    "rules", list(RULES), "values of --update; optimistic_adam is the alternating rule with it"
)
LOSSES = flags.DEFINE_list(
    "losses", ["non_saturating", "hinge", "relativistic"], "values of --loss"
)
CHOSEN_PENALTIES = flags.DEFINE_list("penalties", ["none", "r1"], f"of {', '.join(PENALTIES)}")

if __name__ == "__main__":  # --help and wrong flags answer before the slow imports below
    program.begin()

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

from experiments.command.program import UserError
from experiments.many import cells_in_words, members
from experiments.record.run_folder import write_text
from gan_jax import plots


class Cell(NamedTuple):
    """One combination."""

    rule: str
    loss: str
    penalty: str

    def __str__(self) -> str:
        return f"{self.loss}, penalty {self.penalty}, {self.rule}"

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"{self.loss}-{self.penalty}-{self.rule}"

    @property
    def steps(self) -> int:
        """As many as give every cell the same number of gradients."""
        return max(1, NUM_GRADIENTS.value // GRADIENTS.get(self.rule, 1))


def main() -> int:
    """Train and measure every cell, compare, tell."""
    cells = chosen_cells()
    members.parse_seeds(SEEDS.value)
    folder = Path(WORKDIR.value or f"runs/study_{DATASET.value}").expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    found = [train_cell(folder, cell) for cell in cells]
    comparisons = compare_cells(folder, cells)
    sentences = [
        cells_in_words.sentence(
            f"{cell} ({cell.steps} steps)", row, comparisons.get(cell), measure(), BASE
        )
        for cell, row in zip(cells, found, strict=True)
    ]
    print("\n".join(sentences))
    asked = {"dataset": DATASET.value, "seeds": SEEDS.value, "num_gradients": NUM_GRADIENTS.value}
    rows = [
        {**cell._asdict(), "steps": cell.steps, **row, "against_base": comparisons.get(cell)}
        for cell, row in zip(cells, found, strict=True)
    ]
    numbers = {**asked, "measure": measure(), "cells": rows, "words": sentences}
    write_text(folder / "study.json", json.dumps(numbers, indent=2, allow_nan=False) + "\n")
    panels: dict[str, list[plots.Row]] = {}
    for cell, row in zip(cells, found, strict=True):
        if cell.rule != BASE:
            drawn = cells_in_words.drawn(cell.rule, row, comparisons.get(cell))
            panels.setdefault(f"{cell.loss}, penalty {cell.penalty}", []).append(drawn)
    if panels:
        title = f"{DATASET.value}: left of zero is better (median over seeds, 95 % interval)"
        label = f"{measure()}, difference from {BASE}"
        plots.save_intervals(panels, folder / "study.png", x_label=label, title=title)
    print(f"wrote {folder}/study.json and study.png")
    return 0


def chosen_cells() -> list[Cell]:
    """List the combinations that the flags ask for, the base first in each loss and penalty.

    Raises:
      UserError: a name is unknown.
    """
    known = {"rules": (CHOSEN_RULES.value, RULES), "penalties": (CHOSEN_PENALTIES.value, PENALTIES)}
    for flag, (chosen, names) in known.items():
        for name in chosen:
            if name not in names:
                raise UserError(f"--{flag}={name} is unknown: choose from {', '.join(names)}")
    rules = list(dict.fromkeys([BASE, *CHOSEN_RULES.value]))
    return [
        Cell(rule, loss, penalty)
        for loss in LOSSES.value
        for penalty in CHOSEN_PENALTIES.value
        for rule in rules
    ]


def measure() -> str:
    """Name the number by which cells are compared."""
    return STUDIES[DATASET.value][2]


def command_of(folder: Path, cell: Cell) -> list[str]:
    """Write the command that trains and measures a cell."""
    module, base, _ = STUDIES[DATASET.value]
    update = [f"--update={cell.rule}"]
    if cell.rule == "optimistic_adam":
        update = ["--update=alternating", "--optimizer=optimistic_adam"]
    each = max(1, cell.steps // 4)
    periods = [f"--{name}={cell.steps}" for name in ("sample_every", "checkpoint_every")]
    return [
        sys.executable, "-m", module, f"--dataset={DATASET.value}", *base, *update, f"--loss={cell.loss}",
        *PENALTIES[cell.penalty], f"--num_steps={cell.steps}", f"--steps_per_call={each}", f"--log_every={each}",
        *periods, f"--seeds={SEEDS.value}", f"--workdir={folder / cell.name}",
    ]  # fmt: skip


def train_cell(folder: Path, cell: Cell) -> dict[str, Any]:
    """Run a cell's command unless it has ended before; return what it came to.

    Returns:
      "exit_code", "said" (the last line of its errors, if it failed), "seconds", "diverged", and of the measure, if
      anything could be measured, "median", "values" and "floor".

    Raises:
      UserError: the folder has this cell by another command, or the cell was stopped.
    """
    note, command = folder / f"{cell.name}.json", command_of(folder, cell)
    if note.is_file():
        known = json.loads(note.read_text("utf-8"))
        if known["command"] != command[1:]:
            raise UserError(f"{folder} holds a study by other flags: choose another --workdir")
        return known
    print(f"{cell.name}: {cell.steps} steps", flush=True)
    started = time.perf_counter()
    code, said = run(command)
    if code not in (0, 1):
        raise UserError(f"{cell.name} was stopped: {said}; the same command goes on")
    seconds = time.perf_counter() - started
    row = {
        "command": command[1:],
        "exit_code": code,
        "said": said,
        "seconds": seconds,
        "diverged": [],
    }
    row |= _summary(folder / cell.name / "summary.json")
    write_text(note, json.dumps(row, indent=2) + "\n")
    return row


def run(command: list[str]) -> tuple[int, str]:
    """Run another program to its end; return its exit code, and the last line of its errors if it failed."""
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = ended.stderr.strip().splitlines()
    return ended.returncode, lines[-1] if ended.returncode and lines else ""


def _summary(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    (group,) = json.loads(file.read_text("utf-8"))
    found = {"diverged": group["diverged"]}
    if measure() in group["measures"]:
        row = group["measures"][measure()]
        found |= {name: row[name] for name in ("median", "values", "floor")}
    return found


def compare_cells(folder: Path, cells: list[Cell]) -> dict[Cell, dict[str, Any]]:
    """Compare every cell with the base of its loss and penalty by experiments.compare; nothing where one has failed."""
    compared = {}
    for cell in cells:
        base = cell._replace(rule=BASE)
        if cell == base:
            continue
        out = folder / f"{cell.name}.compared.json"
        out.unlink(missing_ok=True)
        folders = [str(folder / each.name) for each in (base, cell)]
        code, _ = run([sys.executable, "-m", "experiments.compare", *folders, f"--out={out}"])
        if code == 0 and out.is_file():
            (comparison,) = json.loads(out.read_text("utf-8"))
            if measure() in comparison["measures"]:
                compared[cell] = comparison["measures"][measure()] | {"seeds": comparison["seeds"]}
    return compared


if __name__ == "__main__":
    program.run(main)
