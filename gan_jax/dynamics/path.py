"""What lies on the straight way from one checkpoint to another: the field's length, and its angle to the way.

Near a fixed point that only draws in, the cosine jumps from 1 to -1 as the way passes it. Where the game turns around
the point, the cosine does not change its sign there: it has a bump.

Reference: Berard et al. 2020, section 4.2, arXiv:1906.04848 (whose field is the negative of this one).
"""

from typing import Any, NamedTuple

import jax
import numpy as np
import optax

from gan_jax.dynamics.field import Field
from gan_jax.types import Array


class Path(NamedTuple):
    """The field along the way, at each alpha.

    Attributes:
      norm: |v(w_alpha)|, [num].
      cosine: <end - start, v(w_alpha)> / (|end - start| |v(w_alpha)|), [num].
    """

    norm: Array
    cosine: Array


def path(field: Field, start: Any, end: Any, alphas: Array) -> Path:
    """Follow the field on the way w_alpha = start + alpha (end - start).

    Args:
      field: `w -> v`.
      start: weights.
      end: weights.
      alphas: [num]; 0 is the start, 1 the end, and what lies beyond shows whether the end is passed.
    """
    way = jax.tree.map(lambda a, b: b - a, start, end)
    length = optax.tree.norm(way)

    def at(alpha: Array) -> Path:
        v = field(jax.tree.map(lambda a, w: a + alpha * w, start, way))
        norm = optax.tree.norm(v)
        return Path(norm, optax.tree.vdot(way, v) / (length * norm))

    return jax.lax.map(at, alphas)


def sign_changes(alphas: np.ndarray, cosine: np.ndarray) -> list[float]:
    """List where along the way the cosine goes from positive to negative, by linear interpolation."""
    return [
        float(a + (b - a) * c / (c - d))
        for a, b, c, d in zip(alphas[:-1], alphas[1:], cosine[:-1], cosine[1:], strict=True)
        if c > 0 >= d
    ]
