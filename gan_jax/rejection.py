"""Let D choose among G's samples: discriminator rejection sampling.

If D were ideal, its logit at x would be log p_data(x) / p_G(x), and accepting x with a chance in proportion to that
ratio would turn G's samples into data. A trained D is not ideal, and exact rejection would accept almost nothing; so
the ratio to the largest one seen is softened, and a percentile of G's own samples, `gamma`, says how picky to be.

    F(x) = d - log(1 - exp(d - epsilon)) - gamma,   d = D(x) - max D,   chance = sigmoid(F(x))

Only differences of logits count, so a relativistic D serves as well. The logits of hinge, least-squares and Wasserstein
losses are no log ratios: with those the rule still prefers what D prefers, and promises nothing.

Reference: Azadi et al. 2019, "Discriminator rejection sampling", section 3, arXiv:1810.06758. There gamma is the
percentile within each batch; here within a burn-in, so that a sample's chance does not depend on its company.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from gan_jax.types import Array, Key, Logits

EPSILON = 1e-6  # caps F where a sample reaches the greatest logit: at 13.8 above gamma's zero


class Bar(NamedTuple):
    """How high D's logit must be.

    Attributes:
      burn_in: f32[N], logits of samples that were drawn to set the bar.
      max_logit: f32[], the greatest logit seen so far, during the burn-in or after.
      percentile: in [0, 100): gamma is this percentile of F over the burn-in, and a sample there is accepted one time
        in two. The higher, the pickier; the paper takes 80 for ImageNet.
    """

    burn_in: Logits
    max_logit: Array
    percentile: float


def set_bar(burn_in: Logits, percentile: float = 80.0) -> Bar:
    """Set the bar by the logits of a burn-in.

    Args:
      burn_in: [N], finite, N >= 1; some thousand.
      percentile: in [0, 100).

    Returns:
      The bar.

    Raises:
      ValueError: the logits are not [N], or the percentile is out of range.
    """
    if jnp.ndim(burn_in) != 1 or jnp.size(burn_in) < 1:
        raise ValueError(f"burn_in must have shape [N], N >= 1, got {jnp.shape(burn_in)}")
    if not 0 <= percentile < 100:
        raise ValueError(f"percentile must be in [0, 100), got {percentile}")
    return Bar(burn_in, jnp.max(burn_in), percentile)


def raise_bar(bar: Bar, logits: Logits) -> Bar:
    """Raise the bar to the greatest of some logits [B], where they exceed all that were seen before."""
    return bar._replace(max_logit=jnp.maximum(bar.max_logit, jnp.max(logits)))


def acceptance(logits: Logits, bar: Bar) -> Array:
    """Give the chance [B] with which each sample is accepted.

    Args:
      logits: [B], D's; those above the bar count as on it.
      bar: from `set_bar`.
    """
    gamma = jnp.percentile(_softened(bar.burn_in, bar.max_logit), bar.percentile)
    return jax.nn.sigmoid(_softened(logits, bar.max_logit) - gamma)


def accept(key: Key, logits: Logits, bar: Bar) -> Array:
    """Accept or reject each sample by its logit [B] with the chance of `acceptance`: bool[B]."""
    return jax.random.bernoulli(key, acceptance(logits, bar))


def _softened(logits: Logits, max_logit: Array) -> Array:
    d = jnp.minimum(logits - max_logit, 0.0)
    return d - jnp.log(-jnp.expm1(d - EPSILON))  # = d - log(1 - exp(d - epsilon))
