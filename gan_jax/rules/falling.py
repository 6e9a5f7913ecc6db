"""Penalties that change while a game is played: strong while D and G find each other, weak when details are left."""

import jax.numpy as jnp

from gan_jax.types import GAN, Array, Batch, GANState, Key, Metrics, Rule, Scalar


def falling_penalties(rule: Rule, last: Scalar, num_steps: int) -> Rule:
    """Let the weights of all penalties go from theirs to a share of it, by the same factor in every step.

    weight(step) = weight * last ** (step / num_steps), constant from num_steps on

    Args:
      rule: how the players take turns; it is played as it is.
      last: the share at the end, above 0: 0.1 lets a weight fall to a tenth, 1 leaves it as it is. It may be traced.
      num_steps: steps in which the share is reached.

    Returns:
      The rule, of the same batches and with the same memory.

    Reference: Huang et al. 2024, "The GAN is dead; long live the GAN!", arXiv:2501.05441, whose gamma falls to a tenth
    (by a cosine; the geometric fall here has no parameter more).
    """

    def step(gan: GAN, state: GANState, batch: Batch, *, key: Key) -> tuple[GANState, Metrics]:
        lighter = weighing_less(gan, share_at(state.step, last, num_steps))
        return rule.step(lighter, state, batch, key=key)

    return rule._replace(step=step)


def share_at(step: Array, last: Scalar, num_steps: int) -> Array:
    """Compute last ** (step / num_steps), f32[], step counted up to num_steps at most."""
    gone = jnp.minimum(step, num_steps) / num_steps
    return jnp.exp(gone * jnp.log(last))


def weighing_less(gan: GAN, share: Scalar) -> GAN:
    """Give the same game with each penalty's weight multiplied by a share."""
    lighter = tuple(penalty._replace(weight=penalty.weight * share) for penalty in gan.penalties)
    return gan._replace(penalties=lighter)
