"""Modes found and how evenly: for mixtures with known centres, for labels, for StackedMNIST.

No finite sample is perfect. A perfect sampler's KL is about (K - 1) / (2 n) nats for K modes and n samples:
0.0014 for 8 modes and 0.0048 for 25 at 2,500; 0.0193 for the 1,000 of StackedMNIST at 26,000. Its
high-quality share is 98.9 %, the mass of a 2-D Gaussian within 3 sigma.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from gan_jax.evaluation.checks import as_feature_pair, as_probabilities


class MixtureCoverage(NamedTuple):
    """How samples fall on a mixture of Gaussians.

    Attributes:
      modes: centres that have at least one high-quality sample nearest to them.
      high_quality: share of samples within 3 sigma of the nearest centre, in [0, 1].
      kl: KL(share of samples nearest to each centre || the mixture's weights), in nats, over *all* samples:
        a poor sample still counts for the mode it is nearest to.
    """

    modes: int
    high_quality: float
    kl: float


class StackedCoverage(NamedTuple):
    """How StackedMNIST samples fall on its 1,000 modes.

    Attributes:
      modes: of 1,000, those with at least one sample kept.
      kl: KL(share of samples kept in each mode || reference), in nats.
      kept: share of samples that passed the threshold, in [0, 1]; 1 without one.
    """

    modes: int
    kl: float
    kept: float


def histogram_kl(counts: ArrayLike, reference: ArrayLike) -> float:
    """Return KL(p || q) of two histograms over the same K bins, each scaled to sum to 1.

    Args:
      counts: [K], >= 0, not all 0: p, usually what was generated.
      reference: [K], >= 0, not all 0: q, usually the truth.

    Returns:
      sum p log(p / q) in nats, >= 0; a bin with p = 0 adds 0; infinite if q = 0 < p somewhere.

    Raises:
      ValueError: if the two differ in shape, are not [K], or one is negative, not finite or sums to 0.
    """
    histograms = []
    for name, values in (("counts", counts), ("reference", reference)):
        values = np.asarray(values).astype(np.float64)
        if values.ndim != 1 or not (np.isfinite(values).all() and (values >= 0).all()):
            raise ValueError(f"{name} must be [K], finite and >= 0, got {values}")
        if not values.sum() > 0:
            raise ValueError(f"{name} must not sum to 0, got {values}")
        histograms.append(values / values.sum())
    p, q = histograms
    if p.shape != q.shape:
        raise ValueError(f"counts and reference must agree in shape, got {p.shape} and {q.shape}")
    seen = p > 0
    if (q[seen] == 0).any():
        return float("inf")
    return float(np.sum(p[seen] * np.log(p[seen] / q[seen])))


def mixture_coverage(
    points: ArrayLike,
    centres: ArrayLike,
    sigma: float,
    *,
    weights: ArrayLike | None = None,
    reach: float = 3.0,
) -> MixtureCoverage:
    """Count the modes found, the share of good samples, and the unevenness, on a mixture of Gaussians.

    Args:
      points: [N, D], N >= 1, generated.
      centres: [K, D], of the mixture's components.
      sigma: the components' standard deviation, the same along every axis, > 0.
      weights: [K], the mixture's weights up to a factor; None for equal ones. (PacGAN compares with a
        histogram of real samples, whose own noise about doubles the least KL.)
      reach: a sample is of high quality within this many sigma (radial distance) of the nearest centre.

    Returns:
      Modes, high-quality share, KL.

    Raises:
      ValueError: if a set is not [N, D], is not finite, or the widths differ; if sigma or reach is not > 0.

    Reference: Srivastava et al. (VEEGAN), 2017, arXiv:1705.07761; Lin et al. (PacGAN), 2018, section
    4.1, arXiv:1712.04086.
    """
    places = places_on_mixture(points, centres, sigma, reach=reach)
    return coverage_of_places(places, np.shape(centres)[0], weights=weights)


def places_on_mixture(
    points: ArrayLike, centres: ArrayLike, sigma: float, *, reach: float = 3.0
) -> np.ndarray:
    """Say of each point all that `mixture_coverage` counts: its centre, and whether it is of high quality.

    Args:
      points: as `mixture_coverage` takes them; so are centres, sigma and reach.
      centres: [K, D].
      sigma: > 0.
      reach: in sigmas.

    Returns:
      [N] integers: 2 k for a point nearest to centre k, and 1 more if it is of high quality.

    Raises:
      ValueError: as `mixture_coverage`.
    """
    points, centres = as_feature_pair({"points": points, "centres": centres})
    if not (sigma > 0 and reach > 0):
        raise ValueError(f"sigma and reach must be > 0, got {sigma} and {reach}")
    distances = np.stack([np.linalg.norm(points - centre, axis=1) for centre in centres], axis=1)
    return 2 * distances.argmin(axis=1) + (distances.min(axis=1) <= reach * sigma)


def coverage_of_places(
    places: np.ndarray, num_centres: int, *, weights: ArrayLike | None = None
) -> MixtureCoverage:
    """Count what `places_on_mixture` says: so a bootstrap measures its points once.

    Args:
      places: [N], N >= 1, in 0..2 num_centres - 1.
      num_centres: K.
      weights: [K], of the mixture, up to a factor; None for equal ones.

    Returns:
      As `mixture_coverage`.
    """
    poor, good = np.bincount(places, minlength=2 * num_centres).reshape(num_centres, 2).T
    return MixtureCoverage(
        modes=int((good > 0).sum()),
        high_quality=float(good.sum() / places.size),
        kl=histogram_kl(poor + good, np.ones(num_centres) if weights is None else weights),
    )


def stacked_coverage(
    class_probabilities: ArrayLike,
    threshold: float | None = None,
    *,
    reference: ArrayLike | None = None,
) -> StackedCoverage:
    """Count the modes of StackedMNIST: a mode is the digits read in the three channels.

    The classifier's mistakes invent modes (500 true modes read with 0.75 % of digits wrong look like 725),
    so report KL first. A threshold drops what the classifier cannot read, but hides bad samples: state `kept`.

    Args:
      class_probabilities: [N, 3, 10], a digit classifier's probabilities for each channel.
      threshold: keep samples whose three digits each have at least this probability; None keeps all.
      reference: [1000], the true frequencies up to a factor, digits 'abc' at index abc; None for uniform.

    Returns:
      Modes, KL, share kept. If nothing is kept: 0 modes and an infinite KL.

    Raises:
      ValueError: if the shape differs or the last axis holds no probabilities.

    Reference: Metz et al., 2017, section 3.3.1, arXiv:1611.02163.
    """
    probabilities = as_probabilities("class_probabilities", class_probabilities, ndim=3)
    if probabilities.shape[1:] != (3, 10):
        raise ValueError(f"class_probabilities must be [N, 3, 10], got {probabilities.shape}")
    kept = probabilities.max(axis=-1).min(axis=-1) >= (0.0 if threshold is None else threshold)
    if not kept.any():
        return StackedCoverage(modes=0, kl=float("inf"), kept=0.0)
    codes = probabilities[kept].argmax(axis=-1) @ np.array([100, 10, 1])
    counts = np.bincount(codes, minlength=1000)
    return StackedCoverage(
        modes=int((counts > 0).sum()),
        kl=histogram_kl(counts, np.ones(1000) if reference is None else reference),
        kept=float(kept.mean()),
    )
