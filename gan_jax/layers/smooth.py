"""A transposed convolution that cannot draw a checkerboard."""

import jax.numpy as jnp
from jax import lax

from gan_jax.layers.convolutional import ConvTranspose
from gan_jax.types import Array


class SmoothTranspose(ConvTranspose):
    """`ConvTranspose`, then a mean over neighbours, 1 : 2 : 1 down and across.

    The mean has a zero at the frequency of a checkerboard, whose pixels alternate: none can be drawn, whatever the
    kernel. The filter is the binomial one of StyleGAN's resampling (Karras et al. 2019, section 2, arXiv:1812.04948).
    """

    def __call__(self, x: Array) -> Array:
        """Upsample a batch of images [B, H, W, C]."""
        return _mean_of_neighbours(_mean_of_neighbours(super().__call__(x), 1), 2)


def _mean_of_neighbours(x: Array, axis: int) -> Array:
    size = x.shape[axis]
    first, last = (lax.slice_in_dim(x, i, i + 1, axis=axis) for i in (0, size - 1))
    padded = jnp.concatenate([first, x, last], axis)
    before, here, after = (lax.slice_in_dim(padded, i, i + size, axis=axis) for i in (0, 1, 2))
    return 0.25 * (before + after) + 0.5 * here
