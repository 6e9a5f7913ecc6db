"""Measures as rows of a table, each with a drawing of its interval and floor. Pure."""

import math
from collections.abc import Sequence
from statistics import median
from typing import Any

from experiments.measuring.measures import direction

WIDTH = 200.0  # of a drawing
MEANING = {
    "frechet": "distance between the distributions of features of samples and training data",
    "frechet_infinity": "the same, extrapolated to infinitely many samples",
    "kernel": "distance of the distributions by a cubic kernel, without bias",
    "precision": "share of samples that look real",
    "recall": "share of real ones that the generator could make",
    "density": "how crowded real data are around a sample",
    "coverage": "share of real ones with a sample nearby",
    "class_kl": "how unevenly classes are drawn, against the training data, in nats",
    "classifier_score": "how sure and how varied a classifier's answers are",
    "unsure": "share of samples that the classifier is not sure of",
    "neighbour_ratio": "distance to the nearest training picture over that of unseen real ones; near 1 is honest",
    "copied": "share of near copies of training pictures; 0.01 by chance",
    "pixel_frechet": "Frechet distance in the principal components of the pixels, as a share of their variance",
    "agreement": "share of samples read as the training picture nearest to them is",
    "modes": "modes that at least one sample lies in",
    "high_quality": "share of samples within three standard deviations of a mode",
    "mode_kl": "how unevenly modes are drawn, in nats",
    "shortfall": "uneven modes and samples outside of them, in one number",
    "mode_kl_digits": "how unevenly modes are drawn, against the shares of the training digits, in nats",
    "label_agreement": "share of samples that the classifier reads as the class asked for",
    "class_frechet": "Frechet distance of features within each class, averaged",
    "pixel_class_frechet": "the same in the principal components of the pixels",
    "sure_digit": "share of sounds of whose digit a judge is sure that also knows what is none",
    "sure_speaker": "the same of the speaker",
    "sure": "the same of both",
    "spoken_modes": "digits by speakers, of 60, on which a tenth of their fair share of sure sounds land",
    "spoken_kl": "how unevenly sounds land on digits by speakers, in nats",
    "spoken_frechet": "Frechet distance of the judges' features, in parts as large as the test set",
    "class_samples": "samples of the class that has the fewest: few raise the distances above",
}


def number(value: float | None) -> str:
    """Write a number as a table shows it."""
    return "" if value is None else f"{value:.4g}"


def interval(bounds: Sequence[float] | None) -> str:
    """Write an interval."""
    return f"{bounds[0]:.4g} to {bounds[1]:.4g}" if bounds else ""


def meaning(name: str) -> str:
    """Say what a measure is and which way is better."""
    better = direction(name)
    which = {"lower": "lower is better", "higher": "higher is better"}.get(str(better), "")
    return "; ".join(part for part in (MEANING.get(name, ""), which) if part)


def rows(measures: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Lay out one result's measures, as evaluation.json has them."""
    return [_row(name, row) for name, row in measures.items()]


def _row(name: str, row: dict[str, Any]) -> dict[str, Any]:
    span, floor = row.get("interval"), row.get("floor")
    said = f"{name} {number(row['value'])}"
    said += f", interval {interval(span)}" if span else ""
    said += f", floor {number(floor)}" if floor is not None else ""
    return {
        "name": name,
        "value": number(row["value"]),
        "interval": interval(span),
        "floor": number(floor),
        "meaning": meaning(name),
        **drawing([row["value"]], floor, span),
        "said": said,
    }


def seeds_row(name: str, values: Sequence[float], floor: float | None) -> dict[str, Any]:
    """Lay out one measure of many runs: median, range, and a dot for each."""
    cells = [number(median(values)), interval([min(values), max(values)]), number(floor)]
    said = f"{name}: median {cells[0]}, from {cells[1]}, floor {cells[2] or 'unknown'}"
    drawn = drawing(values, floor, None)
    return {"name": name, "cells": cells, "meaning": meaning(name), **drawn, "said": said}


def drawing(
    values: Sequence[float], floor: float | None, span: Sequence[float] | None
) -> dict[str, Any]:
    """Place values, a floor and an interval on one line, 0 on it where that is near."""
    known = [v for v in (*values, floor, *(span or ())) if v is not None and math.isfinite(v)]
    low, high = min([0.0, *known]), max([0.0, *known])
    if min(known, default=0.0) > 0.5 * high:
        low = min(known)
    width = (high - low) or 1.0

    def at(value: float) -> float:
        return round(8 + (WIDTH - 16) * (value - low) / width, 1)

    return {
        "dots": [at(value) for value in values if math.isfinite(value)],
        "floor_at": None if floor is None else at(floor),
        "span": None if not span else [at(span[0]), at(span[1])],
    }
