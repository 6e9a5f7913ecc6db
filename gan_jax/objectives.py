"""What each player minimises, as a function of its own weights, with all that is watched on the way."""

import jax
import jax.numpy as jnp

from gan_jax.penalties import dragan_penalty, gradient_penalty, r1_penalty, r2_penalty
from gan_jax.types import (
    GAN,
    Array,
    GANState,
    Images,
    Key,
    Latents,
    LogitFn,
    Logits,
    Metrics,
    ModelState,
    Network,
    Params,
)


def discriminator_objective(
    gan: GAN, params: Params, model_state: ModelState, real: Images, fake: Images, *, key: Key
) -> tuple[Array, tuple[ModelState, Metrics]]:
    """Compute D's loss and penalties on real and generated images [B, ...].

    Returns:
      f32[] to minimise, and (D's new model state, metrics).
    """
    pass_key, penalty_key = jax.random.split(key)
    real_logits, fake_logits, new_model_state = judge_both(
        gan.discriminator, params, model_state, real, fake, key=pass_key
    )
    loss = gan.loss.discriminator(real_logits, fake_logits)
    penalty = penalties(gan, params, model_state, real, fake, key=penalty_key)
    metrics = discriminator_metrics(loss, real_logits, fake_logits)
    if penalty is None:
        return loss, (new_model_state, metrics)
    return loss + penalty, (new_model_state, metrics | {"d_penalty": penalty})


def generator_objective(
    gan: GAN, params: Params, state: GANState, latents: Latents, real: Images, *, key: Key
) -> tuple[Array, tuple[ModelState, Metrics]]:
    """Compute G's loss on the images of given latents, judged by the present D in training mode.

    D's dropout stays on; its new model state is thrown away.

    Returns:
      f32[] to minimise, and (G's new model state, metrics).
    """
    g_key, fake_key, real_key = jax.random.split(key, 3)
    fake, new_model_state = gan.generator.apply(
        params, state.generator.model_state, latents, train=True, key=g_key
    )
    judge = gan.discriminator.apply
    d_params, d_model_state, _ = state.discriminator
    fake_logits, _ = judge(d_params, d_model_state, fake, train=True, key=fake_key)
    real_logits = None
    if gan.loss.needs_real:
        real_logits, _ = judge(d_params, d_model_state, real, train=True, key=real_key)
    loss = gan.loss.generator(real_logits, fake_logits)
    return loss, (new_model_state, generator_metrics(loss, fake_logits))


def judge_both(
    network: Network,
    params: Params,
    model_state: ModelState,
    real: Images,
    fake: Images,
    *,
    key: Key,
) -> tuple[Logits, Logits, ModelState]:
    """Run D in training mode on real and generated images.

    In one pass over both where samples do not influence one another. A D that couples its batch sees them in two
    passes, real first, so that each kind is normalised by its own statistics; its running statistics hear both.

    Returns:
      Logits of the real images [B], of the generated ones [B'], and D's new model state.
    """
    if not network.couples_batch:
        both = jnp.concatenate([real, fake])
        logits, model_state = network.apply(params, model_state, both, train=True, key=key)
        return logits[: real.shape[0]], logits[real.shape[0] :], model_state
    real_key, fake_key = jax.random.split(key)
    real_logits, model_state = network.apply(params, model_state, real, train=True, key=real_key)
    fake_logits, model_state = network.apply(params, model_state, fake, train=True, key=fake_key)
    return real_logits, fake_logits, model_state


def penalties(
    gan: GAN, params: Params, model_state: ModelState, real: Images, fake: Images, *, key: Key
) -> Array | None:
    """Sum the weighted penalties, each a mean over the batch; None if the game has none."""
    r1_key, r2_key, gp_key, dragan_key = jax.random.split(key, 4)

    def judge_with(dropout_key: Key) -> LogitFn:
        def logit_fn(images: Images) -> Logits:
            judge = gan.discriminator.apply
            logits, _ = judge(params, model_state, images, train=True, key=dropout_key)
            return logits

        return logit_fn

    terms = []
    if gan.r1_gamma is not None:
        terms.append(gan.r1_gamma * jnp.mean(r1_penalty(judge_with(r1_key), real)))
    if gan.r2_gamma is not None:
        terms.append(gan.r2_gamma * jnp.mean(r2_penalty(judge_with(r2_key), fake)))
    if gan.gp_weight is not None:
        pass_key, mix_key = jax.random.split(gp_key)
        slopes = gradient_penalty(judge_with(pass_key), real, fake, key=mix_key)
        terms.append(gan.gp_weight * jnp.mean(slopes))
    if gan.dragan_weight is not None:
        pass_key, noise_key = jax.random.split(dragan_key)
        slopes = dragan_penalty(judge_with(pass_key), real, key=noise_key)
        terms.append(gan.dragan_weight * jnp.mean(slopes))
    return sum(terms[1:], start=terms[0]) if terms else None


def discriminator_metrics(loss: Array, real_logits: Logits, fake_logits: Logits) -> Metrics:
    """Collect what is watched of D: its loss, mean logits, and the share of images it sorts rightly."""
    right = jnp.mean(real_logits > 0.0) + jnp.mean(fake_logits < 0.0)
    return {
        "d_loss": loss,
        "d_accuracy": 0.5 * right,
        "real_logits": jnp.mean(real_logits),
        "fake_logits": jnp.mean(fake_logits),
    }


def generator_metrics(loss: Array, fake_logits: Logits) -> Metrics:
    """Collect what is watched of G: its loss, and the share of its images that D takes for real."""
    return {"g_loss": loss, "g_accuracy": jnp.mean(fake_logits > 0.0)}
