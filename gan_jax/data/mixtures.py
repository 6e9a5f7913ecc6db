"""Point sets whose true density is known: the toys on which mode collapse is counted.

Pure functions of a seed. Train and test points come from different streams of it.

Reference: Lin et al., "PacGAN: the power of two samples in generative adversarial networks" (2018), section
4.1, arXiv:1712.04086 (ring and grid with these numbers, 100,000 training points); Goodfellow et al.,
"Generative adversarial networks" (2014), figure 1, arXiv:1406.2661 (the 1-D Gaussian); Gulrajani et al.,
"Improved training of Wasserstein GANs" (2017), figure 1, arXiv:1704.00028 (swiss roll, with these numbers).
"""

from typing import NamedTuple

import numpy as np

from gan_jax.data.dataset import SPLITS, DataError

MIXTURES = ("ring", "grid", "gaussian_1d")
POINT_SETS = (*MIXTURES, "swiss_roll", "moons")
NUM_POINTS = {"train": 100_000, "test": 10_000}
SWISS_ROLL_SIGMA = 0.25 / 7.5
MOONS_SIGMA = 0.05


class Mixture(NamedTuple):
    """Gaussians of equal weight and equal, round covariance.

    Attributes:
      centres: float32 [M, D].
      sigma: standard deviation of each component along each axis.
    """

    centres: np.ndarray
    sigma: float


def mixture(name: str) -> Mixture:
    """Give a mixture's parameters, for its density and for counting modes.

    Args:
      name: "ring", 8 Gaussians on the unit circle, sigma 0.01; "grid", 5x5 Gaussians at spacing 2 around 0,
        sigma 0.05; "gaussian_1d", one Gaussian on the line with mean 1 and sigma 0.5 (the paper's figure has
        no numbers; these make a generator move and shrink what N(0, 1) latents give it at first).

    Returns:
      The `Mixture`.

    Raises:
      DataError: for another name, also for the point sets that are not mixtures.
    """
    if name == "ring":
        angles = 2 * np.pi * np.arange(8) / 8
        return Mixture(np.stack([np.cos(angles), np.sin(angles)], -1).astype(np.float32), 0.01)
    if name == "grid":
        axis = np.arange(-4, 5, 2, dtype=np.float32)
        return Mixture(np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(25, 2), 0.05)
    if name == "gaussian_1d":
        return Mixture(np.ones((1, 1), np.float32), 0.5)
    raise DataError(f"expected a mixture, one of {', '.join(MIXTURES)}, got {name!r}; choose one")


def points(
    name: str, split: str, *, num_points: int | None = None, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Draw one split of a point set.

    Args:
      name: one of `POINT_SETS`.
      split: "train" or "test": different streams of random numbers.
      num_points: number of points; None is 100,000 for train and 10,000 for test.
      seed: at least 0; the same seed gives the same points.

    Returns:
      points float32 [N, D], components int32 [N] (0 throughout for the swiss roll).

    Raises:
      DataError: for another name or split.
    """
    if name not in POINT_SETS or split not in SPLITS:
        raise DataError(
            f"expected one of {', '.join(POINT_SETS)} and a split of {SPLITS}, got {name!r} and {split!r}; "
            "choose among these"
        )
    rng = np.random.default_rng([seed, SPLITS.index(split)])
    num_points = NUM_POINTS[split] if num_points is None else num_points
    if name == "swiss_roll":
        return swiss_roll(rng, num_points)
    return moons(rng, num_points) if name == "moons" else draw(rng, mixture(name), num_points)


def draw(rng: np.random.Generator, law: Mixture, num_points: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw from a mixture: a component uniformly, then a point around its centre."""
    component = rng.integers(len(law.centres), size=num_points)
    noise = rng.standard_normal((num_points, law.centres.shape[1]))
    drawn = law.centres[component] + law.sigma * noise
    return drawn.astype(np.float32), component.astype(np.int32)


def swiss_roll(rng: np.random.Generator, num_points: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw (t cos t, t sin t) / 7.5 with t uniform in [1.5 pi, 4.5 pi], plus noise."""
    t = 1.5 * np.pi * (1 + 2 * rng.random(num_points))
    spiral = np.stack([t * np.cos(t), t * np.sin(t)], -1) / 7.5
    noise = SWISS_ROLL_SIGMA * rng.standard_normal(spiral.shape)
    return (spiral + noise).astype(np.float32), np.zeros(num_points, np.int32)


def moons(rng: np.random.Generator, num_points: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw half circles (cos t, sin t) and (1 - cos t, 1/2 - sin t), t uniform in [0, pi], plus noise."""
    component = rng.integers(2, size=num_points)
    t = np.pi * rng.random(num_points)
    upper = np.stack([np.cos(t), np.sin(t)], -1)
    crescent = np.where(component[:, None] == 0, upper, [1.0, 0.5] - upper)
    noise = MOONS_SIGMA * rng.standard_normal(crescent.shape)
    return (crescent + noise).astype(np.float32), component.astype(np.int32)
