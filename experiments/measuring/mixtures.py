"""What is measured of points of the plane: how they fall on the Gaussians of a mixture."""

from collections.abc import Callable
from typing import Any

import numpy as np

from experiments.command.program import UserError
from experiments.measuring.measure import HIGHER, LOWER, Kind, Measure, Watch, Yardstick
from gan_jax import data
from gan_jax.data import Dataset
from gan_jax.data.mixtures import Mixture
from gan_jax.evaluation.coverage import coverage_of_places, places_on_mixture
from gan_jax.evaluation.values import RESAMPLES, Values, with_interval


def numbers(points: np.ndarray, mixture: Mixture) -> dict[str, float]:
    """Count modes, the share of high quality and the KL of points [N, 2].

    `shortfall`, KL + 1 - high-quality share, sums up what they lack in evenness and in quality.
    """
    return _numbers(_places(points, mixture), mixture)


def _places(points: np.ndarray, mixture: Mixture) -> np.ndarray:
    return places_on_mixture(points, mixture.centres, mixture.sigma)


def _numbers(places: np.ndarray, mixture: Mixture) -> dict[str, float]:
    found = coverage_of_places(places, len(mixture.centres))
    return {
        "modes": float(found.modes),
        "high_quality": found.high_quality,
        "mode_kl": found.kl,
        "shortfall": found.kl + 1.0 - found.high_quality,
    }


def modes(
    train: Mixture, unseen: np.ndarray, samples: np.ndarray, resamples: int = RESAMPLES
) -> Values:
    """Measure points [N, 2] as `numbers` does, with intervals."""
    del unseen
    places = _places(samples, train)
    return {
        name: with_interval(value, lambda places, n=name: _numbers(places, train)[n], places, resamples)
        for name, value in _numbers(places, train).items()
    }  # fmt: skip


def watch_shortfall(train: Mixture) -> Callable[[np.ndarray], float]:
    """Make the function that --eval_every calls."""
    return lambda points: numbers(points, train)["shortfall"]


def success(values: Values, train: Mixture) -> dict[str, Any]:
    """Say whether all modes are found."""
    every = len(train.centres)
    return {"means": f"all {every} modes found", "met": values["modes"].value == every}


def refusal(name: str, shape: tuple[int, ...]) -> str:
    """Say why nothing can be measured of points that are no mixture."""
    del shape
    return "" if name in data.MIXTURES else f"modes are those of {' and '.join(data.MIXTURES)}"


def yardstick(train: Dataset, features: str | None = None) -> Yardstick:
    """Take the law itself in the place of the points drawn from it."""
    if features:
        raise UserError(f"--features={features} reads images, not points")
    return Yardstick(data.mixture(train.name), np.asarray, {})


def unseen(test: Dataset, num: int) -> np.ndarray:
    """Take points that were not trained on."""
    return test.images[:num]


KIND = Kind("points", refusal, lambda config: 2500, yardstick, unseen, success)
DIRECTIONS = {"modes": HIGHER, "high_quality": HIGHER, "mode_kl": LOWER, "shortfall": LOWER}
MEASURES = (
    Measure("modes", ("points",), DIRECTIONS, modes, 1, Watch("shortfall", watch_shortfall)),
)
