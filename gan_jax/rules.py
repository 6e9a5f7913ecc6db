"""Update rules: the ways in which the two players take turns.

A rule is a step, `(gan, state, batch, *, key) -> (state, metrics)`, which advances `state.step` by one, and the number
of batches of real samples that the step takes. `RULES` names them: what is added to it can be asked for by --update.
"""

import jax
import jax.numpy as jnp
import optax

from gan_jax.objectives import (
    discriminator_metrics,
    generator_metrics,
    judge_both,
    judge_of,
    penalties,
)
from gan_jax.sampling import sample_latents
from gan_jax.steps import (
    discriminator_step,
    generator_step,
    generator_step_on,
    move_discriminator,
    move_generator,
)
from gan_jax.types import GAN, Array, Batch, GANState, Images, Key, Logits, Metrics, Params, Rule


def _turns(gan: GAN) -> int:
    # D's turns are on fresh images each, and a generator whose loss looks at real images has fresh ones too.
    return gan.n_dis + gan.loss.needs_real


def alternating_step(
    gan: GAN, state: GANState, batch: Batch, *, key: Key
) -> tuple[GANState, Metrics]:
    """Train D for `n_dis` steps, each on fresh samples and latents, then G against the new D.

    Args:
      gan: the game.
      state: before the step.
      batch: real samples of all turns, one after another: [alternating.batches(gan) * B, ...].
      key: draws everything random.

    Returns:
      The state after the step; metrics of D are those of its last turn.

    Raises:
      ValueError: the samples cannot be shared equally between the turns.

    Reference: Goodfellow et al. 2014, Algorithm 1, arXiv:1406.2661.
    """
    num, turns = batch.images.shape[0], _turns(gan)
    if num % turns:
        raise ValueError(
            f"{num} real images cannot be shared between {turns} turns: "
            "pass alternating.batches(gan) batches"
        )
    g_key, d_key = jax.random.split(key)
    batches = jax.tree.map(lambda a: a.reshape(turns, -1, *a.shape[1:]), batch)
    state, d_metrics = _train_discriminator(gan, state, batches, d_key)
    state, g_metrics = generator_step(gan, state, _at(batches, -1), key=g_key)
    return state._replace(step=state.step + 1), d_metrics | g_metrics


def _train_discriminator(
    gan: GAN, state: GANState, batches: Batch, key: Key
) -> tuple[GANState, Metrics]:
    if gan.n_dis == 1:  # no loop in the program of a single turn
        return discriminator_step(gan, state, _at(batches, 0), key=key)

    def turn(state: GANState, given: tuple[Batch, Array]) -> tuple[GANState, Metrics]:
        batch, number = given
        return discriminator_step(gan, state, batch, key=jax.random.fold_in(key, number))

    first = jax.tree.map(lambda a: a[: gan.n_dis], batches)
    state, metrics = jax.lax.scan(turn, state, (first, jnp.arange(gan.n_dis)))
    return state, jax.tree.map(lambda values: values[-1], metrics)


def _at(batches: Batch, turn: int) -> Batch:
    return jax.tree.map(lambda a: a[turn], batches)


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

    def generate(params: Params):
        return gan.generator.apply(
            params, state.generator.model_state, latents, batch.labels, train=True, key=g_key
        )

    def judge(params: Params, fakes: Images):
        real_logits, fake_logits, model_state = judge_both(
            judge_of(gan), params, d_model_state, batch, fakes, key=d_key
        )
        return (real_logits, fake_logits), model_state

    fakes, pull_to_g, g_model_state = jax.vjp(generate, state.generator.params, has_aux=True)
    logits, pull_to_d, new_d_model_state = jax.vjp(judge, d_params, fakes, has_aux=True)
    d_loss, g_loss, slopes, ratio = _slopes_by_logit(gan, *logits)
    d_grads, image_grads = pull_to_d(slopes)
    (g_grads,) = pull_to_g(image_grads * ratio.reshape(-1, *[1] * (fakes.ndim - 1)))

    def penalty_of(params: Params):
        return penalties(gan, params, d_model_state, batch, fakes, key=penalty_key)

    extra: Metrics = {}
    if gan.penalties:
        penalty, penalty_grads = jax.value_and_grad(penalty_of)(d_params)
        d_grads, extra = jax.tree.map(jnp.add, d_grads, penalty_grads), {"d_penalty": penalty}
    norms = {"d_grad_norm": optax.tree.norm(d_grads), "g_grad_norm": optax.tree.norm(g_grads)}
    state = move_discriminator(gan, state, d_grads, new_d_model_state)
    state = move_generator(gan, state, g_grads, g_model_state, num_images=num_images)
    metrics = discriminator_metrics(d_loss, *logits) | generator_metrics(g_loss, logits[1])
    return state._replace(step=state.step + 1), metrics | norms | extra


def _one_batch(gan: GAN) -> int:
    del gan
    return 1


alternating = Rule(alternating_step, _turns)
article = Rule(article_step, _one_batch)
one_stage = Rule(one_stage_step, _one_batch)

RULES: dict[str, Rule] = {
    "alternating": alternating,
    "article": article,
    "one_stage": one_stage,
}


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
    if gan.penalties:
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
