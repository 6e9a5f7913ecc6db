"""The duality gap: what each player could still gain against the other as it stands."""

from functools import partial
from typing import NamedTuple

import jax

from gan_jax.objectives import judge_both, judge_of
from gan_jax.sampling import sample_latents
from gan_jax.steps import discriminator_step, generator_step
from gan_jax.types import GAN, Array, Batch, DrawReal, GANState, Key

__all__ = ["DualityGap", "duality_gap", "game_value"]


class DualityGap(NamedTuple):
    """A game's value now and under the best answers that were found.

    Attributes:
      gap: best_d - best_g; at least 0 but for what the answers miss, and 0 at an equilibrium.
      value: D's gain -L_D, penalties not counted.
      best_d: the value with a D trained on against this G.
      best_g: the value with a G trained on against this D.
    """

    gap: Array
    value: Array
    best_d: Array
    best_g: Array


def duality_gap(
    gan: GAN,
    state: GANState,
    draw: DrawReal,
    data: Batch,
    *,
    batch_size: int,
    num_steps: int,
    num_samples: int,
    key: Key,
) -> DualityGap:
    """Train a copy of each player against the other, who stands still, and see what it gains.

    The copies learn by the game's own losses and optimizers, from the states in which these are. Both values are
    measured on the same samples, others than those that the copies learn from unless `data` are few.

    Args:
      gan: the game.
      state: both players.
      draw: `(key, data, num) -> batch`.
      data: real samples.
      batch_size: of a copy's step.
      num_steps: of each copy; the more, the nearer to the true gap from below.
      num_samples: for the values.
      key: draws everything random.

    Reference: Grnarova et al. 2019, section 3, arXiv:1811.05512.
    """
    train_key, value_key, real_key = jax.random.split(key, 3)
    real = draw(real_key, data, num_samples)

    def train(step, key: Key) -> GANState:
        def body(copy: GANState, number: Array) -> tuple[GANState, None]:
            draw_key, step_key = jax.random.split(jax.random.fold_in(key, number))
            return step(gan, copy, draw(draw_key, data, batch_size), key=step_key)[0], None

        return jax.lax.scan(body, state, jax.numpy.arange(num_steps))[0]

    d_key, g_key = jax.random.split(train_key)
    value = partial(game_value, gan, real=real)
    now = value(state, key=value_key)
    best_d = value(train(discriminator_step, d_key), key=jax.random.clone(value_key))
    best_g = value(train(generator_step, g_key), key=jax.random.clone(value_key))
    return DualityGap(best_d - best_g, now, best_d, best_g)


def game_value(gan: GAN, state: GANState, *, real: Batch, key: Key) -> Array:
    """Compute what D gains, -L_D, on real samples and as many generated ones, penalties not counted: f[]."""
    latent_key, g_key, d_key = jax.random.split(key, 3)
    latents = sample_latents(latent_key, real.images.shape[0], gan.latent_dim)
    params, model_state, _ = state.generator
    fakes, _ = gan.generator.apply(params, model_state, latents, real.labels, train=True, key=g_key)
    params, model_state, _ = state.discriminator
    real_logits, fake_logits, _ = judge_both(
        judge_of(gan), params, model_state, real, fakes, key=d_key
    )
    return -gan.loss.discriminator(real_logits, fake_logits)
