"""Each player's own part of the game's Jacobian: the Hessian of what it minimises, the other held still."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from gan_jax.jacobian import Jacobian
from gan_jax.types import Params, Players


def hessian_products(
    jacobian: Jacobian, like: Players
) -> tuple[Callable[[Params], Params], Callable[[Params], Params]]:
    """Make both players' Hessians as linear maps out of the Jacobian of the plain field.

    The field goes downhill, so a block of its Jacobian is the Hessian's negative.

    Args:
      jacobian: of the field v, without multipliers.
      like: a direction, for its shapes.

    Returns:
      G's `u -> H u` and D's.
    """
    zeros = jax.tree.map(jnp.zeros_like, like)

    def of_generator(u: Params) -> Params:
        return _negative(jacobian.times(zeros._replace(generator=u)).generator)

    def of_discriminator(u: Params) -> Params:
        return _negative(jacobian.times(zeros._replace(discriminator=u)).discriminator)

    return of_generator, of_discriminator


def _negative(tree: Params) -> Params:
    return jax.tree.map(jnp.negative, tree)
