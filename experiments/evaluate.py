"""Measure a run's samples, or anyone's, beside what real data reach.

    python -m experiments.evaluate --workdir=runs/mnist
    python -m experiments.evaluate --workdir=runs/mnist --measures=frechet,manifold --num_samples=5000
    python -m experiments.evaluate --samples=theirs.npz --dataset=mnist --data_dir=FOLDER

Prints a table and writes evaluation.json into the run folder: each value with its 95 % interval (bootstrap; of the
kernel distance by its own variance), the number of samples, the *floor* (the same measure of as many unseen real
images, or as there are: what a perfect generator would score), and the SHA-256 of the feature network. neighbours.png
shows samples beside their nearest training images. The newest checkpoint is measured, and the best one, where the run
chose one by --eval_every: the gap is the story. Another choice: --checkpoint=best, or a step.

--samples measures what was made elsewhere against --dataset, in the same way: an .npz or .npy file of images (uint8, or
floats in [-1, 1]; channels first or last) or points, a folder or .zip of pictures. The result lies beside it, as
theirs_evaluation.json.

--truncation=0.7 (latents cut off; several bounds, separated by commas) and --rejection (D chooses among G's samples)
are each measured as well, beside the samples as G makes them: what is won in precision is paid for in recall.

Given the folder of a command with --seeds or --sweep, it measures every run in it and sums them up: summary.json.

Images of 28x28: frechet, kernel, manifold (precision, recall, density, coverage), classes (balance, score, share of
unsure ones), copies; agreement (does the network read a sample as its nearest training picture?); and, without a
network's eyes, pixels (Frechet distance in 64 principal components of the training pixels, as a share of their
variance). Pictures of one's own, and sounds: pixels and copies; pictures with --features=FILE, a network that
experiments.train_features wrote, all that 28x28 images have. Mixtures: modes.
Spoken digits, after the way back to a wave: spoken (shares of sounds of which judges are sure, modes of 60 digits by
speakers, KL to uniform), spoken_frechet (in parts as large as the test set: the distance hangs on n), kernel, pixels,
copies; experiments.sounds_protocol has their control rows.
Of runs with --conditional besides: asked (label_agreement: share of samples that the frozen network reads as the class
asked for), by_class and pixels_by_class (Frechet distance within each class, averaged; class_samples is the fewest
samples of a class: few of them raise it, as they raise its floor).
Runs of experiments.stacked_mnist: stacked (modes, KL to uniform and to the training digits' shares, unsure digits).
"""

import os
from pathlib import Path

from absl import flags

from experiments.command import program

WORKDIR = flags.DEFINE_string("workdir", None, "run folder to measure")
NUM_SAMPLES = flags.DEFINE_integer(
    "num_samples",
    None,
    "samples generated; default: 10,000 images of 28x28, 5,000 pictures of one's own or sounds, 3,000 "
    "spoken digits, 2,500 points; stacked digits 25,600 of the unrolled networks and 26,000 of others",
    2,
    10**7,
)
CHOSEN = flags.DEFINE_list(
    "measures", None, "which, separated by commas; default: all that apply to the run"
)
SAMPLES = flags.DEFINE_string(
    "samples", None, "samples to measure in the place of a run: .npz, .npy, folder or .zip"
)
DATASET = flags.DEFINE_string("dataset", None, "the data set that --samples are to be like")
CHECKPOINT = flags.DEFINE_string(
    "checkpoint", None, "last, best, or a step; default: the last, and the best where the run chose one by --eval_every"
)  # fmt: skip
FEATURES = flags.DEFINE_string(
    "features", None, "frozen network whose features are compared: mnist, fashion_mnist, or a file that "
    "experiments.train_features wrote; default: the run's --features, else that of its data set, else mnist",
)  # fmt: skip
DATA_DIR = flags.DEFINE_string(
    "data_dir",
    None,
    "folder of the data set; default: the run's own; with --samples $GAN_JAX_DATA, or data",
)
SEED = flags.DEFINE_integer("seed", 0, "seed of the latents", 0, 2**32 - 1)
EMA = flags.DEFINE_bool("ema", True, "use the moving average of the generator's weights")

TRUNCATION = flags.DEFINE_list(
    "truncation", [], "measure samples from latents truncated at these bounds, too, such as 0.7"
)
REJECTION = flags.DEFINE_bool("rejection", False, "measure samples that D chooses, too")
PERCENTILE = flags.DEFINE_float(
    "rejection_percentile", 80.0, "of G's samples, where D accepts one in two", 0, 99.99
)


def main() -> int:
    """Measure, print, write."""
    if not WORKDIR.value and not SAMPLES.value:
        raise program.UserError(
            "--workdir is missing: name the folder of a run, or a file by --samples"
        )
    if SAMPLES.value:
        return _evaluate_samples()

    from experiments.many import folder as population_folder
    from experiments.measuring import evaluation
    from experiments.record.chosen_checkpoint import check_choice

    check_choice(CHECKPOINT.value)
    workdir = Path(WORKDIR.value).expanduser()
    request = _request()
    if population_folder.is_population(workdir):
        from experiments.many import summary

        summary.conclude(workdir, list(population_folder.read(workdir).members), request)
        return 0
    for result in evaluation.evaluate_run(workdir, request):
        print(evaluation.table(result))
    print(f"wrote {workdir}/evaluation.json")
    return 0


def _request():
    from experiments.measuring import evaluation, measures

    chosen = None
    if CHOSEN.value is not None:
        chosen = tuple(measure.name for measure in measures.named(CHOSEN.value))
    return evaluation.Request(
        *(chosen, NUM_SAMPLES.value, FEATURES.value, DATA_DIR.value, SEED.value, EMA.value),
        CHECKPOINT.value,
        _ways(),
    )


def _evaluate_samples() -> int:
    own = {
        "workdir": WORKDIR,
        "checkpoint": CHECKPOINT,
        "truncation": TRUNCATION,
        "rejection": REJECTION,
        "rejection_percentile": PERCENTILE,
        "ema": EMA,
    }
    for name, flag in own.items():
        if flag.present:
            raise program.UserError(f"--samples and --{name}: samples of a file have no run")
    if not DATASET.value:
        raise program.UserError("--dataset is missing: name the data that --samples are to be like")

    from experiments.command.experiment import Source
    from experiments.measuring import results
    from experiments.measuring.given_samples import evaluate_samples
    from gan_jax import data

    path = Path(SAMPLES.value).expanduser()
    place = DATA_DIR.value or os.environ.get("GAN_JAX_DATA", "data")
    splits = (
        data.load(DATASET.value, split=split, data_dir=place, warn=print)
        for split in ("train", "test")
    )
    out = path.parent / f"{path.stem}_evaluation.json"
    print(results.table(evaluate_samples(path, Source(*splits), _request(), out)))
    print(f"wrote {out}")
    return 0


def _ways():
    from experiments.measuring.drawing import Way

    try:
        bounds = [float(text) for text in TRUNCATION.value]
    except ValueError:
        bounds = [0.0]
    if not all(0 < bound < float("inf") for bound in bounds):
        raise program.UserError(
            f"--truncation={','.join(TRUNCATION.value)}: name bounds above 0, such as 0.7"
        )
    chosen = [Way(rejection=PERCENTILE.value)] if REJECTION.value else []
    return (*(Way(truncation=bound) for bound in bounds), *chosen)


if __name__ == "__main__":
    program.run(main)
