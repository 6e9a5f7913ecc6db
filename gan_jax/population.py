"""Many runs at once: seeds and swept numbers along a leading axis S, by `vmap`.

A game is built from its swept numbers inside the trace (`build`), so nothing in the steps knows of populations.
Every member equals the run that it would be alone, up to the rounding of batched products.
"""

from collections.abc import Callable
from typing import Any

import jax

from gan_jax.steps import init_state, take_steps
from gan_jax.types import GAN, Batch, DrawReal, GANState, Key, Metrics, Rule

Hyper = Any  # pytree of swept scalars f32[S]; None if only seeds differ
Build = Callable[[Hyper], GAN]


def init_population(build: Build, hyper: Hyper, keys: Key, batch: Batch) -> GANState:
    """Draw the first state of every member.

    Args:
      build: a member's swept scalars -> its game.
      hyper: swept scalars, each [S].
      keys: [S], one for each member.
      batch: any of the right shape [B, ...].

    Returns:
      A `GANState` with a leading axis S on every leaf.
    """
    return jax.vmap(lambda h, key: init_state(build(h), key, batch))(hyper, keys)


def run_population(
    build: Build,
    rule: Rule | Callable[[Hyper], Rule],
    draw: DrawReal,
    states: GANState,
    hyper: Hyper,
    data: Batch,
    *,
    batch_size: int,
    num_steps: int,
    keys: Key,
    at_once: int | None = None,
) -> tuple[GANState, Metrics]:
    """Take steps with every member, each on its own batches.

    On a CPU, convolutional members want `at_once=1`: one member's activations stay in the caches, those of many do not.

    Args:
      build: a member's swept scalars -> its game.
      rule: the update rule, or a member's swept scalars -> its rule.
      draw: `(key, data, num) -> batch`, such as `sample_real`.
      states: with a leading axis S.
      hyper: swept scalars, each [S].
      data: the data set, shared by all members.
      batch_size: real samples in one of a rule's batches.
      num_steps: how many steps.
      keys: [S], the root keys of the runs.
      at_once: how many members `vmap` takes together; one such group runs to its end after another. None: all.

    Returns:
      The states, and each metric as f32[S, num_steps].
    """

    def run_member(state: GANState, h: Hyper, key: Key) -> tuple[GANState, Metrics]:
        sizes = {"batch_size": batch_size, "num_steps": num_steps}
        own_rule = rule if isinstance(rule, Rule) else rule(h)
        return take_steps(build(h), own_rule, draw, state, data, key=key, **sizes)

    if at_once is None:
        return jax.vmap(run_member)(states, hyper, keys)
    # Without a batch axis of length 1, which would make batched products of plain ones.
    if at_once == 1:
        return jax.lax.map(lambda member: run_member(*member), (states, hyper, keys))
    members = (states, hyper, keys)
    return jax.lax.map(lambda member: run_member(*member), members, batch_size=at_once)
