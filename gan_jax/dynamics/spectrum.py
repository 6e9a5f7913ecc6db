"""Eigenvalues at the rim of a large matrix, from its products with vectors: Arnoldi and Lanczos, by matfree.

The Krylov part is pure and may be compiled; the small matrix that it leaves goes to NumPy on the host.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from matfree import decomp

from gan_jax.types import Array, Key

Product = Callable[[Any], Any]


class Krylov(NamedTuple):
    """What is left of a matrix in the space of a vector and its images.

    Attributes:
      matrix: [depth, depth], upper Hessenberg; tridiagonal if the matrix is symmetric.
      tail: f[], how far the images lead out of the space.
    """

    matrix: Array
    tail: Array


class Spectrum(NamedTuple):
    """Some eigenvalues, the largest in absolute value first.

    Attributes:
      values: [num], complex, or real if the matrix is symmetric.
      residuals: [num], |A y - value y| of each with its unit vector y: how far the eigenvalue of a normal matrix is
        off at most.
    """

    values: np.ndarray
    residuals: np.ndarray


def arnoldi(times: Product, start: Any, depth: int) -> Krylov:
    """Project a matrix on the Krylov space of a vector, orthogonalised twice.

    Args:
      times: `u -> A u`, of trees like `start`.
      start: a tree of arrays, not all zero, such as from `random_direction`.
      depth: dimension of the space and number of products; at most the number of entries is used.

    Reference: Arnoldi 1951.
    """
    return _project(decomp.hessenberg, times, start, depth)


def lanczos(times: Product, start: Any, depth: int) -> Krylov:
    """Project a symmetric matrix on the Krylov space of a vector; arguments as `arnoldi`.

    Reference: Lanczos 1950.
    """
    return _project(decomp.tridiag_sym, times, start, depth)


def _project(decompose: Callable, times: Product, start: Any, depth: int) -> Krylov:
    depth = min(depth, sum(leaf.size for leaf in jax.tree.leaves(start)))
    _, matrix, residual, _ = decompose(depth, reortho="full", custom_vjp=False)(times, start)
    return Krylov(matrix, optax.tree.norm(residual))


def eigenvalues(krylov: Krylov, num: int, *, symmetric: bool = False) -> Spectrum:
    """Take the largest eigenvalues that a Krylov space shows.

    Args:
      krylov: from `arnoldi` or `lanczos`.
      num: how many at most. A space of about twice that depth shows them well; residuals tell.
      symmetric: whether the matrix is.
    """
    matrix, tail = np.asarray(krylov.matrix, np.float64), float(krylov.tail)
    below = np.append(np.abs(np.diag(matrix, -1)), tail)
    # Where the images lead no further, the space is closed; what follows is rounding.
    closed = np.flatnonzero(below <= 1e-6 * max(1e-300, np.nanmax(np.abs(matrix))))
    depth = int(closed[0]) + 1 if len(closed) else len(matrix)
    matrix, tail = matrix[:depth, :depth], below[depth - 1]
    values, vectors = (
        np.linalg.eigh(0.5 * (matrix + matrix.T)) if symmetric else np.linalg.eig(matrix)
    )
    residuals = tail * np.abs(vectors[-1]) / np.linalg.norm(vectors, axis=0)
    order = np.argsort(-np.abs(values), kind="stable")[:num]
    return Spectrum(values[order], residuals[order])


def random_direction(key: Key, like: Any) -> Any:
    """Draw a tree of standard normal numbers of the shapes of another."""
    leaves, structure = jax.tree.flatten(like)
    keys = jax.random.split(key, len(leaves))
    drawn = [
        jax.random.normal(k, leaf.shape, leaf.dtype) for k, leaf in zip(keys, leaves, strict=True)
    ]
    return jax.tree.unflatten(structure, drawn)
