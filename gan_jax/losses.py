"""Adversarial losses: what the two players minimise, from logits [B].

Each function here returns an `AdversarialLoss`. Logits are real numbers before the sigmoid; whatever their type, losses
are computed and returned in float32, or in float64 if that is theirs. In the textbook forms below D(x) =
sigmoid(logit). `LOSSES` names them: what is added to it can be asked for by --loss.
"""

import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from gan_jax.types import AdversarialLoss, Array, Logits, Scalar


def non_saturating(real_label: float = 1.0, fake_label: float = 0.0) -> AdversarialLoss:
    """Train G to make D say "real": the loss that cures the vanishing gradient.

    L_D = BCE(real, real_label) + BCE(fake, fake_label), L_G = BCE(fake, real_label). At labels 1 and 0 that is
    L_G = -mean log D(G(z)), whose derivative by a logit, D(G(z)) - 1, is near -1 just where D is sure.

    Args:
      real_label: D's target for real images and G's for its own, in [0, 1]; the tutorial takes 0.9.
      fake_label: D's target for generated images, in [0, 1]; the tutorial takes 0.1.

    Raises:
      ValueError: a label lies outside [0, 1]; later, logits are not of shape [B].

    Reference: Goodfellow et al. 2014, section 3, arXiv:1406.2661; smoothing: Salimans et al. 2016, section 3.4.
    """
    _check_labels(real_label, fake_label)

    def generator(real_logits: Logits | None, fake_logits: Logits) -> Array:
        del real_logits  # G is judged by its own images alone
        return jnp.mean(_cross_entropy(_wide(fake_logits), real_label))

    return AdversarialLoss(_cross_entropy_discriminator(real_label, fake_label), generator)


def minimax(real_label: float = 1.0, fake_label: float = 0.0) -> AdversarialLoss:
    """Play the zero-sum game of the original paper, whose generator gradient vanishes where D is sure.

    L_D as in `non_saturating`; L_G = -BCE(fake, fake_label), at label 0 mean log(1 - D(G(z))), whose derivative
    by a logit is -D(G(z)).

    Args:
      real_label: D's target for real images, in [0, 1].
      fake_label: D's target for generated images, in [0, 1].

    Raises:
      ValueError: a label lies outside [0, 1]; later, logits are not of shape [B].

    Reference: Goodfellow et al. 2014, equation 1, arXiv:1406.2661.
    """
    _check_labels(real_label, fake_label)

    def generator(real_logits: Logits | None, fake_logits: Logits) -> Array:
        del real_logits  # the term on real images does not depend on G
        return -jnp.mean(_cross_entropy(_wide(fake_logits), fake_label))

    return AdversarialLoss(_cross_entropy_discriminator(real_label, fake_label), generator)


def least_squares() -> AdversarialLoss:
    """Regress logits to 1 (real) and 0 (fake).

    L_D = 1/2 mean (real - 1)^2 + 1/2 mean fake^2, L_G = 1/2 mean (fake - 1)^2.

    Reference: Mao et al. 2017, equation 9 (a = 0, b = c = 1), arXiv:1611.04076.
    """

    def discriminator(real_logits: Logits, fake_logits: Logits) -> Array:
        real, fake = _wide(real_logits), _wide(fake_logits)
        return 0.5 * jnp.mean((real - 1.0) ** 2) + 0.5 * jnp.mean(fake**2)

    def generator(real_logits: Logits | None, fake_logits: Logits) -> Array:
        del real_logits
        return 0.5 * jnp.mean((_wide(fake_logits) - 1.0) ** 2)

    return AdversarialLoss(discriminator, generator)


def hinge() -> AdversarialLoss:
    """Push real logits above 1 and fake ones below -1, and no further.

    L_D = mean max(0, 1 - real) + mean max(0, 1 + fake), L_G = -mean fake.

    Reference: Lim and Ye 2017, arXiv:1705.02894; Miyato et al. 2018, equations 16-17, arXiv:1802.05957.
    """

    def discriminator(real_logits: Logits, fake_logits: Logits) -> Array:
        real, fake = _wide(real_logits), _wide(fake_logits)
        return jnp.mean(jax.nn.relu(1.0 - real)) + jnp.mean(jax.nn.relu(1.0 + fake))

    return AdversarialLoss(discriminator, _mean_critic_generator)


def wasserstein() -> AdversarialLoss:
    """Estimate the earth mover's distance with a critic kept smooth by a gradient penalty.

    L_D = mean fake - mean real, L_G = -mean fake.

    Reference: Arjovsky et al. 2017, equation 2, arXiv:1701.07875.
    """

    def discriminator(real_logits: Logits, fake_logits: Logits) -> Array:
        return jnp.mean(_wide(fake_logits)) - jnp.mean(_wide(real_logits))

    return AdversarialLoss(discriminator, _mean_critic_generator)


def relativistic() -> AdversarialLoss:
    """Ask of each pair which image is the real one (pair i: real_logits[i], fake_logits[i]).

    L_D = mean softplus(-(real - fake)), L_G = mean softplus(-(fake - real)).

    Reference: Jolicoeur-Martineau 2018, arXiv:1807.00734; paired as in Huang et al. 2025 (R3GAN), equation 2,
    arXiv:2501.05441. There it is trained with R1 and R2, without batch norm.
    """

    def discriminator(real_logits: Logits, fake_logits: Logits) -> Array:
        return jnp.mean(jax.nn.softplus(-_margins(real_logits, fake_logits)))

    def generator(real_logits: Logits | None, fake_logits: Logits) -> Array:
        if real_logits is None:
            raise ValueError("a relativistic generator loss needs real_logits [B], got None")
        return jnp.mean(jax.nn.softplus(_margins(real_logits, fake_logits)))

    return AdversarialLoss(discriminator, generator, needs_real=True)


def mixed(parts: Sequence[AdversarialLoss], weights: Sequence[Scalar] | Array) -> AdversarialLoss:
    """Weigh losses and sum them up, so that which one is played may be traced: weights 0 but for a 1 are that loss.

    Args:
      parts: the losses.
      weights: a number or traced scalar for each.

    Raises:
      ValueError: they are not equally many.
    """
    if len(weights) != len(parts):
        raise ValueError(f"{len(parts)} losses need as many weights, got {len(weights)}")

    def discriminator(real_logits: Logits, fake_logits: Logits) -> Array:
        return sum(
            w * part.discriminator(real_logits, fake_logits)
            for w, part in zip(weights, parts, strict=True)
        )

    def generator(real_logits: Logits | None, fake_logits: Logits) -> Array:
        return sum(
            w * part.generator(real_logits, fake_logits)
            for w, part in zip(weights, parts, strict=True)
        )

    return AdversarialLoss(discriminator, generator, any(part.needs_real for part in parts))


LOSSES: dict[str, Callable[..., AdversarialLoss]] = {
    "non_saturating": non_saturating,
    "minimax": minimax,
    "least_squares": least_squares,
    "hinge": hinge,
    "wasserstein": wasserstein,
    "relativistic": relativistic,
}
CROSS_ENTROPIES = ("non_saturating", "minimax")  # those that take smoothed labels


def _mean_critic_generator(real_logits: Logits | None, fake_logits: Logits) -> Array:
    del real_logits
    return -jnp.mean(_wide(fake_logits))


def _cross_entropy_discriminator(real_label: float, fake_label: float):
    def discriminator(real_logits: Logits, fake_logits: Logits) -> Array:
        real = _cross_entropy(_wide(real_logits), real_label)
        fake = _cross_entropy(_wide(fake_logits), fake_label)
        return jnp.mean(real) + jnp.mean(fake)

    return discriminator


def _cross_entropy(logits: Array, label: float) -> Array:
    # -label log sigmoid(l) - (1 - label) log(1 - sigmoid(l)); each softplus is linear at worst, so no log of 0.
    return label * jax.nn.softplus(-logits) + (1.0 - label) * jax.nn.softplus(logits)


def _margins(real_logits: Logits, fake_logits: Logits) -> Array:
    real, fake = _wide(real_logits), _wide(fake_logits)
    if real.shape != fake.shape:
        raise ValueError(
            f"paired logits must have equal shapes [B], got {real.shape} real and {fake.shape} fake"
        )
    return real - fake


def _wide(logits: Logits) -> Array:
    if jnp.ndim(logits) != 1:
        raise ValueError(f"logits must have shape [B], got {jnp.shape(logits)}")
    return jnp.asarray(logits, jnp.promote_types(jnp.result_type(logits), jnp.float32))


def _check_labels(real_label: float, fake_label: float) -> None:
    for name, label in (("real_label", real_label), ("fake_label", fake_label)):
        if not (math.isfinite(label) and 0.0 <= label <= 1.0):
            raise ValueError(f"{name} must lie in [0, 1], got {label}")
