"""The players in turn: `n_dis` steps of D, then one of G against the new D."""

import jax
import jax.numpy as jnp

from gan_jax.steps import discriminator_step, generator_step
from gan_jax.types import GAN, Array, Batch, GANState, Key, Metrics, Rule


def turns(gan: GAN) -> int:
    """Count the real batches of a step: one for each of D's turns, and one for a G whose loss looks at real images."""
    return gan.n_dis + gan.loss.needs_real


def alternating_step(
    gan: GAN, state: GANState, batch: Batch, *, key: Key
) -> tuple[GANState, Metrics]:
    """Train D for `n_dis` steps, each on fresh samples and latents, then G against the new D.

    Args:
      gan: the game.
      state: before the step.
      batch: real samples of all turns, one after another: [alternating.batches(gan) * B, ...].
      key: draws everything random.

    Returns:
      The state after the step; metrics of D are those of its last turn.

    Raises:
      ValueError: the samples cannot be shared equally between the turns.

    Reference: Goodfellow et al. 2014, Algorithm 1, arXiv:1406.2661.
    """
    num, num_turns = batch.images.shape[0], turns(gan)
    if num % num_turns:
        raise ValueError(
            f"{num} real images cannot be shared between {num_turns} turns: "
            "pass alternating.batches(gan) batches"
        )
    g_key, d_key = jax.random.split(key)
    batches = jax.tree.map(lambda a: a.reshape(num_turns, -1, *a.shape[1:]), batch)
    state, d_metrics = _train_discriminator(gan, state, batches, d_key)
    state, g_metrics = generator_step(gan, state, _at(batches, -1), key=g_key)
    return state._replace(step=state.step + 1), d_metrics | g_metrics


def _train_discriminator(
    gan: GAN, state: GANState, batches: Batch, key: Key
) -> tuple[GANState, Metrics]:
    if gan.n_dis == 1:  # no loop in the program of a single turn
        return discriminator_step(gan, state, _at(batches, 0), key=key)

    def turn(state: GANState, given: tuple[Batch, Array]) -> tuple[GANState, Metrics]:
        batch, number = given
        return discriminator_step(gan, state, batch, key=jax.random.fold_in(key, number))

    first = jax.tree.map(lambda a: a[: gan.n_dis], batches)
    state, metrics = jax.lax.scan(turn, state, (first, jnp.arange(gan.n_dis)))
    return state, jax.tree.map(lambda values: values[-1], metrics)


def _at(batches: Batch, turn: int) -> Batch:
    return jax.tree.map(lambda a: a[turn], batches)


alternating = Rule(alternating_step, turns)
