"""The tutorial's Keras procedure, as published."""

import jax
import jax.numpy as jnp
import optax

from gan_jax.objectives import discriminator_metrics, judge_of
from gan_jax.rules.one_batch import one_batch
from gan_jax.sampling import sample_latents
from gan_jax.steps import generator_step_on, move_discriminator
from gan_jax.types import GAN, Batch, GANState, Images, Key, Metrics, Params, Rule


def article_step(gan: GAN, state: GANState, batch: Batch, *, key: Key) -> tuple[GANState, Metrics]:
    """Follow the tutorial's Keras procedure.

    Generate images in inference mode; update D on the real images, then, a second time, on the generated ones; then
    update G on *the same latents*, in training mode, while D stands still with its dropout on.

    Args:
      gan: the game, with `n_dis` 1, a loss that judges real and generated images apart, and no penalties.
      state: before the step.
      batch: real samples [B, ...].
      key: draws everything random.

    Returns:
      The state after the step; `d_grad_norm` is the mean over D's two updates.

    Raises:
      ValueError: the game has what this procedure has no place for.
    """
    _check_article(gan)
    latent_key, real_key, fake_key, g_key = jax.random.split(key, 4)
    latents = sample_latents(latent_key, batch.images.shape[0], gan.latent_dim)
    g_params, g_model_state, _ = state.generator
    fakes, _ = gan.generator.apply(g_params, g_model_state, latents, batch.labels, train=False)
    judge = judge_of(gan).apply

    def update_on(state: GANState, images: Images, on_real: bool, key: Key):
        def half_loss(params: Params):
            logits, model_state = judge(
                params, state.discriminator.model_state, images, batch.labels, train=True, key=key
            )
            # The other half of the loss sees constant logits, so it adds nothing to the gradient.
            still = jnp.zeros_like(logits)
            pair = (logits, still) if on_real else (still, logits)
            return gan.loss.discriminator(*pair), (logits, model_state)

        grads, (logits, model_state) = jax.grad(half_loss, has_aux=True)(state.discriminator.params)
        return move_discriminator(gan, state, grads, model_state), logits, optax.tree.norm(grads)

    state, real_logits, real_norm = update_on(state, batch.images, True, real_key)
    state, fake_logits, fake_norm = update_on(state, fakes, False, fake_key)
    state, g_metrics = generator_step_on(gan, state, latents, batch, key=g_key)
    loss = gan.loss.discriminator(real_logits, fake_logits)
    d_metrics = discriminator_metrics(loss, real_logits, fake_logits)
    norms = {"d_grad_norm": 0.5 * (real_norm + fake_norm)}
    return state._replace(step=state.step + 1), d_metrics | norms | g_metrics


article = Rule(article_step, one_batch)


def _check_article(gan: GAN) -> None:
    if gan.n_dis != 1:
        raise ValueError(f"the article's update takes n_dis = 1, got {gan.n_dis}")
    if gan.loss.needs_real:
        raise ValueError(
            "the article's update judges real and generated images apart: no paired loss"
        )
    if gan.penalties:
        raise ValueError(
            "the article's update has no gradient penalties: leave their weights unset"
        )
