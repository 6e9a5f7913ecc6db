"""Measure a run's samples, beside what real data reach.

    python -m experiments.evaluate --workdir=runs/mnist
    python -m experiments.evaluate --workdir=runs/mnist --measures=frechet,manifold --num_samples=5000

Prints a table and writes evaluation.json into the run folder: each value with its 95 % bootstrap interval, the number
of samples, the *floor* (the same measure of as many unseen real images: what a perfect generator would score), and
the SHA-256 of the feature network. neighbours.png shows samples beside their nearest training images. The newest
checkpoint is measured, and the best one, where the run chose one by --eval_every: the gap is the story.

Given the folder of a command with --seeds or --sweep, it measures every run in it and sums them up: summary.json.

Images of 28x28: frechet, kernel, manifold (precision, recall, density, coverage), classes, copies. Mixtures: modes.
Runs of experiments.stacked_mnist: stacked (modes, KL to uniform and to the training digits' shares, unsure digits).
"""

from pathlib import Path

from absl import flags

from experiments.command import program
from experiments.measuring.measure import MEASURES, Request

WORKDIR = flags.DEFINE_string("workdir", None, "run folder to measure")
NUM_SAMPLES = flags.DEFINE_integer(
    "num_samples",
    None,
    "samples generated; default: 10,000 images, 2,500 points; stacked digits 25,600 of the "
    "unrolled networks and 26,000 of others",
    2,
    10**7,
)
CHOSEN = flags.DEFINE_list(
    "measures", None, f"any of {', '.join(MEASURES)}, separated by commas; default: all that apply"
)
FEATURES = flags.DEFINE_enum(
    "features", None, ("mnist", "fashion_mnist"),
    "frozen network whose features are compared; default: the run's data set if it has one, else mnist",
)  # fmt: skip
DATA_DIR = flags.DEFINE_string("data_dir", None, "folder of the data set; default: the run's own")
SEED = flags.DEFINE_integer("seed", 0, "seed of the latents", 0, 2**32 - 1)
EMA = flags.DEFINE_bool("ema", True, "use the moving average of the generator's weights")


def main() -> int:
    """Measure, print, write."""
    if not WORKDIR.value:
        raise program.UserError("--workdir is missing: name the folder of a run")
    chosen = tuple(CHOSEN.value or MEASURES)
    unknown = [name for name in chosen if name not in MEASURES]
    if unknown:
        raise program.UserError(
            f"--measures={unknown[0]} is unknown: choose from {', '.join(MEASURES)}"
        )
    workdir = Path(WORKDIR.value).expanduser()
    request = Request(
        chosen, NUM_SAMPLES.value, FEATURES.value, DATA_DIR.value, SEED.value, EMA.value
    )

    from experiments.many import folder as population_folder
    from experiments.measuring import measure as measured

    if population_folder.is_population(workdir):
        from experiments.many import summary

        summary.conclude(workdir, list(population_folder.read(workdir).members), request)
        return 0
    for result in measured.measure_run(workdir, request):
        print(measured.table(result))
    print(f"wrote {workdir}/evaluation.json")
    return 0


if __name__ == "__main__":
    program.run(main)
