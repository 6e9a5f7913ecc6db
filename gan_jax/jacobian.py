"""The derivative of a vector field as a linear map, by reverse mode alone: the convolutions have no other."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class Jacobian(NamedTuple):
    """The derivative J of a field at a point, without its entries.

    Attributes:
      times: `u -> J u`.
      transposed: `w -> J^T w`.
    """

    times: Callable[[Any], Any]
    transposed: Callable[[Any], Any]


def linearise(field: Callable[[Any], tuple[Any, Any]], at: Any) -> tuple[Any, Jacobian, Any]:
    """Compute a field at a point, and its derivative there.

    J^T w is one reverse pass through the field. It is linear in w, so its own reverse pass, at any w, is J u.

    Args:
      field: `point -> (value, aux)`, trees; the value has the point's shapes.
      at: the point.

    Returns:
      The value, the Jacobian, and aux.

    Reference: Pearlmutter 1994, "Fast exact multiplication by the Hessian", there for one function.
    """
    value, pull, aux = jax.vjp(field, at, has_aux=True)
    anywhere = jax.tree.map(jnp.zeros_like, value)

    def transposed(w: Any) -> Any:
        return pull(w)[0]

    def times(u: Any) -> Any:
        return jax.vjp(transposed, anywhere)[1](u)[0]

    return value, Jacobian(times, transposed), aux
