"""Gradient penalties: how steep the discriminator is, per sample.

Each has the signature of `types.PenaltyFn`, `(logit_fn, real, fake, *, key) -> [B]`: a discriminator with all but the
images bound, real and generated images, and a key for the points between them. `weighted` multiplies by the weight and
takes the mean. Norms are summed over pixels and channels. `PENALTIES` names them: a function added to it is a flag of
every training program.
"""

import jax
import jax.numpy as jnp

from gan_jax.types import Array, Images, Key, LogitFn, Penalty, PenaltyFn


def r1_penalty(logit_fn: LogitFn, real: Images, fake: Images, *, key: Key) -> Array:
    """Penalise slope at real images: 1/2 |grad D(x)|^2.

    Args:
      logit_fn: images [B, ...] -> logits [B].
      real: [B, ...] in [-1, 1].
      fake: not looked at.
      key: not used.

    Returns:
      f32[B], to be weighted by gamma (the convention gamma/2 |grad|^2).

    Raises:
      ValueError: `logit_fn` does not return one logit per image.

    Reference: Mescheder et al. 2018, equation 9, arXiv:1801.04406.
    """
    del fake, key  # R1 is a statement about the data alone
    return 0.5 * _squared_slopes(logit_fn, real)


def r2_penalty(logit_fn: LogitFn, real: Images, fake: Images, *, key: Key) -> Array:
    """Penalise slope at generated images: 1/2 |grad D(G(z))|^2.

    Arguments, result and errors are those of `r1_penalty`, with real and generated images in each other's place.

    Reference: Mescheder et al. 2018, equation 10, arXiv:1801.04406.
    """
    del real, key  # R2 is a statement about G's images alone
    return 0.5 * _squared_slopes(logit_fn, fake)


def gradient_penalty(logit_fn: LogitFn, real: Images, fake: Images, *, key: Key) -> Array:
    """Ask for slope one between real and generated images: (|grad D(mix)| - 1)^2.

    mix = real + alpha (fake - real), alpha uniform in [0, 1), one for each sample.

    Args:
      logit_fn: images [B, ...] -> logits [B].
      real: [B, ...].
      fake: [B, ...].
      key: draws alpha.

    Returns:
      f32[B], to be weighted by lambda (10 in the paper).

    Raises:
      ValueError: the two batches differ in shape, or `logit_fn` does not return one logit per image.

    Reference: Gulrajani et al. 2017, equation 3, arXiv:1704.00028.
    """
    if real.shape != fake.shape:
        raise ValueError(
            "real and fake images must have the same shape to be mixed, "
            f"got {real.shape} and {fake.shape}"
        )
    mixed = real + _alphas(key, real) * (fake - real)
    return _squared_distance_to_unit_slope(logit_fn, mixed)


def dragan_penalty(logit_fn: LogitFn, real: Images, fake: Images, *, key: Key) -> Array:
    """Ask for slope one around the real images: (|grad D(x + alpha noise)| - 1)^2.

    noise = 1/2 std(x) U(0, 1) for each pixel, std over the whole batch; alpha uniform in [0, 1), one for each
    sample. This is the convention of the authors' code, not the Gaussian noise of the paper's text.

    Args:
      logit_fn: images [B, ...] -> logits [B].
      real: [B, ...].
      fake: not looked at.
      key: draws noise and alpha.

    Returns:
      f32[B], to be weighted by lambda (10 in the paper).

    Raises:
      ValueError: `logit_fn` does not return one logit per image.

    Reference: Kodali et al. 2017, section 2.3, arXiv:1705.07215.
    """
    del fake  # the slope is asked for around the data alone
    noise_key, alpha_key = jax.random.split(key)
    uniform = jax.random.uniform(noise_key, real.shape, real.dtype)
    noise = 0.5 * jnp.std(real) * uniform
    noisy = real + _alphas(alpha_key, real) * noise
    return _squared_distance_to_unit_slope(logit_fn, noisy)


PENALTIES: dict[str, PenaltyFn] = {  # by the name of the weight, as papers call it
    "r1_gamma": r1_penalty,
    "r2_gamma": r2_penalty,
    "gp_weight": gradient_penalty,
    "dragan_weight": dragan_penalty,
}


def weighted(penalty: Penalty, logit_fn: LogitFn, real: Images, fake: Images, *, key: Key) -> Array:
    """Compute a penalty's share of D's objective, f32[]: its weight times its mean over the batch."""
    return penalty.weight * jnp.mean(penalty.function(logit_fn, real, fake, key=key))


def _squared_distance_to_unit_slope(logit_fn: LogitFn, images: Images) -> Array:
    squared = _squared_slopes(logit_fn, images)
    flat = (
        squared == 0.0
    )  # sqrt has no derivative at 0: where D is flat, take slope 0 and gradient 0
    slopes = jnp.where(flat, 0.0, jnp.sqrt(jnp.where(flat, 1.0, squared)))
    return (slopes - 1.0) ** 2


def _squared_slopes(logit_fn: LogitFn, images: Images) -> Array:
    logits, pull_back = jax.vjp(logit_fn, images)
    if logits.shape != images.shape[:1]:
        raise ValueError(
            f"logit_fn must return one logit per image, shape {images.shape[:1]}, got {logits.shape}"
        )
    (slopes,) = pull_back(jnp.ones_like(logits))
    slopes = slopes.astype(jnp.promote_types(slopes.dtype, jnp.float32))
    return jnp.sum(slopes**2, axis=tuple(range(1, slopes.ndim)))


def _alphas(key: Key, images: Images) -> Array:
    shape = (images.shape[0],) + (1,) * (images.ndim - 1)
    return jax.random.uniform(key, shape, images.dtype)
