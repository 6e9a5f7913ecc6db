"""What each player minimises, as a function of its own weights, with all that is watched on the way."""

import jax
import jax.numpy as jnp

from gan_jax.penalties import weighted
from gan_jax.pull_back import bound, never_flat, slopes_by_logit
from gan_jax.types import (
    GAN,
    Array,
    Batch,
    GANState,
    Images,
    Key,
    Labels,
    Latents,
    Logits,
    Metrics,
    ModelState,
    Network,
    Params,
)


def discriminator_objective(
    gan: GAN, params: Params, model_state: ModelState, real: Batch, fake: Images, *, key: Key
) -> tuple[Array, tuple[ModelState, Metrics]]:
    """Compute D's loss and penalties on real samples and on images generated for their labels [B, ...].

    Returns:
      f32[] to minimise, and (D's new model state, metrics).
    """
    pass_key, penalty_key = jax.random.split(key)
    apart = shares_passes(gan, params, model_state, real)
    real_logits, fake_logits, new_model_state = judge_both(
        judge_of(gan), params, model_state, real, fake, key=pass_key, apart=apart
    )
    seeds = slopes_by_logit(gan.loss, real_logits, fake_logits)[0] if apart else None
    real_logits = never_flat(real_logits) if apart else real_logits
    loss = gan.loss.discriminator(real_logits, fake_logits)
    penalty = penalties(gan, params, model_state, real, fake, key=penalty_key, seeds=seeds)
    metrics = discriminator_metrics(loss, real_logits, fake_logits)
    if penalty is None:
        return loss, (new_model_state, metrics)
    return loss + penalty, (new_model_state, metrics | {"d_penalty": penalty})


def generator_objective(
    gan: GAN, params: Params, state: GANState, latents: Latents, real: Batch, *, key: Key
) -> tuple[Array, tuple[ModelState, Metrics]]:
    """Compute G's loss on the images of given latents and the real samples' labels, judged by the present D.

    D runs in training mode, its dropout stays on; its new model state is thrown away.

    Returns:
      f32[] to minimise, and (G's new model state, metrics).
    """
    g_key, fake_key, real_key = jax.random.split(key, 3)
    labels = real.labels
    fake, new_model_state = gan.generator.apply(
        params, state.generator.model_state, latents, labels, train=True, key=g_key
    )
    judge = judge_of(gan).apply
    d_params, d_model_state, _ = state.discriminator
    fake_logits, _ = judge(d_params, d_model_state, fake, labels, train=True, key=fake_key)
    real_logits = None
    if gan.loss.needs_real:
        real_logits, _ = judge(
            d_params, d_model_state, real.images, labels, train=True, key=real_key
        )
    loss = gan.loss.generator(real_logits, fake_logits)
    return loss, (new_model_state, generator_metrics(loss, fake_logits))


def judge_of(gan: GAN) -> Network:
    """Give D as the game plays it: behind the augmentation, if there is one, in each of its passes."""
    if gan.augment is None:
        return gan.discriminator

    def apply(
        params: Params,
        model_state: ModelState,
        x: Array,
        labels: Labels | None = None,
        *,
        train: bool,
        key: Key,
    ) -> tuple[Array, ModelState]:
        augment_key, key = jax.random.split(key)
        x = gan.augment(augment_key, x)
        return gan.discriminator.apply(params, model_state, x, labels, train=train, key=key)

    return gan.discriminator._replace(apply=apply)


def judge_both(
    network: Network,
    params: Params,
    model_state: ModelState,
    real: Batch,
    fake: Images,
    *,
    key: Key,
    apart: bool = False,
) -> tuple[Logits, Logits, ModelState]:
    """Run D in training mode on real samples, and on generated images that wear their labels.

    In one pass over both where samples do not influence one another, unless they are wanted `apart`. A D that couples
    its batch sees them in two passes, real first, so that each kind is normalised by its own statistics; its running
    statistics hear both.

    Returns:
      Logits of the real images [B], of the generated ones [B], and D's new model state.
    """
    images, labels = real
    if not (network.couples_batch or apart):
        both = jnp.concatenate([images, fake])
        twice = None if labels is None else jnp.concatenate([labels, labels])
        logits, model_state = network.apply(params, model_state, both, twice, train=True, key=key)
        return logits[: images.shape[0]], logits[images.shape[0] :], model_state
    real_key, fake_key = jax.random.split(key)
    judge = network.apply
    real_logits, model_state = judge(params, model_state, images, labels, train=True, key=real_key)
    fake_logits, model_state = judge(params, model_state, fake, labels, train=True, key=fake_key)
    return real_logits, fake_logits, model_state


def penalties(
    gan: GAN,
    params: Params,
    model_state: ModelState,
    real: Batch,
    fake: Images,
    *,
    key: Key,
    seeds: Logits | None = None,
) -> Array | None:
    """Sum the weighted penalties, each a mean over the batch with a key of its own; None if the game has none.

    Args:
      gan: the game.
      params: of D.
      model_state: of D.
      real: samples [B, ...].
      fake: images generated for their labels [B, ...].
      key: draws dropout, augmentation and the points between them.
      seeds: slopes of the loss by the real logits [B], none of them 0, where D's real pass is to be shared.
    """
    judge = judge_of(gan).apply
    terms = []
    for number, penalty in enumerate(gan.penalties):
        pass_key, points_key = jax.random.split(jax.random.fold_in(key, number))

        def logits_of(params: Params, images: Images, pass_key: Key = pass_key) -> Logits:
            again = jax.random.clone(pass_key)  # asked twice, the same D answers, dropout and all
            return judge(params, model_state, images, real.labels, train=True, key=again)[0]

        logit_fn = bound(logits_of, params, seeds)
        terms.append(weighted(penalty, logit_fn, real.images, fake, key=points_key))
    return sum(terms[1:], start=terms[0]) if terms else None


def shares_passes(gan: GAN, params: Params, model_state: ModelState, real: Batch) -> bool:
    """Whether penalties may share D's real pass with the loss: it has no state, and draws nothing from its key."""
    if not gan.penalties or gan.discriminator.couples_batch or jax.tree.leaves(model_state):
        return False

    def logits_of(key: Key) -> Logits:
        judge = judge_of(gan).apply
        return judge(params, model_state, real.images, real.labels, train=True, key=key)[0]

    traced = jax.make_jaxpr(logits_of)(jax.eval_shape(jax.random.key, 0)).jaxpr
    return not any(traced.invars[0] in equation.invars for equation in traced.eqns)


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
