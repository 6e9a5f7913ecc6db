"""The game's vector field: where both players go from any weights, on one batch and one draw of latents.

v(w) = -(grad_G L_G, grad_D L_D), w = (G's weights, D's weights), with each player's whole objective, penalties too.
Gradient descent follows w' = v(w): near a fixed point it is drawn in where every eigenvalue of the Jacobian of v has a
negative real part, and it turns where they have imaginary parts. (Berard et al. 2020 write -v for v.)

Adam follows another field: each weight's part of v times the rate over the root of its mean squared gradient.
`adam_multipliers` reads these numbers from the optimizer's state; they are held fixed, and momentum is left out.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from gan_jax.gradients import both_gradients
from gan_jax.types import GAN, Array, Batch, GANState, Key, Params, Players, Scalar

Field = Callable[[Players], Players]


def game_field(
    gan: GAN, state: GANState, batch: Batch, *, key: Key, multipliers: Players | None = None
) -> Field:
    """Make the field of a game.

    Args:
      gan: the game.
      state: for what is not trained by gradient (batch statistics), and only for that.
      batch: real samples as in `gradients.both_gradients`; the larger, the less of the field is noise.
      key: draws latents and dropout, the same at all weights.
      multipliers: of each weight's part, as from `adam_multipliers`; None: 1.

    Returns:
      `players -> v`, pure.
    """

    def field(players: Players) -> Players:
        here = state._replace(
            generator=state.generator._replace(params=players.generator),
            discriminator=state.discriminator._replace(params=players.discriminator),
        )
        grads, _, _ = both_gradients(gan, here, batch, key=jax.random.clone(key))
        if multipliers is None:
            return jax.tree.map(jnp.negative, grads)
        return jax.tree.map(lambda g, m: -m * g, grads, multipliers)

    return field


def weights_of(state: GANState) -> Players:
    """Take both players' weights out of a state."""
    return Players(state.generator.params, state.discriminator.params)


def adam_multipliers(opt_state: Any, rate: Scalar, *, b2: Scalar, eps: Scalar) -> Params:
    """Compute by what Adam multiplies each weight's gradient now: rate / (sqrt(nu / (1 - b2^count)) + eps).

    Args:
      opt_state: of an optimizer that holds `optax.scale_by_adam`, after at least one update.
      rate: the learning rate.
      b2: as the optimizer's.
      eps: as the optimizer's.

    Raises:
      ValueError: the state is of no Adam.
    """

    def is_adam(node: Any) -> bool:
        return isinstance(node, optax.ScaleByAdamState)

    found = [node for node in jax.tree.leaves(opt_state, is_leaf=is_adam) if is_adam(node)]
    if len(found) != 1:
        raise ValueError(f"the optimizer's state holds {len(found)} states of Adam, expected 1")
    (adam,) = found
    unbiased = 1.0 - jnp.asarray(b2) ** adam.count

    def multiplier(mean_square: Array) -> Array:
        return rate / (jnp.sqrt(mean_square / unbiased) + eps)

    return jax.tree.map(multiplier, adam.nu)
