"""Augmentation of D's inputs whose strength follows D's overfitting, so that it is as strong as the data need.

The strength, the probability with which each augmentation changes an image, is part of D's model state: it is saved
and resumed with D, and swept with it. D is a network that carries it (`behind`), so losses, penalties and rules know
nothing of it; a rule around the rule moves it (`adapting`).

Reference: Karras et al. 2020, "Training Generative Adversarial Networks with Limited Data", arXiv:2006.06676.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from gan_jax.augmentations import AugmentBy
from gan_jax.sampling import sample_latents, sample_real
from gan_jax.types import (
    GAN,
    Array,
    Batch,
    DrawReal,
    GANState,
    Images,
    Key,
    Labels,
    Metrics,
    ModelState,
    Network,
    Params,
    Rule,
    Scalar,
)

KEPT = "augmentation"  # the entry of D's model state
INTERVAL = 4  # steps between two looks, as in the paper
MEMORY = 1024  # real images over which what is seen is averaged


class Watched(NamedTuple):
    """Running means over some hundreds of images, as D saw them before it learnt from them, without augmentation.

    They begin at 0, so they are too small at first, all by the same factor.

    Attributes:
      train: logits of training images, f32[].
      unseen: logits of real images that are never trained on.
      fake: logits of generated images.
      sign: sign of the training images' logits.
    """

    train: Array
    unseen: Array
    fake: Array
    sign: Array


class Control(NamedTuple):
    """What moves the strength.

    Attributes:
      signal: how far D overfits, 0 not at all to 1: a function of what is `Watched`; `SIGNALS` names them.
      target: value of the signal above which the strength rises; below, it falls.
      images: real images in which the strength can rise from 0 to 1.
      unseen: real images and labels that are never trained on, as the data set has them.
      draw: draws samples from these.
    """

    signal: Callable[[Watched], Array]
    target: Scalar
    images: Scalar
    unseen: Batch
    draw: DrawReal = sample_real


def gap(watched: Watched) -> Array:
    """Give r_v = (train - unseen) / (train - fake): where unseen images stand between training and generated ones.

    0 where D takes unseen images for training images, 1 where it takes them for generated ones; 0 as well where D does
    not tell training images from generated ones. (Karras et al. 2020, equation 1, left.)
    """
    reach = watched.train - watched.fake
    share = (watched.train - watched.unseen) / jnp.where(reach > 0.0, reach, 1.0)
    return jnp.where(reach > 0.0, jnp.clip(share, 0.0, 1.0), 0.0)


def sign(watched: Watched) -> Array:
    """Give r_t, the mean sign of D's logits on training images, which needs no unseen ones (equation 1, right).

    It is high as well for a D that is merely ahead of its G, which is no overfitting: then the augmentation does harm.
    """
    return watched.sign


SIGNALS: dict[str, Callable[[Watched], Array]] = {"gap": gap, "r_t": sign}


def behind(discriminator: Network, augment: AugmentBy) -> Network:
    """Put an augmentation before D in training, of the strength that its model state then also keeps; 0 at first.

    Args:
      discriminator: any D.
      augment: `(key, images, strength) -> images`.

    Returns:
      A D that sees images as they are where `train` is False. Its passes leave the strength alone.

    Raises:
      ValueError: from `apply`, in training without a key.
    """

    def init(key: Key, x: Array, labels: Labels | None = None) -> tuple[Params, ModelState]:
        params, model_state = discriminator.init(key, x, labels)
        zeros = [jnp.zeros((), jnp.float32) for _ in range(5)]
        kept = {"strength": zeros[0], "watched": dict(zip(Watched._fields, zeros[1:], strict=True))}
        return params, {**model_state, KEPT: kept}

    def apply(
        params: Params,
        model_state: ModelState,
        x: Array,
        labels: Labels | None = None,
        *,
        train: bool,
        key: Key | None = None,
    ) -> tuple[Array, ModelState]:
        own = {name: value for name, value in model_state.items() if name != KEPT}
        if train:
            if key is None:
                raise ValueError("an augmented D needs a key in training")
            augment_key, key = jax.random.split(key)
            x = augment(augment_key, x, model_state[KEPT]["strength"])
        y, own = discriminator.apply(params, own, x, labels, train=train, key=key)
        return y, {**own, KEPT: model_state[KEPT]}

    return discriminator._replace(init=init, apply=apply)


def adapting(rule: Rule, control: Control) -> Rule:
    """Let a rule's step also move the strength of the augmentation, every fourth step.

    strength += sign(signal - target) * real images since the last look / control.images, kept within 0..1

    Args:
      rule: how the players take turns; it is played as it is.
      control: what moves the strength.

    Returns:
      A rule for games whose D comes from `behind`, with the metrics `augment_strength` and `augment_signal` besides.

    Raises:
      ValueError: from its step, if D keeps no strength.
    """

    def step(gan: GAN, state: GANState, batch: Batch, *, key: Key) -> tuple[GANState, Metrics]:
        if KEPT not in state.discriminator.model_state:
            raise ValueError(
                "D keeps no strength of an augmentation: build it with gan_jax.adaptive.behind"
            )
        step_key, look_key = jax.random.split(key)
        words, kind = jax.random.key_data(look_key), jax.random.key_impl(look_key)
        due = (state.step + 1) % INTERVAL == 0
        kept = jax.lax.cond(
            due,
            lambda: _moved(
                gan, state, batch, control, jax.random.wrap_key_data(words, impl=kind)
            ),  # vmap chooses between a branch's inputs, and may not between keys
            lambda: state.discriminator.model_state[KEPT],
        )
        state, metrics = rule.step(gan, state, batch, key=step_key)
        model_state = {**state.discriminator.model_state, KEPT: kept}
        state = state._replace(discriminator=state.discriminator._replace(model_state=model_state))
        signal = control.signal(Watched(**kept["watched"]))
        return state, metrics | {"augment_strength": kept["strength"], "augment_signal": signal}

    return rule._replace(step=step)


def _moved(gan: GAN, state: GANState, batch: Batch, control: Control, key: Key) -> ModelState:
    """Look at D as it stands, and move the strength by what is seen."""
    kept, num = state.discriminator.model_state[KEPT], batch.images.shape[0]
    share = min(1.0, INTERVAL * num / MEMORY)
    seen = _look(gan, state, batch, control, key)
    old = Watched(**kept["watched"])
    watched = Watched(
        *(before + share * (now - before) for before, now in zip(old, seen, strict=True))
    )
    direction = jnp.sign(control.signal(watched) - control.target)
    strength = kept["strength"] + direction * (INTERVAL * num / control.images)
    return {
        "strength": jnp.clip(strength, 0.0, 1.0).astype(jnp.float32),
        "watched": {name: value.astype(jnp.float32) for name, value in watched._asdict().items()},
    }


def _look(gan: GAN, state: GANState, batch: Batch, control: Control, key: Key) -> Watched:
    """Average D's logits over the step's training images, as many unseen ones, and generated ones."""
    num = batch.images.shape[0]
    latent_key, unseen_key, g_key = jax.random.split(key, 3)
    latents = sample_latents(latent_key, num, gan.latent_dim)
    g_params, g_model_state, _ = state.generator
    fake, _ = gan.generator.apply(
        g_params, g_model_state, latents, batch.labels, train=True, key=g_key
    )
    params, model_state, _ = state.discriminator

    def logits(images: Images, labels: Labels | None) -> Array:
        return gan.discriminator.apply(params, model_state, images, labels, train=False)[0]

    train = logits(batch.images, batch.labels)
    others = control.draw(unseen_key, jax.tree.map(jnp.asarray, control.unseen), num)
    return Watched(
        train=jnp.mean(train),
        unseen=jnp.mean(logits(others.images, others.labels)),
        fake=jnp.mean(logits(fake, batch.labels)),
        sign=jnp.mean(jnp.sign(train)),
    )
