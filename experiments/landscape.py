"""Look at the dynamics of a run: where its game turns, what draws it in, what each player could still gain.

    python -m experiments.landscape --workdir=runs/digits
    python -m experiments.landscape --workdir=runs/digits --num_eigenvalues=20 --gap_steps=500

At the start and at each checkpoint that the folder keeps: the largest eigenvalues of the game's Jacobian, as the plain
field has it and as Adam follows it, both players' Hessians, rotation, duality gap, how D overfits; and the path
angle from the first to the last. Says it in words, and writes landscape.json, eigenvalues.png and path_angle.png into
the run's folder. docs/dynamics.md explains each.
"""

import json
from pathlib import Path

from absl import flags

from experiments.command import program

WORKDIR = flags.DEFINE_string("workdir", None, "run folder", required=True)
NUM_EIGENVALUES = flags.DEFINE_integer("num_eigenvalues", 40, "of the game's Jacobian", 1, 1000)
NUM_SAMPLES = flags.DEFINE_integer(
    "num_samples", 256, "real samples on which the field is computed", 1, 10**6
)
GAP_STEPS = flags.DEFINE_integer(
    "gap_steps", 100, "steps of each player against the still other", 0, 10**6
)
STEPS = flags.DEFINE_list("steps", None, "checkpoints to look at; unset: 0 and all that are kept")
SEED = flags.DEFINE_integer("seed", 0, "of latents, samples and directions", 0, 2**32 - 1)
DATA_DIR = flags.DEFINE_string("data_dir", None, "folder of the data; unset: the run's own")


def main() -> int:
    """Measure, tell, write."""
    folder = Path(WORKDIR.value).expanduser()
    for step in STEPS.value or ():
        if not step.isdecimal():
            raise program.UserError(f"--steps={step} is no step: write numbers, as in 0,5000")

    from experiments.measuring import landscape, landscape_in_words
    from experiments.record.run_folder import write_text

    request = landscape.Request(
        NUM_EIGENVALUES.value,
        NUM_SAMPLES.value,
        GAP_STEPS.value,
        SEED.value,
        DATA_DIR.value,
        None if STEPS.value is None else tuple(map(int, STEPS.value)),
    )
    found = landscape.measure(landscape.open_run(folder, request), request)
    found["words"] = landscape_in_words.in_words(found)
    print("\n".join(found["words"]))
    text = json.dumps(found, indent=2, allow_nan=False)
    write_text(folder / "landscape.json", text + "\n")
    written = landscape_in_words.draw(found, folder)
    print(f"wrote {folder}/landscape.json, {', '.join(path.name for path in written)}")
    return 0


if __name__ == "__main__":
    program.run(main)
