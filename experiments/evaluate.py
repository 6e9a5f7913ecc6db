"""Measure a run's samples, beside what real data reach.

    python -m experiments.evaluate --workdir=runs/mnist
    python -m experiments.evaluate --workdir=runs/mnist --measures=frechet,manifold --num_samples=5000

Prints a table and writes evaluation.json into the run folder: each value with its 95 % bootstrap interval, the number
of samples, the *floor* (the same measure of as many unseen real images: what a perfect generator would score), and
the SHA-256 of the feature network. neighbours.png shows samples beside their nearest training images. The newest
checkpoint is measured, and the best one, where the run chose one by --eval_every: the gap is the story.

Images of 28x28: frechet, kernel, manifold (precision, recall, density, coverage), classes, copies. Mixtures: modes.
Runs of experiments.stacked_mnist: stacked (modes, KL to uniform and to the training digits' shares, unsure digits).
"""

import json
from pathlib import Path
from typing import Any

from absl import flags

from experiments import program

MEASURES = ("frechet", "kernel", "manifold", "classes", "copies", "modes", "stacked")

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

NEIGHBOURS_SHOWN = (10, 5)  # samples, and training images beside each


def main() -> int:
    """Measure, print, write."""
    if not WORKDIR.value:
        raise program.UserError("--workdir is missing: name the folder of a run")
    chosen = CHOSEN.value or list(MEASURES)
    unknown = [name for name in chosen if name not in MEASURES]
    if unknown:
        raise program.UserError(
            f"--measures={unknown[0]} is unknown: choose from {', '.join(MEASURES)}"
        )
    workdir = Path(WORKDIR.value).expanduser()

    from experiments.restored import best_and_last, restore_run

    results = []
    for name, step in best_and_last(workdir).items():
        run = restore_run(workdir, step=step)
        result = {"checkpoint": name, "step": run.step, **evaluate(run, chosen, workdir)}
        print(_table(result))
        results.append(result)
    _write(results, workdir / "evaluation.json")
    print(f"wrote {workdir}/evaluation.json")
    return 0


def evaluate(run, chosen: list[str], workdir: Path) -> dict[str, Any]:
    """Measure one state of a run."""
    if run.facts["experiment"] == "stacked_mnist":
        return _evaluate_stacked(run, chosen)
    if len(run.facts["dataset"]["shape"]) == 1:
        return _evaluate_points(run, chosen)
    return _evaluate_images(run, chosen, workdir)


def _evaluate_points(run, chosen: list[str]) -> dict[str, Any]:
    from experiments import measures
    from gan_jax import data

    name = run.config.dataset
    if name not in data.MIXTURES or "modes" not in chosen:
        raise program.UserError(
            f"{name} with --measures={','.join(chosen)} leaves nothing to measure: modes applies to "
            f"{' and '.join(data.MIXTURES)}"
        )
    mixture, num = data.mixture(name), NUM_SAMPLES.value or 2500
    unseen = data.load(name, split="test").images
    values = measures.modes(_generate(run, num), mixture.centres, mixture.sigma)
    floors = measures.modes(unseen[:num], mixture.centres, mixture.sigma)
    return _result(num, min(num, len(unseen)), values, floors)


def _evaluate_stacked(run, chosen: list[str]) -> dict[str, Any]:
    from experiments import stacked

    if "stacked" not in chosen:
        raise program.UserError(
            f"--measures={','.join(chosen)} leaves nothing to measure: stacked applies"
        )
    num = NUM_SAMPLES.value or (25_600 if run.config.network == "unrolled" else 26_000)
    place = DATA_DIR.value or run.config.data_dir
    facts, values, floors = stacked.evaluate(run.config.dataset, place, _generate(run, num))
    return facts | _result(num, num, values, floors)


def _evaluate_images(run, chosen: list[str], workdir: Path) -> dict[str, Any]:
    import numpy as np

    from experiments import measures
    from gan_jax import data
    from gan_jax.evaluation.features import IMAGE_SHAPE, SHA256, load_features
    from gan_jax.sampling import to_pixels

    wanted = [name for name in chosen if name in measures.IMAGE_MEASURES]
    if not wanted:
        raise program.UserError(
            f"--measures={','.join(chosen)} are for points: choose from {', '.join(measures.IMAGE_MEASURES)}"
        )
    name, shape = run.config.dataset, tuple(run.facts["dataset"]["shape"])
    if shape != IMAGE_SHAPE:
        raise program.UserError(
            f"the frozen networks read images {IMAGE_SHAPE}, the run has {shape}"
        )
    network = load_features(FEATURES.value or (name if name in SHA256 else "mnist"))
    place = DATA_DIR.value or run.config.data_dir
    train, test = (data.load(name, split=split, data_dir=place) for split in ("train", "test"))
    num = NUM_SAMPLES.value or 10_000
    # The published test sets are not in random order.
    mixed = np.random.default_rng(0).permutation(len(test.images))[:num]
    sets = [
        measures.embed_images(network, images)
        for images in (train.images, test.images[mixed], np.asarray(to_pixels(_generate(run, num))))
    ]
    values, floors = {}, {}
    for name in wanted:
        real, unseen, samples = sets
        try:
            values |= measures.IMAGE_MEASURES[name](real, unseen, samples)
            floors |= measures.IMAGE_MEASURES[name](real, unseen, unseen)
        except ValueError as error:
            raise program.UserError(f"--measures={name}: {error}") from error
    if "copies" in wanted:
        _draw_neighbours(sets[2].images, train.images, workdir / "neighbours.png")
    facts = {"features": network.name, "features_sha256": network.sha256}
    return facts | _result(num, len(mixed), values, floors)


def _generate(run, num: int):
    import jax
    import numpy as np

    from gan_jax.sampling import sample_latents

    latents = sample_latents(jax.random.key(SEED.value), num, run.config.latent_dim)
    samples = run.generate(latents, ema=EMA.value)
    bad = int((~np.isfinite(samples.reshape(num, -1))).any(axis=1).sum())
    if bad:
        raise program.UserError(f"{bad} of {num} samples are not finite: the run has diverged")
    return samples


def _result(num: int, num_floor: int, values, floors) -> dict[str, Any]:
    return {
        "num_samples": num,
        "num_floor_samples": num_floor,
        "seed": SEED.value,
        "ema": EMA.value,
        "measures": {
            name: {
                "value": value,
                "interval": None if interval is None else list(interval),
                "floor": floors[name].value,
            }
            for name, (value, interval) in values.items()
        },
    }


def _table(result: dict[str, Any]) -> str:
    lines = [
        f"{result['checkpoint']} checkpoint, step {result['step']}, {result['num_samples']:,} samples",
        f"{'':18}{'value':>10}  {'95 % interval':>20}  {'floor':>10}",
    ]
    for name, row in result["measures"].items():
        interval = "" if row["interval"] is None else "{:.4g} to {:.4g}".format(*row["interval"])
        lines.append(f"{name:18}{row['value']:>10.4g}  {interval:>20}  {row['floor']:>10.4g}")
    if result["num_floor_samples"] < result["num_samples"]:
        lines.append(f"floor: only {result['num_floor_samples']:,} unseen real samples exist")
    return "\n".join(lines)


def _draw_neighbours(samples, train, path: Path) -> None:
    import numpy as np

    from gan_jax import plots
    from gan_jax.evaluation.neighbours import nearest_neighbours

    rows, columns = NEIGHBOURS_SHOWN
    indices, _ = nearest_neighbours(samples[:rows], train, k=columns)
    shown = np.concatenate([samples[: len(indices), None], train[indices]], axis=1)
    plots.save_interpolation(shown, path)


def _write(results: list[dict[str, Any]], path: Path) -> None:
    from experiments.run_folder import write_text

    write_text(path, json.dumps(results, indent=2, allow_nan=False) + "\n")


if __name__ == "__main__":
    program.run(main)
