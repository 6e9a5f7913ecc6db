"""Both players at once, each by its gradient at the old weights."""

from gan_jax.gradients import both_gradients
from gan_jax.rules.in_turn import turns
from gan_jax.steps import move_both
from gan_jax.types import GAN, Batch, GANState, Key, Metrics, Rule


def simultaneous_step(
    gan: GAN, state: GANState, batch: Batch, *, key: Key
) -> tuple[GANState, Metrics]:
    """Move both players along their gradients at the same weights.

    w' = w - h g(w), where w has both players' weights and g = (grad_G L_G, grad_D L_D). Each player has latents of its
    own, as in the alternating rule: a step differs from one of that rule only in the D that G is judged by.

    Args:
      gan: the game, with `n_dis` 1.
      state: before the step.
      batch: real samples [simultaneous.batches(gan) * B, ...].
      key: draws everything random.

    Returns:
      The state after the step.

    Raises:
      ValueError: `n_dis` is not 1.

    Reference: Mescheder et al. 2017, algorithm 1, arXiv:1705.10461.
    """
    check_no_turns(gan, "simultaneous")
    grads, model_states, metrics = both_gradients(gan, state, batch, key=key)
    state = move_both(
        gan, state, grads, model_states, num_images=batch.images.shape[0] // turns(gan)
    )
    return state._replace(step=state.step + 1), metrics


simultaneous = Rule(simultaneous_step, turns)


def check_no_turns(gan: GAN, name: str) -> None:
    """Refuse a game in which D has several turns where both players move at once.

    Raises:
      ValueError: `n_dis` is not 1.
    """
    if gan.n_dis != 1:
        raise ValueError(
            f"the {name} update moves both players at once: n_dis = 1, got {gan.n_dis}"
        )
