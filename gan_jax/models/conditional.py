"""How players learn of the class of a sample: an embedding beside G's latents, a projection in D's logit.

Every family calls these two functions inside its `__call__`; with `num_classes` 0 they add no weights and no
operation, and the network is the one without labels.
"""

import jax.numpy as jnp
from flax import linen as nn

from gan_jax.types import Array, Labels, Latents

EMBEDDING = 32  # numbers by which G knows a class
LAYER = "classes"  # the embedding's name among a player's weights


def beside(latents: Latents, labels: Array | None, num_classes: int) -> Latents:
    """Put an embedding of each sample's class beside its latents.

    The embedding starts standard normal, as loud as the latents.

    Args:
      latents: [B, Z].
      labels: i32[B]; or f32[B, num_classes], shares of the classes, whose embeddings are then mixed (so one may walk
        from class to class).
      num_classes: 0 for a network without labels.

    Returns:
      [B, Z + 32]; the latents themselves without classes.

    Raises:
      ValueError: labels are missing, or given to a network without classes.
    """
    if not _has_classes(labels, num_classes):
        return latents
    table = nn.Embed(num_classes, EMBEDDING, embedding_init=nn.initializers.normal(1.0), name=LAYER)
    embedded = table(labels) if labels.ndim == 1 else labels @ table.embedding
    return jnp.concatenate([latents, embedded.astype(latents.dtype)], axis=1)


def projected(logits: Array, features: Array, labels: Labels | None, num_classes: int) -> Array:
    """Add to each logit the product of D's last features with an embedding of the sample's class.

    D(x, y) = psi(phi(x)) + <v_y, phi(x)>

    Args:
      logits: psi(phi(x)), f32[B].
      features: phi(x), what the last layer reads, [B, F].
      labels: i32[B].
      num_classes: 0 for a network without labels.

    Returns:
      f32[B]; the logits themselves without classes.

    Raises:
      ValueError: as `beside`.

    Reference: Miyato and Koyama 2018, equation 3, arXiv:1802.05637.
    """
    if not _has_classes(labels, num_classes):
        return logits
    direction = nn.Embed(num_classes, features.shape[1], name=LAYER)(labels)
    return logits + jnp.sum(direction * features.astype(jnp.float32), axis=1)


def _has_classes(labels: Array | None, num_classes: int) -> bool:
    if labels is None and num_classes:
        raise ValueError(f"the network knows {num_classes} classes: give it labels with its input")
    if labels is not None and not num_classes:
        raise ValueError(
            "the network takes no labels: build it with num_classes, or leave them out"
        )
    return num_classes > 0
