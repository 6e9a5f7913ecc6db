"""Extragradient rules: look where the gradients lead, and move from the old weights by what is found there."""

import jax
import jax.numpy as jnp

from gan_jax.gradients import both_gradients
from gan_jax.rules.at_once import check_no_turns
from gan_jax.rules.in_turn import turns
from gan_jax.rules.memory import equip_with, recall, remember
from gan_jax.steps import move_both
from gan_jax.types import GAN, Batch, GANState, Key, Metrics, Players, Rule


def extragradient_step(
    gan: GAN, state: GANState, batch: Batch, *, key: Key
) -> tuple[GANState, Metrics]:
    """Move both players by their gradients at the place to which their gradients would take them.

    w_half = w - h g(w),  w' = w - h g(w_half), each on a fresh batch and fresh latents. Both moves go through the
    optimizers, whose moments hear both gradients; with Adam this is ExtraAdam.

    Args:
      gan: the game, with `n_dis` 1.
      state: before the step.
      batch: real samples [extragradient.batches(gan) * B, ...]: first those of the look ahead.
      key: draws everything random.

    Returns:
      The state after the step; metrics are those at w_half.

    Raises:
      ValueError: `n_dis` is not 1.

    Reference: Korpelevich 1976; with Adam: Gidel et al. 2019, algorithm 4, option 1, arXiv:1802.10551.
    """
    check_no_turns(gan, "extragradient")
    here_key, ahead_key = jax.random.split(key)
    halves = jax.tree.map(lambda a: a.reshape(2, -1, *a.shape[1:]), batch)
    here, ahead = (jax.tree.map(lambda a, i=i: a[i], halves) for i in range(2))
    grads, model_states, _ = both_gradients(gan, state, here, key=here_key)
    state, _, metrics = _move_from_ahead(gan, state, grads, model_states, ahead, ahead_key)
    return state, metrics


def extrapolation_from_the_past_step(
    gan: GAN, state: GANState, batch: Batch, *, key: Key
) -> tuple[GANState, Metrics]:
    """Move as extragradient does, but look ahead by the last step's gradients, which cost nothing.

    w_half = w - h g_past,  w' = w - h g(w_half),  g_past' = g(w_half). In the first step g_past = 0.

    Args:
      gan: the game, with `n_dis` 1, from `extrapolation_from_the_past.equip`.
      state: before the step.
      batch: real samples [extrapolation_from_the_past.batches(gan) * B, ...].
      key: draws everything random.

    Returns:
      The state after the step; metrics are those at w_half.

    Raises:
      ValueError: `n_dis` is not 1, or the game is not equipped.

    Reference: Popov 1980; with Adam: Gidel et al. 2019, algorithm 4, option 2, arXiv:1802.10551.
    """
    check_no_turns(gan, "extrapolation_from_the_past")
    past = recall(state, "extrapolation_from_the_past")
    still = Players(state.generator.model_state, state.discriminator.model_state)
    state, grads, metrics = _move_from_ahead(gan, state, past, still, batch, key)
    return remember(state, grads), metrics


def _move_from_ahead(
    gan: GAN, state: GANState, lead: Players, model_states: Players, batch: Batch, key: Key
) -> tuple[GANState, Players, Metrics]:
    """Look where `lead` takes the players, and move from where they stand by the gradients that are found there."""
    num_images = batch.images.shape[0] // turns(gan)
    ahead = move_both(gan, state, lead, model_states, num_images=num_images)
    grads, model_states, metrics = both_gradients(gan, ahead, batch, key=key)
    back = ahead._replace(
        generator=ahead.generator._replace(params=state.generator.params),
        discriminator=ahead.discriminator._replace(params=state.discriminator.params),
        ema_params=state.ema_params,
    )
    moved = move_both(gan, back, grads, model_states, num_images=num_images)
    return moved._replace(step=state.step + 1), grads, metrics


def _two_looks(gan: GAN) -> int:
    return 2 * turns(gan)


extragradient = Rule(extragradient_step, _two_looks, updates=2)
extrapolation_from_the_past = Rule(
    extrapolation_from_the_past_step,
    turns,
    equip_with(lambda params: jax.tree.map(jnp.zeros_like, params)),
    updates=2,
)
