"""Lookahead-minimax: every few steps, both players go back part of the way that they have come."""

import jax
import jax.numpy as jnp

from gan_jax.rules.in_turn import alternating_step, turns
from gan_jax.rules.memory import equip_with, recall, remember
from gan_jax.steps import follow
from gan_jax.types import GAN, Batch, GANState, Key, Metrics, Params, Players, Rule, Scalar


def lookahead_by(alpha: Scalar = 0.5, *, steps: int = 5) -> Rule:
    """Make the rule that alternates, and after every `steps` steps pulls both players back.

    After each step w' = alternating(w). If it was the last of `steps`: w' <- s + alpha (w' - s) and s <- w', where s
    has both players' slow weights, the first ones at the start. The optimizers' moments stay as they are. The moving
    average follows G's weights as they are after the step.

    Args:
      alpha: how much of the way is kept, in (0, 1]; a number or a traced scalar.
      steps: between one pull and the next, at least 1 (k in the paper).

    Returns:
      A rule, whose game must come from its `equip`.

    Raises:
      ValueError: `steps` is less than 1.

    Reference: Chavdarova et al. 2021, algorithm 1, arXiv:2006.14567.
    """
    if steps < 1:
        raise ValueError(f"lookahead_minimax pulls back after 1 step or more, got {steps}")

    def step(gan: GAN, state: GANState, batch: Batch, *, key: Key) -> tuple[GANState, Metrics]:
        slow = recall(state, "lookahead_minimax")
        fast, metrics = alternating_step(gan, state, batch, key=key)
        due = fast.step % steps == 0
        weights = Players(fast.generator.params, fast.discriminator.params)
        pulled = jax.tree.map(lambda s, w: s + alpha * (w - s), slow, weights)
        weights, slow = _choose(due, pulled, weights), _choose(due, pulled, slow)
        num_images = batch.images.shape[0] // turns(gan)
        moved = fast._replace(
            generator=fast.generator._replace(params=weights.generator),
            discriminator=fast.discriminator._replace(params=weights.discriminator),
            ema_params=follow(
                state.ema_params, weights.generator, gan.ema_half_life_images, num_images
            ),
        )
        return remember(moved, slow), metrics

    return Rule(step, turns, equip_with(lambda params: jax.tree.map(jnp.copy, params)))


def _choose(condition: jax.Array, yes: Params, no: Params) -> Params:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), yes, no)


lookahead_minimax = lookahead_by()
