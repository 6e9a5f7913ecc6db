"""Whether D overfits: what it says of images that neither player has seen."""

from typing import NamedTuple

import jax.numpy as jnp

from gan_jax.types import Array, Logits


class Overfitting(NamedTuple):
    """What D says of what it has seen.

    Attributes:
      sure: r_t = E[sign D(real)], on training images; 1 where D is sure of each, 0 where it guesses.
      gap: mean logit of training images less that of unseen ones; 0 where D does not overfit.
    """

    sure: Array
    gap: Array


def overfitting(train_logits: Logits, unseen_logits: Logits) -> Overfitting:
    """Compare D's logits on training images [N] and on unseen ones [M].

    Reference: Karras et al. 2020, equation 1 (r_t; r_v is such a gap in other units), arXiv:2006.06676.
    """
    gap = jnp.mean(train_logits) - jnp.mean(unseen_logits)
    return Overfitting(jnp.mean(jnp.sign(train_logits)), gap)
