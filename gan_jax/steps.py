"""The game: initial state, one step of each player, and scanning an update rule over steps.

A player's state changes only in its own step. While D learns, G's batch statistics stay as they were, and while G
learns, D's do: this is what the `trainable` flag of the tutorial's Keras code was for.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import optax

from gan_jax.gradients import discriminator_gradients, generator_gradients
from gan_jax.sampling import sample_latents
from gan_jax.types import (
    GAN,
    Array,
    Batch,
    DrawReal,
    GANState,
    Key,
    Latents,
    Metrics,
    ModelState,
    NetworkState,
    Params,
    Players,
    Rule,
    SampleBatch,
    Scalar,
)

BoundStep = Callable[..., tuple[GANState, Metrics]]  # a rule's step with gan bound


def init_state(gan: GAN, key: Key, batch: Batch) -> GANState:
    """Draw both players' weights and start their optimizers.

    Args:
      gan: the game.
      key: draws the weights.
      batch: any of the right shape [B, ...], with labels if the game has them; its values do not matter.

    Returns:
      The state at step 0; the moving average starts at G's weights.
    """
    g_key, d_key, latent_key = jax.random.split(key, 3)
    latents = sample_latents(latent_key, batch.images.shape[0], gan.latent_dim)
    g_params, g_model_state = gan.generator.init(g_key, latents, batch.labels)
    d_params, d_model_state = gan.discriminator.init(d_key, batch.images, batch.labels)
    return GANState(
        step=jnp.zeros((), jnp.int32),
        generator=NetworkState(g_params, g_model_state, gan.g_tx.init(g_params)),
        discriminator=NetworkState(d_params, d_model_state, gan.d_tx.init(d_params)),
        ema_params=jax.tree.map(jnp.copy, g_params),
    )


def discriminator_step(
    gan: GAN, state: GANState, batch: Batch, *, key: Key
) -> tuple[GANState, Metrics]:
    """Update D on real samples [B, ...] and as many fresh generated ones; leave G alone.

    Arguments are those of `discriminator_gradients`.

    Returns:
      The state with a new discriminator, and its metrics.
    """
    grads, model_state, metrics = discriminator_gradients(gan, state, batch, key=key)
    return move_discriminator(gan, state, grads, model_state), metrics


def generator_step(
    gan: GAN, state: GANState, batch: Batch, *, key: Key
) -> tuple[GANState, Metrics]:
    """Update G, and the moving average of its weights, against the present D; leave D alone.

    Args:
      gan: the game.
      state: before the step.
      batch: real samples [B, ...]: B latents are drawn, which wear their labels. Only a relativistic loss looks at the
        images.
      key: draws latents, dropout and augmentation.

    Returns:
      The state with a new generator, and its metrics. `step` is not advanced: that is the update rule's part.
    """
    latent_key, step_key = jax.random.split(key)
    latents = sample_latents(latent_key, batch.images.shape[0], gan.latent_dim)
    return generator_step_on(gan, state, latents, batch, key=step_key)


def generator_step_on(
    gan: GAN, state: GANState, latents: Latents, batch: Batch, *, key: Key
) -> tuple[GANState, Metrics]:
    """Take `generator_step` on given latents [B, latent_dim]."""
    grads, model_state, metrics = generator_gradients(gan, state, latents, batch, key=key)
    num_images = batch.images.shape[0]
    return move_generator(gan, state, grads, model_state, num_images=num_images), metrics


def move_discriminator(
    gan: GAN, state: GANState, grads: Params, model_state: ModelState
) -> GANState:
    """Apply D's gradients and put its new model state in place."""
    moved = _move(gan.d_tx, state.discriminator, grads, model_state)
    return state._replace(discriminator=moved)


def move_generator(
    gan: GAN, state: GANState, grads: Params, model_state: ModelState, *, num_images: int
) -> GANState:
    """Apply G's gradients, put its new model state in place and let the moving average follow."""
    moved = _move(gan.g_tx, state.generator, grads, model_state)
    ema_params = follow(state.ema_params, moved.params, gan.ema_half_life_images, num_images)
    return state._replace(generator=moved, ema_params=ema_params)


def move_both(
    gan: GAN, state: GANState, grads: Players, model_states: Players, *, num_images: int
) -> GANState:
    """Apply both players' gradients, as `move_discriminator` and `move_generator` do."""
    state = move_discriminator(gan, state, grads.discriminator, model_states.discriminator)
    return move_generator(
        gan, state, grads.generator, model_states.generator, num_images=num_images
    )


def _move(
    tx: optax.GradientTransformation, player: NetworkState, grads: Params, model_state: ModelState
) -> NetworkState:
    updates, opt_state = tx.update(grads, player.opt_state, player.params)
    return NetworkState(optax.apply_updates(player.params, updates), model_state, opt_state)


def follow(average: Params, params: Params, half_life: Scalar | None, num_images: int) -> Params:
    """Let the moving average of G's weights follow them over so many images; without a half-life it is the weights."""
    if half_life is None:
        return params
    return optax.incremental_update(params, average, 1.0 - 0.5 ** (num_images / half_life))


def run_steps(
    step: BoundStep, state: GANState, sample_batch: SampleBatch, num_steps: int, *, key: Key
) -> tuple[GANState, Metrics]:
    """Scan a rule's step, drawing each step's data and randomness from its number.

    Args:
      step: of an update rule, with its `gan` bound by `functools.partial`.
      state: where to start; `state.step` decides which random numbers follow.
      sample_batch: `(key, step) -> batch`.
      num_steps: how many steps.
      key: the run's root key; step i uses `fold_in(key, i)`, so that runs may be cut anywhere.

    Returns:
      The state after `num_steps`, and each metric as f32[num_steps].
    """

    def body(state: GANState, _: None) -> tuple[GANState, Metrics]:
        data_key, step_key = step_keys(key, state.step)
        return step(state, sample_batch(data_key, state.step), key=step_key)

    return jax.lax.scan(body, state, length=num_steps)


def step_keys(key: Key, step: Array) -> tuple[Key, Key]:
    """Give the keys of a step, which depend on its number alone: of its real data, and of all else.

    Args:
      key: the run's root key.
      step: number of the step, i32[].
    """
    data_key, step_key = jax.random.split(jax.random.fold_in(key, step))
    return data_key, step_key


def take_steps(
    gan: GAN,
    rule: Rule,
    draw: DrawReal,
    state: GANState,
    data: Batch,
    *,
    batch_size: int,
    num_steps: int,
    key: Key,
) -> tuple[GANState, Metrics]:
    """Take steps of a rule on batches drawn from data: the whole of training, but for cutting it into chunks.

    Args:
      gan: the game.
      rule: how the players take turns.
      draw: `(key, data, num) -> batch`, such as `sample_real`.
      state: where to start.
      data: the data set.
      batch_size: real samples in one of a rule's batches.
      num_steps: how many steps.
      key: the run's root key.

    Returns:
      As `run_steps`.
    """
    num = batch_size * rule.batches(gan)

    def sample_batch(batch_key: Key, step_number: jax.Array) -> Batch:
        del step_number  # the key already depends on it
        return draw(batch_key, data, num)

    return run_steps(partial(rule.step, gan), state, sample_batch, num_steps, key=key)


def make_chunk(
    gan: GAN, rule: Rule, draw: DrawReal, *, batch_size: int, num_steps: int
) -> Callable[[GANState, Batch, Key], tuple[GANState, Metrics]]:
    """Compile `take_steps` over data that lie on the device; its arguments are described there.

    Returns:
      `(state, data, key) -> (state, metrics)`, jitted; the buffers of `state` are donated.
    """

    def chunk(state: GANState, data: Batch, key: Key) -> tuple[GANState, Metrics]:
        sizes = {"batch_size": batch_size, "num_steps": num_steps}
        return take_steps(gan, rule, draw, state, data, key=key, **sizes)

    return jax.jit(chunk, donate_argnums=0)
