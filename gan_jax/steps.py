"""The game: initial state, one step of each player, and scanning an update rule over steps.

A player's state changes only in its own step. While D learns, G's batch statistics stay as they were, and while G
learns, D's do: this is what the `trainable` flag of the tutorial's Keras code was for.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from gan_jax.objectives import discriminator_objective, generator_objective
from gan_jax.sampling import sample_latents
from gan_jax.types import (
    GAN,
    Array,
    GANState,
    Images,
    Key,
    Latents,
    Metrics,
    ModelState,
    NetworkState,
    Params,
    SampleBatch,
    Scalar,
)

UpdateRule = Callable[..., tuple[GANState, Metrics]]  # (gan, state, images, *, key)
BoundRule = Callable[
    ..., tuple[GANState, Metrics]
]  # the same with gan bound: (state, images, *, key)


def init_state(gan: GAN, key: Key, images: Images) -> GANState:
    """Draw both players' weights and start their optimizers.

    Args:
      gan: the game.
      key: draws the weights.
      images: any batch of the right shape [B, ...]; its values do not matter.

    Returns:
      The state at step 0; the moving average starts at G's weights.
    """
    g_key, d_key, latent_key = jax.random.split(key, 3)
    latents = sample_latents(latent_key, images.shape[0], gan.latent_dim)
    g_params, g_model_state = gan.generator.init(g_key, latents)
    d_params, d_model_state = gan.discriminator.init(d_key, images)
    return GANState(
        step=jnp.zeros((), jnp.int32),
        generator=NetworkState(g_params, g_model_state, gan.g_tx.init(g_params)),
        discriminator=NetworkState(d_params, d_model_state, gan.d_tx.init(d_params)),
        ema_params=jax.tree.map(jnp.copy, g_params),
    )


def discriminator_step(
    gan: GAN, state: GANState, images: Images, *, key: Key
) -> tuple[GANState, Metrics]:
    """Update D on real images and as many fresh generated ones; leave G alone.

    G runs in training mode, as in its own step, and its new batch statistics are thrown away.

    Args:
      gan: the game.
      state: before the step.
      images: real images [B, ...].
      key: draws latents, dropout and the penalties' points.

    Returns:
      The state with a new discriminator, and its metrics.
    """
    latent_key, g_key, d_key = jax.random.split(key, 3)
    latents = sample_latents(latent_key, images.shape[0], gan.latent_dim)
    fakes, _ = gan.generator.apply(
        state.generator.params, state.generator.model_state, latents, train=True, key=g_key
    )

    def objective(params: Params):
        model_state = state.discriminator.model_state
        return discriminator_objective(gan, params, model_state, images, fakes, key=d_key)

    grads, (model_state, metrics) = jax.grad(objective, has_aux=True)(state.discriminator.params)
    new_state = move_discriminator(gan, state, grads, model_state)
    return new_state, metrics | {"d_grad_norm": optax.tree.norm(grads)}


def generator_step(
    gan: GAN, state: GANState, images: Images, *, key: Key
) -> tuple[GANState, Metrics]:
    """Update G, and the moving average of its weights, against the present D; leave D alone.

    Args:
      gan: the game.
      state: before the step.
      images: real images [B, ...]. Only a relativistic loss looks at them; B latents are drawn in any case.
      key: draws latents and dropout.

    Returns:
      The state with a new generator, and its metrics. `step` is not advanced: that is the update rule's part.
    """
    latent_key, step_key = jax.random.split(key)
    latents = sample_latents(latent_key, images.shape[0], gan.latent_dim)
    return generator_step_on(gan, state, latents, images, key=step_key)


def generator_step_on(
    gan: GAN, state: GANState, latents: Latents, images: Images, *, key: Key
) -> tuple[GANState, Metrics]:
    """Take `generator_step` on given latents [B, latent_dim]."""

    def objective(params: Params):
        return generator_objective(gan, params, state, latents, images, key=key)

    grads, (model_state, metrics) = jax.grad(objective, has_aux=True)(state.generator.params)
    new_state = move_generator(gan, state, grads, model_state, num_images=images.shape[0])
    return new_state, metrics | {"g_grad_norm": optax.tree.norm(grads)}


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
    ema_params = _follow(state.ema_params, moved.params, gan.ema_half_life_images, num_images)
    return state._replace(generator=moved, ema_params=ema_params)


def _move(
    tx: optax.GradientTransformation, player: NetworkState, grads: Params, model_state: ModelState
) -> NetworkState:
    updates, opt_state = tx.update(grads, player.opt_state, player.params)
    return NetworkState(optax.apply_updates(player.params, updates), model_state, opt_state)


def _follow(average: Params, params: Params, half_life: Scalar | None, num_images: int) -> Params:
    if half_life is None:
        return params
    return optax.incremental_update(params, average, 1.0 - 0.5 ** (num_images / half_life))


def run_steps(
    step: BoundRule, state: GANState, sample_batch: SampleBatch, num_steps: int, *, key: Key
) -> tuple[GANState, Metrics]:
    """Scan an update rule over steps, drawing each step's data and randomness from its number.

    Args:
      step: an update rule with its `gan` bound by `functools.partial`.
      state: where to start; `state.step` decides which random numbers follow.
      sample_batch: `(key, step) -> images`.
      num_steps: how many steps.
      key: the run's root key; step i uses `fold_in(key, i)`, so that runs may be cut anywhere.

    Returns:
      The state after `num_steps`, and each metric as f32[num_steps].
    """

    def body(state: GANState, _: None) -> tuple[GANState, Metrics]:
        data_key, step_key = jax.random.split(jax.random.fold_in(key, state.step))
        return step(state, sample_batch(data_key, state.step), key=step_key)

    return jax.lax.scan(body, state, length=num_steps)


def make_chunk(
    step: BoundRule, draw: Callable[[Key, Array], Images], num_steps: int
) -> Callable[[GANState, Array, Key], tuple[GANState, Metrics]]:
    """Compile `run_steps` over data that lie on the device.

    Args:
      step: an update rule with its `gan` bound.
      draw: `(key, data) -> images`, a step's real images.
      num_steps: steps in one call.

    Returns:
      `(state, data, key) -> (state, metrics)`, jitted; the buffers of `state` are donated.
    """

    def chunk(state: GANState, data: Array, key: Key) -> tuple[GANState, Metrics]:
        def sample_batch(batch_key: Key, step_number: Array) -> Images:
            del step_number  # the key already depends on it
            return draw(batch_key, data)

        return run_steps(step, state, sample_batch, num_steps, key=key)

    return jax.jit(chunk, donate_argnums=0)
