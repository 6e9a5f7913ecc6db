"""What real images score: unseen ones measured like generated ones, in random subsets of several sizes."""

from collections.abc import Sequence

import numpy as np

from experiments.measuring.measure import Measure
from gan_jax.evaluation.features_of_images import Embedded, take


def row(
    chosen: Sequence[Measure],
    train: Embedded,
    unseen: Embedded,
    size: int,
    subsets: int,
    rng: np.random.Generator,
) -> dict[str, float]:
    """Average each measure over random subsets [size] of the test images; `_std` is the spread over subsets."""
    found: dict[str, list[float]] = {}
    for _ in range(subsets):
        subset = take(unseen, rng.permutation(len(unseen.images))[:size])
        # Measures that look at some of the training images take those in fixed places: now others.
        seen = take(train, rng.permutation(len(train.images)))
        for measure in chosen:
            for name, value in measure.compute(seen, subset, subset, 0).items():
                found.setdefault(name, []).append(value.value)
    averaged: dict[str, float] = {"num_samples": size}
    for name, column in found.items():
        averaged |= {name: float(np.mean(column)), f"{name}_std": float(np.std(column))}
    return averaged


def table(rows: list[dict[str, float]]) -> str:
    """Lay the rows out for the terminal."""
    names = [name for name in rows[0] if not name.endswith("_std") and name != "num_samples"]
    lines = [f"{'n':>7}" + "".join(f"{name:>24}" for name in names)]
    for row in rows:
        cells = (f"{row[name]:.4g} +- {row[f'{name}_std']:.2g}" for name in names)
        lines.append(f"{row['num_samples']:>7,}" + "".join(f"{cell:>24}" for cell in cells))
    return "\n".join(lines)
