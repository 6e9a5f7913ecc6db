"""Measure samples that come from anywhere, as those of a run are measured."""

import json
from pathlib import Path

import numpy as np

from experiments.command.experiment import Source
from experiments.command.program import UserError
from experiments.measuring import measures
from experiments.measuring.evaluation import Request, check_enough, compared, compute, real_data
from experiments.measuring.measure import Kind
from experiments.measuring.results import Result, rows
from experiments.record.run_folder import write_text
from gan_jax.data.samples import read_samples
from gan_jax.evaluation.features import IMAGE_SHAPE


def evaluate_samples(path: Path, source: Source, request: Request, out: Path) -> Result:
    """Measure the samples of a file or folder against a data set, and write the result.

    Args:
      path: of the samples.
      source: the data they are to be like, and unseen ones of the same kind.
      request: its measures, number of samples (the first ones; None: all) and features count.
      out: file to write.

    Raises:
      UserError: there are too few samples, or they are not of the data's kind.
      DataError: they cannot be read.
    """
    samples = read_samples(path)
    num = request.num_samples or len(samples)
    if num > len(samples):
        raise UserError(f"--num_samples={num:,}: {path} holds {len(samples):,}")
    kind = _kind_of(path, samples, source, request.features)
    among = () if request.measures is None else measures.named(request.measures)
    chosen = measures.of_kind(kind.name, among)
    check_enough(chosen, num)
    real = real_data(kind, compared(source, source.train.name), request.features, num, chosen)
    (train, read, facts, *_), chosen = real.yardstick, real.chosen
    values = compute(chosen, train, real.unseen, read(samples[:num]))
    found = {
        **{"samples": str(path), "dataset": source.train.name, **facts},
        **{"num_samples": num, "num_floor_samples": real.num_unseen},
        "measures": rows(values, real.floors),
    }
    write_text(out, json.dumps([found], indent=2, allow_nan=False) + "\n")
    return found


def _kind_of(path: Path, samples: np.ndarray, source: Source, features: str | None) -> Kind:
    shape, real = samples.shape[1:], source.train.images.shape[1:]
    triples = real == IMAGE_SHAPE and shape == (*IMAGE_SHAPE[:2], 3)
    if shape != real and not triples:
        raise UserError(
            f"{path} holds samples of shape {shape}, {source.train.name} has {real}: resize them, or name the data set "
            "they are to be like by --dataset"
        )
    if triples:
        name = "stacked_digits"
    elif len(shape) == 1:
        name = "points"
    else:
        name = "images" if shape == IMAGE_SHAPE else "pictures"
    kind = measures.kind_named(name, features)
    if why := kind.refusal(source.train.name, shape):
        raise UserError(f"{path} leaves nothing to measure: {why}, it has {shape}")
    return kind
