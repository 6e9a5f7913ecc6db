"""Measure the checkpoints of a run, each value with its interval and what real data reach."""

import json
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from experiments.command.program import UserError

MEASURES = ("frechet", "kernel", "manifold", "classes", "copies", "modes", "stacked")
NEIGHBOURS_SHOWN = (10, 5)  # samples, and training images beside each


class Request(NamedTuple):
    """What is to be measured, and how.

    Attributes:
      measures: names among `MEASURES`; those that do not apply to a run are left out.
      num_samples: generated; None for 10,000 images, 2,500 points, and of stacked digits 25,600 from the unrolled
        networks and 26,000 from others.
      features: frozen network, "mnist" or "fashion_mnist"; None for that of the data, or MNIST's.
      data_dir: folder of the data; None for the run's own.
      seed: of the latents.
      ema: whether the moving average of the generator's weights is used.
    """

    measures: tuple[str, ...] = MEASURES
    num_samples: int | None = None
    features: str | None = None
    data_dir: str | None = None
    seed: int = 0
    ema: bool = True


Result = dict[str, Any]


def measure_run(workdir: Path, request: Request) -> list[Result]:
    """Measure a run's last checkpoint, and its best where it chose one; write evaluation.json.

    Raises:
      UserError: the folder is no run, it has no checkpoint, or what is asked for cannot be measured.
    """
    from experiments.record.restored import best_and_last, restore_run
    from experiments.record.run_folder import write_text

    results = []
    for name, step in best_and_last(workdir).items():
        run = restore_run(workdir, step=step)
        found = _measure(run, request, workdir)
        results.append({"checkpoint": name, "step": run.step, **found})
    text = json.dumps(results, indent=2, allow_nan=False)
    write_text(workdir / "evaluation.json", text + "\n")
    return results


def _measure(run, request: Request, workdir: Path) -> Result:
    if run.facts["experiment"] == "stacked_mnist":
        return _measure_stacked(run, request)
    if len(run.facts["dataset"]["shape"]) == 1:
        return _measure_points(run, request)
    return _measure_images(run, request, workdir)


def _measure_points(run, request: Request) -> Result:
    from experiments.measuring import measures
    from gan_jax import data

    name = run.config.dataset
    if name not in data.MIXTURES or "modes" not in request.measures:
        raise UserError(
            f"{name} with --measures={','.join(request.measures)} leaves nothing to measure: modes applies to "
            f"{' and '.join(data.MIXTURES)}"
        )
    mixture, num = data.mixture(name), request.num_samples or 2500
    unseen = data.load(name, split="test").images
    values = measures.modes(_generate(run, request, num), mixture.centres, mixture.sigma)
    floors = measures.modes(unseen[:num], mixture.centres, mixture.sigma)
    every = len(mixture.centres)
    success = {"means": f"all {every} modes found", "met": values["modes"].value == every}
    return _result(request, num, min(num, len(unseen)), values, floors) | {"success": success}


def _measure_stacked(run, request: Request) -> Result:
    from experiments.measuring import stacked_digits as stacked

    if "stacked" not in request.measures:
        raise UserError(
            f"--measures={','.join(request.measures)} leaves nothing to measure: stacked applies"
        )
    num = request.num_samples or (25_600 if run.config.network == "unrolled" else 26_000)
    place = request.data_dir or run.config.data_dir
    samples = _generate(run, request, num)
    facts, values, floors = stacked.evaluate(run.config.dataset, place, samples)
    return facts | _result(request, num, num, values, floors)


def _measure_images(run, request: Request, workdir: Path) -> Result:
    import numpy as np

    from experiments.measuring import measures
    from gan_jax.evaluation.features import IMAGE_SHAPE, SHA256
    from gan_jax.sampling import to_pixels

    wanted = tuple(name for name in request.measures if name in measures.IMAGE_MEASURES)
    if not wanted:
        raise UserError(
            f"--measures={','.join(request.measures)} are for points: choose from {', '.join(measures.IMAGE_MEASURES)}"
        )
    name, shape = run.config.dataset, tuple(run.facts["dataset"]["shape"])
    if shape != IMAGE_SHAPE:
        raise UserError(f"the frozen networks read images {IMAGE_SHAPE}, the run has {shape}")
    features = request.features or (name if name in SHA256 else "mnist")
    num = request.num_samples or 10_000
    place = request.data_dir or run.config.data_dir
    network, real, unseen, floors = _yardstick(name, place, features, num, wanted)
    made = np.asarray(to_pixels(_generate(run, request, num)))
    samples = measures.embed_images(network, made)
    values = _apply(wanted, real, unseen, samples)
    if "copies" in wanted:
        _draw_neighbours(samples.images, real.images, workdir / "neighbours.png")
    facts = {"features": network.name, "features_sha256": network.sha256}
    return facts | _result(request, num, len(unseen.images), values, floors)


@lru_cache(maxsize=1)  # the runs of a population are measured by one
def _yardstick(name: str, place: str, features: str, num: int, wanted: tuple[str, ...]):
    """Read the real data through the network, and measure the unseen ones."""
    import numpy as np

    from experiments.measuring import measures
    from gan_jax import data
    from gan_jax.evaluation.features import load_features

    network = load_features(features)
    train, test = (data.load(name, split=split, data_dir=place) for split in ("train", "test"))
    # The published test sets are not in random order.
    mixed = np.random.default_rng(0).permutation(len(test.images))[:num]
    real, unseen = (
        measures.embed_images(network, images) for images in (train.images, test.images[mixed])
    )
    return network, real, unseen, _apply(wanted, real, unseen, unseen)


def _apply(wanted: tuple[str, ...], real, unseen, samples):
    from experiments.measuring import measures

    values = {}
    for name in wanted:
        try:
            values |= measures.IMAGE_MEASURES[name](real, unseen, samples)
        except ValueError as error:
            raise UserError(f"--measures={name}: {error}") from error
    return values


def _generate(run, request: Request, num: int):
    import jax
    import numpy as np

    from gan_jax.sampling import sample_latents

    latents = sample_latents(jax.random.key(request.seed), num, run.config.latent_dim)
    samples = run.generate(latents, ema=request.ema)
    bad = int((~np.isfinite(samples.reshape(num, -1))).any(axis=1).sum())
    if bad:
        raise UserError(f"{bad} of {num} samples are not finite: the run has diverged")
    return samples


def _result(request: Request, num: int, num_floor: int, values, floors) -> Result:
    return {
        "num_samples": num,
        "num_floor_samples": num_floor,
        "seed": request.seed,
        "ema": request.ema,
        "measures": {
            name: {
                "value": value,
                "interval": None if interval is None else list(interval),
                "floor": floors[name].value,
            }
            for name, (value, interval) in values.items()
        },
    }


def table(result: Result) -> str:
    """Lay out a result for the terminal."""
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
