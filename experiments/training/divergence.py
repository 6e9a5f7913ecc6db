"""Notice when a run has diverged, and name the step and the quantity."""

import jax
import jax.numpy as jnp
import numpy as np

from experiments.command.program import UserError


class DivergedError(UserError):
    """A loss, a gradient or a weight is no longer finite."""


def check_metrics(metrics: dict[str, np.ndarray], first_step: int) -> None:
    """Look at the metrics [K] of a chunk whose first step ends as number `first_step`.

    Raises:
      DivergedError: one is not finite; the message names the first bad step and what was bad then.
    """
    bad = {name: np.flatnonzero(~np.isfinite(values)) for name, values in metrics.items()}
    firsts = {name: int(steps[0]) for name, steps in bad.items() if len(steps)}
    if firsts:
        step = min(firsts.values())
        names = sorted(name for name, first in firsts.items() if first == step)
        raise DivergedError(f"diverged: {', '.join(names)} not finite at step {first_step + step}")


@jax.jit
def _all_finite(tree) -> jax.Array:
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree)]))


def check_state(state, step: int) -> None:
    """Look at every number of a state before it is kept.

    Raises:
      DivergedError: one is not finite.
    """
    if not _all_finite(state):
        raise DivergedError(f"diverged: weights not finite after step {step}")
