"""Measure the checkpoints of a run, each value with its interval and what real data reach; write evaluation.json."""

import dataclasses
import json
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.command.experiment import Source
from experiments.command.program import UserError
from experiments.measuring import measures
from experiments.measuring.drawing import PLAIN, Drawn, Way, draw
from experiments.measuring.measure import Kind, Labelled, Measure, Yardstick
from experiments.measuring.real_data import source_of
from experiments.measuring.results import Result, rows, table, way_result
from experiments.record.chosen_checkpoint import checkpoints_to_measure
from experiments.record.restored import RestoredRun, restore_run
from experiments.record.run_folder import write_text
from gan_jax.evaluation.values import RESAMPLES, Values


class Request(NamedTuple):
    """What is to be measured, and how.

    Attributes:
      measures: names in the table of measures, those that do not apply to a run are left out; None for all that apply.
      num_samples: generated; None for the number that is usual for the kind of data.
      features: frozen network, "mnist", "fashion_mnist" or a file of one's own; None for the run's own --features, else
        that of the data, or MNIST's.
      data_dir: folder of the data; None for the run's own.
      seed: of the latents.
      ema: whether the moving average of the generator's weights is used.
      checkpoint: "last", "best" or a step; None for the last, and the best where the run chose one.
      ways: of drawing samples, besides as G makes them; each is measured on its own.
    """

    measures: tuple[str, ...] | None = None
    num_samples: int | None = None
    features: str | None = None
    data_dir: str | None = None
    seed: int = 0
    ema: bool = True
    checkpoint: str | None = None
    ways: tuple[Way, ...] = ()


__all__ = ["Request", "Result", "evaluate_run", "kind_of", "table"]
Chosen = tuple[Measure, ...]


class RealData(NamedTuple):
    """What the samples of a run are held against: the training data, unseen ones, and what those score as samples.

    Attributes:
      yardstick: with the training data.
      unseen: as the yardstick reads them.
      labels: classes of the training data that the yardstick holds, and of the unseen ones.
      num_unseen: how many.
      floors: their values.
      chosen: the measures that apply.
    """

    yardstick: Yardstick
    unseen: Any
    labels: tuple[Any, ...]
    num_unseen: int
    floors: Values
    chosen: Chosen


def evaluate_run(workdir: Path, request: Request) -> list[Result]:
    """Measure the checkpoints of a run that are asked for; write evaluation.json.

    Raises:
      UserError: the folder is no run, it has no such checkpoint, or what is asked for cannot be measured.
    """
    results = []
    for name, step in checkpoints_to_measure(workdir, request.checkpoint).items():
        run = restore_run(workdir, step=step)
        found = _evaluate(run, request, workdir)
        results.append({"checkpoint": name, "step": run.step, **found})
    text = json.dumps(results, indent=2, allow_nan=False)
    write_text(workdir / "evaluation.json", text + "\n")
    return results


def kind_of(run: RestoredRun, features: str | None = None) -> Kind:
    """Say what a sample of a run is, with a feature network or without.

    Raises:
      UserError: no measure applies to its samples.
    """
    shape = tuple(run.facts["dataset"]["shape"])
    kind = measures.kind_of(run.experiment.kind, run.config, features)
    if why := kind.refusal(run.config.dataset, shape):
        raise UserError(
            f"{run.config.dataset} leaves nothing to measure: {why}, the run has {shape}"
        )
    return kind


def _evaluate(run: RestoredRun, request: Request, workdir: Path) -> Result:
    features = request.features or run.config.features or None
    kind = kind_of(run, features)
    num = request.num_samples or kind.num_samples(run.config)
    labels = run.draw_labels(request.seed, num)
    among = () if request.measures is None else measures.named(request.measures)
    chosen = measures.of_kind(kind.name, among, labelled=labels is not None)
    check_enough(chosen, num)
    source = source_of(run, request.data_dir)
    real = real_data(kind, compared(source, run.experiment.name), features, num, chosen)
    (train, read, facts, *_), chosen = real.yardstick, real.chosen
    samples = read(_generate(run, request, num, PLAIN).samples)
    classes = None if labels is None else (*real.labels, labels)
    values = compute(chosen, train, real.unseen, samples, classes=classes)
    for measure in chosen:
        if measure.draw:
            measure.draw(train, samples, workdir)
    found = {
        **facts,
        **{"num_samples": num, "num_floor_samples": real.num_unseen},
        **{"seed": request.seed, "ema": request.ema, "measures": rows(values, real.floors)},
    }
    if kind.success:
        found["success"] = kind.success(values, train)
    if request.ways:
        found["ways"] = []
    for way in request.ways:
        drawn = _generate(run, request, num, way)
        values = compute(chosen, train, real.unseen, read(drawn.samples), classes=classes)
        found["ways"].append(way_result(way, drawn, rows(values, real.floors)))
    return found


def check_enough(chosen: Chosen, num: int) -> None:
    """Refuse fewer samples than a measure needs."""
    for measure in chosen:
        if num < measure.fewest:
            raise UserError(
                f"--num_samples={num}: {measure.name} needs at least {measure.fewest}; raise it, or leave "
                f"{measure.name} out of --measures"
            )


@dataclasses.dataclass(frozen=True)
class _Compared:
    """The data of a run, equal to others with the same name and the same samples."""

    name: str
    train: str
    unseen: str
    source: Source = dataclasses.field(compare=False)


def compared(source: Source, name: str) -> _Compared:
    """Name data so that the same ones are read once; `name` is of who loaded them.

    Raises:
      UserError: there are no unseen ones.
    """
    if source.held_out is None:
        raise UserError(
            f"the experiment {name} loads no unseen data to measure against: let its load give "
            "Source(train, held_out)"
        )
    train, unseen = source
    return _Compared(train.name, train.sha256, unseen.sha256, source)


@lru_cache(maxsize=1)  # the runs of a population are measured by one
def real_data(
    kind: Kind, compared: _Compared, features: str | None, num: int, chosen: Chosen
) -> RealData:
    """Read the real data as the samples are read."""
    train, held_out = compared.source
    yardstick, images = kind.yardstick(train, features), kind.unseen(held_out, num)
    chosen = tuple(m for m in chosen if yardstick.knows_classes or not m.names_classes)
    if not chosen:
        raise UserError(
            f"--features={features} knows other classes than {', '.join(train.class_names)}"
        )
    unseen = yardstick.read(images)
    labels: tuple[Any, ...] = (None, None)
    if any(measure.labelled for measure in chosen):  # of the unseen ones chosen as they are
        of_train = train.labels if yardstick.chosen is None else train.labels[yardstick.chosen]
        labels = (of_train, kind.unseen(held_out._replace(images=held_out.labels), num))
    classes = (*labels, labels[1])
    floors = compute(chosen, yardstick.train, unseen, unseen, resamples=0, classes=classes)
    return RealData(yardstick, unseen, labels, len(images), floors, chosen)


def compute(
    chosen: Chosen,
    train: Any,
    unseen: Any,
    samples: Any,
    resamples: int = RESAMPLES,
    classes: tuple[Any, ...] | None = None,
) -> Values:
    """Compute all that was chosen.

    Args:
      chosen: measures.
      train: as they take it; so are the others.
      unseen: real samples.
      samples: to measure.
      resamples: of the intervals; 0 for none.
      classes: of these three, i32[N] each; None without labels.

    Raises:
      UserError: a measure cannot be computed from these samples.
    """
    values: Values = {}
    given = (train, unseen, samples)
    for measure in chosen:
        inputs = given
        if measure.labelled:
            inputs = tuple(map(Labelled, given, map(np.asarray, classes)))
        try:
            values |= measure.compute(*inputs, resamples)
        except ValueError as error:
            raise UserError(f"--measures={measure.name}: {error}") from error
    return values


def _generate(run: RestoredRun, request: Request, num: int, way: Way) -> Drawn:
    labels = run.draw_labels(request.seed, num)
    drawn = draw(run, jax.random.key(request.seed), num, way, labels, ema=request.ema)
    bad = int((~np.isfinite(drawn.samples.reshape(num, -1))).any(axis=1).sum())
    if bad:
        raise UserError(f"{bad} of {num} samples are not finite: the run has diverged")
    return drawn
