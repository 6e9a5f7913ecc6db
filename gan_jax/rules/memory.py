"""What a rule keeps of each player from one step to the next, beside the state of that player's optimizer.

There it is saved, restored and left out of samples with the optimizer's own numbers, and a state of a rule that keeps
nothing is what it always was.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import optax

from gan_jax.types import GAN, GANState, NetworkState, Params, Players


class Remembered(NamedTuple):
    """An optimizer's state, and a tree of the shape of the weights that a rule keeps."""

    optimizer: optax.OptState
    memory: Params


def equip_with(start: Callable[[Params], Params]) -> Callable[[GAN], GAN]:
    """Make a rule's `equip`: both optimizers remember, from the first weights on, what `start` gives for them.

    Args:
      start: `params -> memory`, of the same shapes and of buffers of its own.
    """

    def equip(gan: GAN) -> GAN:
        return gan._replace(g_tx=_remembering(gan.g_tx, start), d_tx=_remembering(gan.d_tx, start))

    return equip


def recall(state: GANState, rule: str) -> Players:
    """Read what a rule has kept of both players.

    Raises:
      ValueError: nothing is kept: the game was not equipped.
    """
    kept = [player.opt_state for player in (state.generator, state.discriminator)]
    if not all(isinstance(each, Remembered) for each in kept):
        raise ValueError(
            f"the {rule} update keeps something beside the optimizers' states: draw the state from, and play, "
            f"{rule}.equip(gan)"
        )
    return Players(*(each.memory for each in kept))


def remember(state: GANState, memory: Players) -> GANState:
    """Keep something of both players in the place of what was kept."""
    return state._replace(
        generator=_keep(state.generator, memory.generator),
        discriminator=_keep(state.discriminator, memory.discriminator),
    )


def _keep(player: NetworkState, memory: Params) -> NetworkState:
    return player._replace(opt_state=player.opt_state._replace(memory=memory))


def _remembering(
    tx: optax.GradientTransformation, start: Callable[[Params], Params]
) -> optax.GradientTransformation:
    def init(params: Params) -> Remembered:
        return Remembered(tx.init(params), start(params))

    def update(grads: Params, state: Remembered, params: Params | None = None) -> tuple[Any, Any]:
        updates, optimizer = tx.update(grads, state.optimizer, params)
        return updates, state._replace(optimizer=optimizer)

    return optax.GradientTransformation(init, update)
