"""The part of a GANState that sampling and measuring need: all but the optimizers' states."""

import re
from typing import Any

from gan_jax.checkpoint.leaves import Record
from gan_jax.types import GANState, NetworkState

OPTIMIZER = re.compile(r"\.(generator|discriminator)\.opt_state\b")
LEFT_OUT: tuple[Any, ...] = ()  # what stands in the place of an optimizer's state


def without_optimizers(state: GANState) -> GANState:
    """Return a state in which both `opt_state`s are `()`.

    Args:
      state: arrays, abstract or not.
    """
    return state._replace(
        generator=_without(state.generator), discriminator=_without(state.discriminator)
    )


def without_optimizers_leaves(record: Record) -> Record:
    """Return what the record of a state would be if its optimizers' states were `()`.

    Args:
      record: as from `leaves.to_host`, of any optimizers.
    """
    kept = {name: entry for name, entry in record.items() if not OPTIMIZER.match(name)}
    places = {found[0] for name in record if (found := OPTIMIZER.match(name))}
    return kept | {place: {"is": f"empty {type(LEFT_OUT).__name__}"} for place in places}


def _without(player: NetworkState) -> NetworkState:
    return player._replace(opt_state=LEFT_OUT)
