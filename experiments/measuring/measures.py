"""The table of measures. `evaluate`, `compare`, `floors` and --eval_every read it; each measure stands in one file.

A *floor* is the same measure, with the same number of samples, of unseen real data in the place of generated ones:
what a perfect generator would score.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from experiments.command.program import UserError
from experiments.measuring import (
    by_class,
    grey_images,
    mixtures,
    pictures,
    pixel_space,
    sounds,
    spoken_digits,
    stacked_digits,
)
from experiments.measuring.measure import Direction, Kind, Measure

KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        grey_images.KIND,
        mixtures.KIND,
        pictures.KIND,
        sounds.KIND,
        spoken_digits.KIND,
        stacked_digits.KIND,
    )
}
MEASURES: Mapping[str, Measure] = {
    measure.name: measure
    for room in (grey_images, spoken_digits, pixel_space, by_class, mixtures, stacked_digits)
    for measure in room.MEASURES
}


def kind_named(name: str, features: str | None = None) -> Kind:
    """Look a kind of data up, as an experiment calls it; with a feature network, as that makes it be seen.

    Raises:
      UserError: no measure knows it.
    """
    if name not in KINDS:
        raise UserError(
            f"nothing is measured of samples of the kind {name!r}: an EXPERIMENT has one of {', '.join(KINDS)}"
        )
    kind = KINDS[name]
    return kind.seen if features and kind.seen else kind


def kind_of(name: str, config: Any, features: str | None = None) -> Kind:
    """Give the kind that the samples of a run are of.

    Args:
      name: as its experiment calls it.
      config: its flags.
      features: as `kind_named` takes it.

    Raises:
      UserError: as `kind_named`.
    """
    kind = kind_named(name, features)
    return kind.of_config(config) if kind.of_config else kind


def named(names: Sequence[str]) -> tuple[Measure, ...]:
    """Look measures up, each once.

    Raises:
      UserError: there is none of that name, or no name.
    """
    for name in names or [""]:
        if name not in MEASURES:
            raise UserError(f"--measures={name} is unknown: choose from {', '.join(MEASURES)}")
    return tuple(MEASURES[name] for name in dict.fromkeys(names))


def of_kind(
    kind: str, among: Sequence[Measure] = (), *, labelled: bool = False
) -> tuple[Measure, ...]:
    """Choose the measures that apply to a kind of data, from all or from some, and to a run with labels or without.

    Raises:
      UserError: none of those does.
    """
    applying = [
        measure
        for measure in MEASURES.values()
        if kind in measure.kinds and (labelled or not measure.labelled)
    ]
    chosen = [measure for measure in among or applying if measure in applying]
    if not chosen:
        names, theirs = (",".join(m.name for m in some) for some in (among, applying))
        raise UserError(
            f"--measures={names} leaves nothing to measure: to {kind.replace('_', ' ')} apply {theirs}"
        )
    return tuple(chosen)


def direction(value: str) -> Direction:
    """Say whether less or more of a number is better; None for neither, and for a number that is unknown."""
    for measure in MEASURES.values():
        if value in measure.directions:
            return measure.directions[value]
    return None
