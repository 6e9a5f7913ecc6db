"""Dropout whose masks are computed and not stored."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from gan_jax.types import Array, Key


class Dropout(nn.Module):
    """Set a share of the activations to zero in training and scale the others up to keep the mean.

    The mask hashes each activation's index with two random words drawn from the key, a dozen integer operations that
    fuse with what reads the mask: no mask is stored, and the backward pass computes it again. The rate is rounded to a
    multiple of 2^-32.

    Attributes:
      rate: share set to zero, in [0, 1).
    """

    rate: float

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Drop activations if `train`; otherwise return them as they are."""
        dropped = round(self.rate * 2**32)
        if not train or dropped == 0:
            return x
        bits = _hashed_bits(self.make_rng("dropout"), x.shape)
        return jnp.where(bits >= np.uint32(dropped), x * (2**32 / (2**32 - dropped)), 0)


def _hashed_bits(key: Key, shape: tuple[int, ...]) -> Array:
    first, second = jax.random.bits(key, (2,), jnp.uint32)
    index = jax.lax.iota(jnp.uint32, math.prod(shape)).reshape(shape)
    return _mix(_mix(index ^ first) + second)


def _mix(
    words: Array,
) -> Array:  # Wellons 2018, "Prospecting for Hash Functions": lowbias32, a bijection
    words = (words ^ (words >> 16)) * np.uint32(0x7FEB352D)
    words = (words ^ (words >> 15)) * np.uint32(0x846CA68B)
    return words ^ (words >> 16)
