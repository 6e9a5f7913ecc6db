"""Both players from one pass through each network, whose gradients differ by a number for each sample."""

import jax
import jax.numpy as jnp
import optax

from gan_jax.objectives import (
    discriminator_metrics,
    generator_metrics,
    judge_both,
    judge_of,
    penalties,
    shares_passes,
)
from gan_jax.pull_back import off_zero, over_batch
from gan_jax.rules.one_batch import one_batch
from gan_jax.sampling import sample_latents
from gan_jax.steps import move_discriminator, move_generator
from gan_jax.types import GAN, Array, Batch, GANState, Images, Key, Logits, Metrics, Params, Rule


def one_stage_step(
    gan: GAN, state: GANState, batch: Batch, *, key: Key
) -> tuple[GANState, Metrics]:
    """Update both players at once from one pass through G and one through D.

    Both losses reach the generated images only through their logits, so, sample by sample, G's image gradient is D's
    times the ratio of the two losses' derivatives by the logit. Both gradients are those at the old weights.

    Args:
      gan: the game, with `n_dis` 1 and a D that does not couple its batch.
      state: before the step.
      batch: real samples [B, ...].
      key: draws everything random.

    Returns:
      The state after the step.

    Raises:
      ValueError: D couples its batch, or `n_dis` is not 1.

    Reference: Shen et al. 2021, equations 6-10, arXiv:2103.00430.
    """
    _check_one_stage(gan)
    latent_key, g_key, d_key, penalty_key = jax.random.split(key, 4)
    num_images = batch.images.shape[0]
    latents = sample_latents(latent_key, num_images, gan.latent_dim)
    d_params, d_model_state, _ = state.discriminator
    apart = shares_passes(gan, d_params, d_model_state, batch)

    def generate(params: Params):
        return gan.generator.apply(
            params, state.generator.model_state, latents, batch.labels, train=True, key=g_key
        )

    def judge(params: Params, fakes: Images):
        real_logits, fake_logits, model_state = judge_both(
            judge_of(gan), params, d_model_state, batch, fakes, key=d_key, apart=apart
        )
        return (real_logits, fake_logits), model_state

    fakes, pull_to_g, g_model_state = jax.vjp(generate, state.generator.params, has_aux=True)
    logits, pull_to_d, new_d_model_state = jax.vjp(judge, d_params, fakes, has_aux=True)
    d_loss, g_loss, slopes, ratio = _slopes_by_logit(gan, *logits)
    d_grads, image_grads = pull_to_d(slopes)
    (g_grads,) = pull_to_g(image_grads * over_batch(ratio, fakes))

    def penalty_of(params: Params):
        seeds = slopes[0] if apart else None
        return penalties(gan, params, d_model_state, batch, fakes, key=penalty_key, seeds=seeds)

    extra: Metrics = {}
    if gan.penalties:
        penalty, penalty_grads = jax.value_and_grad(penalty_of)(d_params)
        d_grads, extra = jax.tree.map(jnp.add, d_grads, penalty_grads), {"d_penalty": penalty}
    norms = {"d_grad_norm": optax.tree.norm(d_grads), "g_grad_norm": optax.tree.norm(g_grads)}
    state = move_discriminator(gan, state, d_grads, new_d_model_state)
    state = move_generator(gan, state, g_grads, g_model_state, num_images=num_images)
    metrics = discriminator_metrics(d_loss, *logits) | generator_metrics(g_loss, logits[1])
    return state._replace(step=state.step + 1), metrics | norms | extra


one_stage = Rule(one_stage_step, one_batch)


def _slopes_by_logit(
    gan: GAN, real_logits: Logits, fake_logits: Logits
) -> tuple[Array, Array, tuple[Logits, Logits], Array]:
    d_loss, (real_slopes, fake_slopes) = jax.value_and_grad(gan.loss.discriminator, (0, 1))(
        real_logits, fake_logits
    )
    g_loss, g_slopes = jax.value_and_grad(gan.loss.generator, 1)(
        real_logits if gan.loss.needs_real else None, fake_logits
    )
    real_slopes, fake_slopes = off_zero(real_slopes), off_zero(fake_slopes)
    return d_loss, g_loss, (real_slopes, fake_slopes), g_slopes / fake_slopes


def _check_one_stage(gan: GAN) -> None:
    if gan.n_dis != 1:
        raise ValueError(f"the one-stage update takes n_dis = 1, got {gan.n_dis}")
    if gan.discriminator.couples_batch:
        raise ValueError(
            "the one-stage update needs a discriminator whose samples do not influence one another: "
            "take out its batch norm, or use the alternating update"
        )
