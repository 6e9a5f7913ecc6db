"""Update rules: the ways in which the two players take turns.

All have one signature, `(gan, state, images, *, key) -> (state, metrics)`, and advance `state.step` by one.
"""

import jax
import jax.numpy as jnp
import optax

from gan_jax.objectives import (
    discriminator_metrics,
    generator_metrics,
    judge_both,
    penalties,
)
from gan_jax.sampling import sample_latents
from gan_jax.steps import (
    UpdateRule,
    discriminator_step,
    generator_step,
    generator_step_on,
    move_discriminator,
    move_generator,
)
from gan_jax.types import GAN, Array, GANState, Images, Key, Logits, Metrics, Params


def real_batches_per_step(rule: UpdateRule, gan: GAN) -> int:
    """Count the batches of real images that one step of a rule takes.

    `alternating` takes one for each of its `n_dis` discriminator steps, and one more for a generator whose loss
    looks at real images; the other rules take one.
    """
    return gan.n_dis + gan.loss.needs_real if rule is alternating else 1


def alternating(gan: GAN, state: GANState, images: Images, *, key: Key) -> tuple[GANState, Metrics]:
    """Train D for `n_dis` steps, each on fresh images and latents, then G against the new D.

    Args:
      gan: the game.
      state: before the step.
      images: real images of all turns, one after another: [real_batches_per_step * B, ...].
      key: draws everything random.

    Returns:
      The state after the step; metrics of D are those of its last turn.

    Raises:
      ValueError: the images cannot be shared equally between the turns.

    Reference: Goodfellow et al. 2014, Algorithm 1, arXiv:1406.2661.
    """
    turns = real_batches_per_step(alternating, gan)
    if images.shape[0] % turns:
        raise ValueError(
            f"{images.shape[0]} real images cannot be shared between {turns} turns: "
            "pass real_batches_per_step(alternating, gan) batches"
        )
    batches = images.reshape(turns, -1, *images.shape[1:])
    g_key, *d_keys = jax.random.split(key, gan.n_dis + 1)
    d_metrics: Metrics = {}
    for turn, d_key in enumerate(d_keys):
        state, d_metrics = discriminator_step(gan, state, batches[turn], key=d_key)
    state, g_metrics = generator_step(gan, state, batches[-1], key=g_key)
    return state._replace(step=state.step + 1), d_metrics | g_metrics


def article(gan: GAN, state: GANState, images: Images, *, key: Key) -> tuple[GANState, Metrics]:
    """Follow the tutorial's Keras procedure.

    Generate images in inference mode; update D on the real images, then, a second time, on the generated ones; then
    update G on *the same latents*, in training mode, while D stands still with its dropout on.

    Args:
      gan: the game, with `n_dis` 1, a loss that judges real and generated images apart, and no penalties.
      state: before the step.
      images: real images [B, ...].
      key: draws everything random.

    Returns:
      The state after the step; `d_grad_norm` is the mean over D's two updates.

    Raises:
      ValueError: the game has what this procedure has no place for.
    """
    _check_article(gan)
    latent_key, real_key, fake_key, g_key = jax.random.split(key, 4)
    latents = sample_latents(latent_key, images.shape[0], gan.latent_dim)
    fakes, _ = gan.generator.apply(
        state.generator.params, state.generator.model_state, latents, train=False
    )

    def update_on(state: GANState, images: Images, on_real: bool, key: Key):
        def half_loss(params: Params):
            logits, model_state = gan.discriminator.apply(
                params, state.discriminator.model_state, images, train=True, key=key
            )
            # The other half of the loss sees constant logits, so it adds nothing to the gradient.
            still = jnp.zeros_like(logits)
            pair = (logits, still) if on_real else (still, logits)
            return gan.loss.discriminator(*pair), (logits, model_state)

        grads, (logits, model_state) = jax.grad(half_loss, has_aux=True)(state.discriminator.params)
        return move_discriminator(gan, state, grads, model_state), logits, optax.tree.norm(grads)

    state, real_logits, real_norm = update_on(state, images, True, real_key)
    state, fake_logits, fake_norm = update_on(state, fakes, False, fake_key)
    state, g_metrics = generator_step_on(gan, state, latents, images, key=g_key)
    loss = gan.loss.discriminator(real_logits, fake_logits)
    d_metrics = discriminator_metrics(loss, real_logits, fake_logits)
    norms = {"d_grad_norm": 0.5 * (real_norm + fake_norm)}
    return state._replace(step=state.step + 1), d_metrics | norms | g_metrics


def one_stage(gan: GAN, state: GANState, images: Images, *, key: Key) -> tuple[GANState, Metrics]:
    """Update both players at once from one pass through G and one through D.

    Both losses reach the generated images only through their logits, so, sample by sample, G's image gradient is D's
    times the ratio of the two losses' derivatives by the logit. Both gradients are those at the old weights.

    Args:
      gan: the game, with `n_dis` 1 and a D that does not couple its batch.
      state: before the step.
      images: real images [B, ...].
      key: draws everything random.

    Returns:
      The state after the step.

    Raises:
      ValueError: D couples its batch, or `n_dis` is not 1.

    Reference: Shen et al. 2021, equations 6-10, arXiv:2103.00430.
    """
    _check_one_stage(gan)
    latent_key, g_key, d_key, penalty_key = jax.random.split(key, 4)
    latents = sample_latents(latent_key, images.shape[0], gan.latent_dim)
    d_params, d_model_state, _ = state.discriminator

    def generate(params: Params):
        return gan.generator.apply(
            params, state.generator.model_state, latents, train=True, key=g_key
        )

    def judge(params: Params, fakes: Images):
        real_logits, fake_logits, model_state = judge_both(
            gan.discriminator, params, d_model_state, images, fakes, key=d_key
        )
        return (real_logits, fake_logits), model_state

    fakes, pull_to_g, g_model_state = jax.vjp(generate, state.generator.params, has_aux=True)
    logits, pull_to_d, new_d_model_state = jax.vjp(judge, d_params, fakes, has_aux=True)
    d_loss, g_loss, slopes, ratio = _slopes_by_logit(gan, *logits)
    d_grads, image_grads = pull_to_d(slopes)
    (g_grads,) = pull_to_g(image_grads * ratio.reshape(-1, *[1] * (fakes.ndim - 1)))

    def penalty_of(params: Params):
        return penalties(gan, params, d_model_state, images, fakes, key=penalty_key)

    extra: Metrics = {}
    if jax.eval_shape(penalty_of, d_params) is not None:
        penalty, penalty_grads = jax.value_and_grad(penalty_of)(d_params)
        d_grads, extra = jax.tree.map(jnp.add, d_grads, penalty_grads), {"d_penalty": penalty}
    norms = {"d_grad_norm": optax.tree.norm(d_grads), "g_grad_norm": optax.tree.norm(g_grads)}
    state = move_discriminator(gan, state, d_grads, new_d_model_state)
    state = move_generator(gan, state, g_grads, g_model_state, num_images=images.shape[0])
    metrics = discriminator_metrics(d_loss, *logits) | generator_metrics(g_loss, logits[1])
    return state._replace(step=state.step + 1), metrics | norms | extra


def _slopes_by_logit(
    gan: GAN, real_logits: Logits, fake_logits: Logits
) -> tuple[Array, Array, tuple[Logits, Logits], Array]:
    d_loss, (real_slopes, fake_slopes) = jax.value_and_grad(gan.loss.discriminator, (0, 1))(
        real_logits, fake_logits
    )
    g_loss, g_slopes = jax.value_and_grad(gan.loss.generator, 1)(
        real_logits if gan.loss.needs_real else None, fake_logits
    )
    # Where D's slope is exactly 0 (hinge) a ratio does not exist: 1e-12, far below rounding in D's sum, stands in.
    tiny = jnp.where(fake_slopes < 0.0, -1e-12, 1e-12)
    fake_slopes = jnp.where(jnp.abs(fake_slopes) < 1e-12, tiny, fake_slopes)
    return d_loss, g_loss, (real_slopes, fake_slopes), g_slopes / fake_slopes


def _check_article(gan: GAN) -> None:
    if gan.n_dis != 1:
        raise ValueError(f"the article's update takes n_dis = 1, got {gan.n_dis}")
    if gan.loss.needs_real:
        raise ValueError(
            "the article's update judges real and generated images apart: no paired loss"
        )
    weights = (gan.r1_gamma, gan.r2_gamma, gan.gp_weight, gan.dragan_weight)
    if any(weight is not None for weight in weights):
        raise ValueError(
            "the article's update has no gradient penalties: leave their weights unset"
        )


def _check_one_stage(gan: GAN) -> None:
    if gan.n_dis != 1:
        raise ValueError(f"the one-stage update takes n_dis = 1, got {gan.n_dis}")
    if gan.discriminator.couples_batch:
        raise ValueError(
            "the one-stage update needs a discriminator whose samples do not influence one another: "
            "take out its batch norm, or use the alternating update"
        )
