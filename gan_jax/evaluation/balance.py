"""Balance: between the two players, from D's logits, and between classes, from a classifier's answers.

A GAN trains while neither player wins. Two numbers are watched on held-out data: dis_acc, how well D tells
real from generated, and gan_acc, how far G deceives D. Both are 0.5 when D cannot tell.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from gan_jax.evaluation.checks import as_probabilities
from gan_jax.evaluation.coverage import histogram_kl
from gan_jax.types import Array, Logits

# A player leads clearly from here. Trained towards targets of 0.9 and 0.1, a D that separates perfectly
# shows dis_acc = 0.9 and gan_acc = 0.1: the limits lie inside, so that they are reached with such targets too.
LEAD = 0.85
# D overfits clearly from here, as a share of the way from training to generated images' logits.
OVERFIT = 0.5
# Logits: a lead of training images that is smaller is noise of a D that sees no difference between any images.
LEAST_LEAD = 0.1
# A classifier is sure of a sample from here.
SURE = 0.9


class ClassBalance(NamedTuple):
    """How generated samples spread over classes.

    Attributes:
      counts: int64[num_classes].
      kl: KL(share of each class || reference), in nats.
    """

    counts: np.ndarray
    kl: float


def gan_acc(fake_logits: Logits) -> Array:
    """Return how far G deceives D: mean sigmoid(D(G(z))).

    Args:
      fake_logits: [B], D's logits on generated images, with latents from the distribution G is trained on.

    Returns:
      f32[] in [0, 1]: 0 if D rejects every image with certainty, 0.5 if it cannot tell, 1 if it accepts all.

    Raises:
      ValueError: if the logits are not [B].
    """
    _check_logits("fake_logits", fake_logits)
    return jnp.mean(jax.nn.sigmoid(fake_logits))


def dis_acc(real_logits: Logits, fake_logits: Logits) -> Array:
    """Return how well D tells real from generated: (mean sigmoid(real) + 1 - mean sigmoid(fake)) / 2.

    Args:
      real_logits: [B], D's logits on real images, best on ones it was not trained on.
      fake_logits: [B'], D's logits on generated images.

    Returns:
      f32[] in [0, 1]: 1 if D is right with certainty, 0.5 if it cannot tell.

    Raises:
      ValueError: if the logits are not [B].
    """
    _check_logits("real_logits", real_logits)
    return (jnp.mean(jax.nn.sigmoid(real_logits)) + 1 - gan_acc(fake_logits)) / 2


def balance_warning(dis_acc: float, gan_acc: float) -> str | None:
    """Say in words when one player is winning.

    D is winning if dis_acc >= 0.85 and gan_acc <= 0.15. G is winning if gan_acc >= 0.85 (dis_acc is then at
    most 0.575). A short lead is normal, early on above all; one that lasts for epochs is not.

    Args:
      dis_acc: as the function of that name.
      gan_acc: as the function of that name.

    Returns:
      A sentence with the numbers and remedies, or None while the game is open.
    """
    dis_acc, gan_acc = float(dis_acc), float(gan_acc)
    numbers = f"dis_acc {dis_acc:.2f}, gan_acc {gan_acc:.2f}"
    if not (math.isfinite(dis_acc) and math.isfinite(gan_acc)):
        return (
            f"D's outputs are not finite ({numbers}): training has diverged. Go back to an earlier "
            "checkpoint; lower the learning rates."
        )
    if dis_acc >= LEAD and gan_acc <= 1 - LEAD:
        return (
            f"D is winning: it tells real from generated ({numbers}), so G gets little to learn from. "
            "If it lasts: lower D's learning rate, add R1 or dropout to D, or give G the non-saturating loss."
        )
    if gan_acc >= LEAD:
        return (
            f"G is winning: D takes generated images for real ({numbers}), so its gradient misleads G. "
            "If it lasts: raise D's learning rate or its steps per step of G, or weaken D's dropout or R1."
        )
    return None


def overfitting_warning(train: float, unseen: float, fake: float) -> str | None:
    """Say in words when D knows its training images by heart.

    The heuristic r_v = (train - unseen) / (train - fake) is 0 for a D that takes unseen images for training images, and
    1 for one that takes them for generated ones. D overfits clearly from 0.5 on, unless training images lead by less
    than a tenth.

    Args:
      train: mean logit of training images.
      unseen: mean logit of real images that D was not trained on.
      fake: mean logit of generated images.

    Returns:
      A sentence with the numbers and remedies, or None.

    Reference: Karras et al. 2020, equation 1, arXiv:2006.06676.
    """
    lead = train - unseen
    if not lead >= LEAST_LEAD or not train > fake or lead < OVERFIT * (train - fake):
        return None
    return (
        f"D overfits: mean logits of training images {train:.2f}, unseen ones {unseen:.2f}, generated ones {fake:.2f}: "
        "it teaches G which images it has seen. If it lasts: --augment=translation, more R1, a smaller D, fewer steps."
    )


def class_balance(
    labels_pred: ArrayLike, num_classes: int, *, reference: ArrayLike | None = None
) -> ClassBalance:
    """Count the classes that a classifier sees in generated samples.

    Args:
      labels_pred: int[N], N >= 1, in [0, num_classes).
      num_classes: how many there are.
      reference: [num_classes], true frequencies up to a factor; None for uniform.

    Returns:
      The counts and their KL to the reference; a perfect sampler's KL is about (num_classes - 1) / (2 N).

    Raises:
      ValueError: if the labels are not integers [N] in range, or there are none.
    """
    labels = np.asarray(labels_pred)
    if labels.ndim != 1 or labels.size == 0 or labels.dtype.kind not in "iu":
        raise ValueError(f"labels_pred must be int[N], N >= 1, got {labels.dtype} {labels.shape}")
    if labels.min() < 0 or labels.max() >= num_classes:
        limits = f"{labels.min()} to {labels.max()}"
        raise ValueError(f"labels_pred must lie in [0, {num_classes}), got {limits}")
    counts = np.bincount(labels, minlength=num_classes)
    return ClassBalance(
        counts, histogram_kl(counts, np.ones(num_classes) if reference is None else reference)
    )


def classifier_score(class_probabilities: ArrayLike) -> float:
    """Return exp(mean KL(p(y|x) || p(y))): the Inception-score formula, for any classifier.

    High if each sample is surely of one class and all classes occur. It does not see copies, collapse within
    a class, or anything the classifier ignores. Computed on all samples at once, not averaged over ten parts.

    Args:
      class_probabilities: [N, K].

    Returns:
      In [1, K].

    Raises:
      ValueError: if the shape differs or the rows are no probabilities.

    Reference: Salimans et al., 2016, section 4, arXiv:1606.03498.
    """
    p = as_probabilities("class_probabilities", class_probabilities, ndim=2)
    marginal = p.mean(axis=0)
    # A class with p(y|x) = 0 adds 0; where p(y|x) > 0, p(y) > 0 too.
    ratio = np.divide(p, marginal, out=np.ones_like(p), where=p > 0)
    return float(np.exp(np.sum(p * np.log(ratio), axis=1).mean()))


def unsure(class_probabilities: ArrayLike, sure: float = SURE) -> np.ndarray:
    """Say of each sample whether a classifier is unsure of it: no class has the probability `sure`.

    A network is sure of much that is no digit, so a low share proves little; a high one says that digits are broken.

    Args:
      class_probabilities: [..., K].
      sure: what its greatest must reach.

    Returns:
      bool[...].
    """
    return np.asarray(class_probabilities).max(axis=-1) < sure


def _check_logits(name: str, logits: Logits) -> None:
    if jnp.ndim(logits) != 1:
        raise ValueError(f"{name} must have shape [B], got {jnp.shape(logits)}")
