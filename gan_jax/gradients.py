"""Each player's gradients, apart from moving along them: what every update rule is made of."""

import jax
import optax

from gan_jax.objectives import discriminator_objective, generator_objective
from gan_jax.sampling import sample_latents
from gan_jax.types import (
    GAN,
    Batch,
    GANState,
    Key,
    Latents,
    Metrics,
    ModelState,
    Params,
    Players,
)


def discriminator_gradients(
    gan: GAN, state: GANState, batch: Batch, *, key: Key
) -> tuple[Params, ModelState, Metrics]:
    """Differentiate D's objective on real samples and as many fresh generated ones, which wear their labels.

    G runs in training mode, as in its own step, and its new batch statistics are thrown away.

    Args:
      gan: the game.
      state: where both players stand.
      batch: real samples [B, ...].
      key: draws latents, dropout, augmentation and the penalties' points.

    Returns:
      The gradient by D's weights, D's new model state, and metrics with the gradient's norm.
    """
    latent_key, g_key, d_key = jax.random.split(key, 3)
    latents = sample_latents(latent_key, batch.images.shape[0], gan.latent_dim)
    g_params, g_model_state, _ = state.generator
    fakes, _ = gan.generator.apply(
        g_params, g_model_state, latents, batch.labels, train=True, key=g_key
    )

    def objective(params: Params):
        model_state = state.discriminator.model_state
        return discriminator_objective(gan, params, model_state, batch, fakes, key=d_key)

    grads, (model_state, metrics) = jax.grad(objective, has_aux=True)(state.discriminator.params)
    return grads, model_state, metrics | {"d_grad_norm": optax.tree.norm(grads)}


def generator_gradients(
    gan: GAN, state: GANState, latents: Latents, batch: Batch, *, key: Key
) -> tuple[Params, ModelState, Metrics]:
    """Differentiate G's objective on given latents, against the present D.

    Args:
      gan: the game.
      state: where both players stand.
      latents: [B, latent_dim].
      batch: real samples [B, ...]: their labels are G's, and only a relativistic loss looks at their images.
      key: draws dropout and augmentation.

    Returns:
      The gradient by G's weights, G's new model state, and metrics with the gradient's norm.
    """

    def objective(params: Params):
        return generator_objective(gan, params, state, latents, batch, key=key)

    grads, (model_state, metrics) = jax.grad(objective, has_aux=True)(state.generator.params)
    return grads, model_state, metrics | {"g_grad_norm": optax.tree.norm(grads)}


def both_gradients(
    gan: GAN, state: GANState, batch: Batch, *, key: Key
) -> tuple[Players, Players, Metrics]:
    """Differentiate each player's objective by its own weights, both where they stand: the game's field, turned around.

    Args:
      gan: the game.
      state: where both players stand.
      batch: real samples [B, ...] of D's; where G's loss looks at real images, [2 B, ...], the second half of them G's.
      key: draws everything random: the numbers of an alternating step with `n_dis` 1.

    Returns:
      The gradients, the new model states, and metrics with both gradients' norms.
    """
    g_key, d_key = jax.random.split(key)
    latent_key, g_key = jax.random.split(g_key)
    num = batch.images.shape[0] // (1 + gan.loss.needs_real)
    of_d = jax.tree.map(lambda a: a[:num], batch)
    of_g = jax.tree.map(lambda a: a[-num:], batch)
    d_grads, d_model_state, d_metrics = discriminator_gradients(gan, state, of_d, key=d_key)
    latents = sample_latents(latent_key, num, gan.latent_dim)
    g_grads, g_model_state, g_metrics = generator_gradients(gan, state, latents, of_g, key=g_key)
    return Players(g_grads, d_grads), Players(g_model_state, d_model_state), d_metrics | g_metrics
