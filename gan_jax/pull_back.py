"""D's pass back from its logits, once for all who need it.

The loss pulls back from its slopes by the real logits, a penalty from ones. Where samples do not influence one another
the second is the first, each image's divided by its own number. So a penalty is given a D that pulls back from the
loss's slopes and scales; the compiler then finds the same pass twice, and computes it once.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from gan_jax.types import AdversarialLoss, Array, Images, LogitFn, Logits, Params


def bound(
    logits_of: Callable[[Params, Images], Logits], params: Params, seeds: Logits | None
) -> LogitFn:
    """Bind D's weights; given seeds [B], pull slopes back from them, and scale each image's to what is asked.

    Where samples do not influence one another an image's slope is that of its logit times a number, whichever it is.
    At the loss's own seeds the pass back is the loss's, which the compiler then computes once for both.
    """
    if seeds is None:
        return lambda images: logits_of(params, images)

    @jax.custom_vjp
    def logit_fn(params: Params, images: Images) -> Logits:
        return logits_of(params, images)

    def forward(params: Params, images: Images):
        logits, pull_back = jax.vjp(logits_of, params, images)
        return logits, (pull_back, pull_back(seeds)[1])

    def backward(saved, asked: Logits):
        pull_back, slopes = saved
        return pull_back(asked)[0], slopes * over_batch(asked / seeds, slopes)

    logit_fn.defvjp(forward, backward)
    return lambda images: logit_fn(params, images)


def over_batch(numbers: Array, like: Array) -> Array:
    """Lay out a number for each sample, [B] -> [B, 1, ...], beside [B, ...]."""
    return numbers.reshape(-1, *[1] * (like.ndim - 1))


def slopes_by_logit(
    loss: AdversarialLoss, real_logits: Logits, fake_logits: Logits
) -> tuple[Logits, Logits]:
    """Differentiate D's loss by its logits, [B] each; none is 0 (see `off_zero`), and no gradient passes."""
    logits = jax.lax.stop_gradient((real_logits, fake_logits))
    return jax.tree.map(off_zero, jax.grad(loss.discriminator, (0, 1))(*logits))


def off_zero(slopes: Array) -> Array:
    """Put 1e-12 where a slope is 0, as the hinge's are beyond its margin: what is scaled to others is divided by it.

    It is far below rounding in the sum of D's gradient.
    """
    tiny = jnp.where(slopes < 0.0, -1e-12, 1e-12)
    return jnp.where(jnp.abs(slopes) < 1e-12, tiny, slopes)


@jax.custom_vjp
def never_flat(logits: Logits) -> Logits:
    """Return the logits; the slopes that come back are `off_zero`."""
    return logits


never_flat.defvjp(lambda logits: (logits, None), lambda _, slopes: (off_zero(slopes),))
