"""How much a game turns: the antisymmetric part of its Jacobian against the symmetric one."""

from typing import Any

import jax
import optax

from gan_jax.jacobian import Jacobian
from gan_jax.types import Array


def rotation(jacobian: Jacobian, u: Any) -> Array:
    """Compute |(J - J^T) u| / |(J + J^T) u|: 0 where the field is a gradient, infinite where it only turns.

    Args:
      jacobian: J.
      u: a direction, such as the field itself or random numbers; its length does not matter.

    Returns:
      f[]; nan where J u and J^T u are both zero.

    Reference: Balduzzi et al. 2018, section 2 (the decomposition), arXiv:1802.05642.
    """
    along, back = jacobian.times(u), jacobian.transposed(u)
    turning = jax.tree.map(lambda a, b: a - b, along, back)
    pulling = jax.tree.map(lambda a, b: a + b, along, back)
    return optax.tree.norm(turning) / optax.tree.norm(pulling)
