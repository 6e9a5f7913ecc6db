"""Rules that adjust the gradients by the game's Jacobian, at the price of one or two products with it.

g = (grad_G L_G, grad_D L_D) has both players' gradients, and H its derivative by both players' weights. Where the game
rotates, H is far from symmetric, and g alone leads around the equilibrium.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from gan_jax.gradients import both_gradients
from gan_jax.jacobian import Jacobian, linearise
from gan_jax.rules.at_once import check_no_turns
from gan_jax.rules.in_turn import turns
from gan_jax.steps import move_both
from gan_jax.types import GAN, Array, Batch, GANState, Key, Metrics, Players, Rule, Scalar

Adjust = Callable[[Players, Jacobian], Players]


def consensus_by(gamma: Scalar = 1.0) -> Rule:
    """Make the consensus rule: let both players also lessen the length of both gradients.

    w' = w - h (g + gamma H^T g), where H^T g is the gradient of 1/2 |g|^2.

    Args:
      gamma: a number or a traced scalar.

    Returns:
      A rule for games with `n_dis` 1; other games are refused by a ValueError.

    Reference: Mescheder et al. 2017, algorithm 2, arXiv:1705.10461.
    """

    def adjust(grads: Players, hessian: Jacobian) -> Players:
        return _plus(grads, gamma, hessian.transposed(grads))

    return _adjusted_by(adjust, "consensus")


def symplectic_by(weight: Scalar = 1.0) -> Rule:
    """Make the rule of symplectic gradient adjustment: turn the gradients against the game's rotation.

    w' = w - h (g + lambda A^T g), where A = 1/2 (H - H^T) is the part of H that rotates. lambda is `weight`, with the
    sign of <g, H^T g> <A^T g, H^T g> / d + 1/10, d the number of weights: towards stable fixed points and away from
    others.

    Args:
      weight: a number or a traced scalar; 1 in the paper.

    Returns:
      A rule for games with `n_dis` 1; other games are refused by a ValueError.

    Reference: Balduzzi et al. 2018, algorithm 1 with alignment, arXiv:1802.05642.
    """

    def adjust(grads: Players, hessian: Jacobian) -> Players:
        uphill = hessian.transposed(grads)  # the gradient of 1/2 |g|^2
        turned = jax.tree.map(lambda a, b: 0.5 * (a - b), uphill, hessian.times(grads))
        num_weights = sum(leaf.size for leaf in jax.tree.leaves(grads))
        aligned = optax.tree.vdot(grads, uphill) * optax.tree.vdot(turned, uphill) / num_weights
        return _plus(grads, weight * jnp.sign(aligned + 0.1), turned)

    return _adjusted_by(adjust, "symplectic_gradient_adjustment")


def _adjusted_by(adjust: Adjust, name: str) -> Rule:
    def step(gan: GAN, state: GANState, batch: Batch, *, key: Key) -> tuple[GANState, Metrics]:
        check_no_turns(gan, name)

        def field(players: Players):
            grads, model_states, metrics = both_gradients(
                gan, _with_weights(state, players), batch, key=jax.random.clone(key)
            )
            return grads, (model_states, metrics)

        at = Players(state.generator.params, state.discriminator.params)
        grads, hessian, (model_states, metrics) = linearise(field, at)
        num_images = batch.images.shape[0] // turns(gan)
        moved = move_both(gan, state, adjust(grads, hessian), model_states, num_images=num_images)
        return moved._replace(step=state.step + 1), metrics

    return Rule(step, turns)


def _with_weights(state: GANState, players: Players) -> GANState:
    return state._replace(
        generator=state.generator._replace(params=players.generator),
        discriminator=state.discriminator._replace(params=players.discriminator),
    )


def _plus(grads: Players, weight: Scalar | Array, extra: Players) -> Players:
    return jax.tree.map(lambda g, e: g + weight * e, grads, extra)


consensus = consensus_by()
symplectic_gradient_adjustment = symplectic_by()
