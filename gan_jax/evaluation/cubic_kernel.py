"""The kernel k(x, y) = (x . y / D + 1)^3 and its means over many pairs, in float64: they nearly cancel later.

The mean over a whole set is a polynomial of the other vector, whose coefficients are the set's first three moments.
Where samples outnumber products of two coordinates, the moments are cheaper than the pairs; the result is the same.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np


def kernel(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return k of all pairs, float64[N, M], of float64[N, D] and float64[M, D]."""
    values = rows @ columns.T
    values /= rows.shape[1]
    values += 1
    squares = values * values
    values *= squares
    return values


def mean_to(reference: np.ndarray, samples: np.ndarray, size: int) -> np.ndarray:
    """Return the mean of k between each sample and all of the reference.

    Args:
      reference: [N, D].
      samples: [n, D].
      size: rows per block.

    Returns:
      float64[n].
    """
    if _outnumber(reference):
        moments = _moments(reference, size)
        means = [_polynomial(moments, rows) for rows in _chunks(samples, size)]
        return np.concatenate(means)
    sums = [
        sum(kernel(rows, columns).sum(axis=1) for columns in _chunks(reference, size))
        for rows in _chunks(samples, size)
    ]
    return np.concatenate(sums) / len(reference)


def mean_within(features: np.ndarray, size: int) -> float:
    """Return the mean of k over ordered pairs of different rows of [N, D], N >= 2, by blocks of `size` rows."""
    num, width = features.shape
    total = num * float(mean_to(features, features, size).sum())
    for rows in _chunks(features, size):
        total -= float(np.sum((np.einsum("nd,nd->n", rows, rows) / width + 1) ** 3))
    return total / (num * (num - 1))


class _Moments(NamedTuple):
    """Means over a set: of x, of its products x_p x_q for p <= q, and of x_p x_q x_r."""

    first: np.ndarray  # [D]
    second: np.ndarray  # [D (D + 1) / 2]
    third: np.ndarray  # [D (D + 1) / 2, D]


def _outnumber(features: np.ndarray) -> bool:
    num, width = features.shape
    return num > width * (width + 1) // 2


def _moments(features: np.ndarray, size: int) -> _Moments:
    num, width = features.shape
    first, second = np.zeros(width), np.zeros(width * (width + 1) // 2)
    third = np.zeros((len(second), width))
    for rows in _chunks(features, size):
        products = _products(rows)
        first += rows.sum(axis=0)
        second += products.sum(axis=0)
        third += products.T @ rows
    return _Moments(first / num, second / num, third / num)


def _polynomial(moments: _Moments, rows: np.ndarray) -> np.ndarray:
    """Mean of k over the set with these moments, at each row."""
    width = rows.shape[1]
    p, q = np.triu_indices(width)
    products = _products(rows)
    products *= np.where(p == q, 1.0, 2.0)  # x_p x_q stands for x_q x_p too
    cubic = np.einsum("nd,nd->n", products @ moments.third, rows) / width**3
    return 1 + 3 * (rows @ moments.first / width + products @ moments.second / width**2) + cubic


def _products(rows: np.ndarray) -> np.ndarray:
    p, q = np.triu_indices(rows.shape[1])
    return rows[:, p] * rows[:, q]


def _chunks(features: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Blocks of rows, in float64."""
    for start in range(0, len(features), size):
        yield features[start : start + size].astype(np.float64)
