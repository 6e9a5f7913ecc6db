"""Batch norm with its gradient written out: two sums back instead of three, and each from a stored array."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

from gan_jax.layers.sums import along, channel_sums
from gan_jax.types import Array


class BatchNorm(nn.Module):
    """Normalise each channel to mean 0 and spread 1 over the batch, then scale and shift it.

    Parameters ("scale", "bias") and statistics ("mean", "var" in "batch_stats") are those of Flax's `BatchNorm`, and so
    are the numbers, but for rounding. Statistics are float32 at least.

    Attributes:
      use_running_average: whether to normalise by the running statistics, as in inference.
      axis: of the channels, 0 or -1.
      momentum: share of the running statistics that a training pass keeps.
      epsilon: added to the variance.
      dtype: type of the result; None takes that of the input.

    Reference: Ioffe and Szegedy 2015, algorithm 1, arXiv:1502.03167.
    """

    use_running_average: bool
    axis: int = -1
    momentum: float = 0.99
    epsilon: float = 1e-5
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Normalise a batch, [..., C] or [C, ...]."""
        channels = (x.shape[self.axis],)
        scale = self.param("scale", nn.initializers.ones, channels)
        bias = self.param("bias", nn.initializers.zeros, channels)
        running = [
            self.variable("batch_stats", "mean", lambda: jnp.zeros(channels, jnp.float32)),
            self.variable("batch_stats", "var", lambda: jnp.ones(channels, jnp.float32)),
        ]
        dtype = self.dtype or x.dtype
        x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        if self.use_running_average:
            mean, var = (variable.value for variable in running)
            return _scaled(x, mean, var, scale, bias, self.epsilon, self.axis).astype(dtype)
        y, found = normalize(x, scale, bias, self.epsilon, self.axis)
        if not self.is_initializing():
            for variable, value in zip(running, found, strict=True):
                kept = self.momentum * variable.value
                variable.value = kept + (1 - self.momentum) * value
        return y.astype(dtype)


Statistics = tuple[Array, Array]  # means and variances, [C] each


@partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def normalize(
    x: Array, scale: Array, bias: Array, epsilon: float, axis: int
) -> tuple[Array, Statistics]:
    """Normalise x by its own statistics: the result, and (means, variances)."""
    mean = channel_sums(x, axis) / (x.size // scale.size)
    squares = channel_sums(x * x, axis) / (x.size // scale.size)
    var = jnp.maximum(0.0, squares - mean**2)  # rounding may take it below 0
    return _scaled(x, mean, var, scale, bias, epsilon, axis), (mean, var)


def _forward(x: Array, scale: Array, bias: Array, epsilon: float, axis: int):
    y, statistics = normalize(x, scale, bias, epsilon, axis)
    return (y, statistics), (x, scale, *statistics)


def _backward(epsilon: float, axis: int, saved, cotangents):
    x, scale, mean, var = saved
    dy, (dmean, dvar) = cotangents
    share = scale.size / x.size
    inverse = lax.rsqrt(var + epsilon)
    dbias = channel_sums(dy, axis)
    # sum(dy (x - mean)) without another array: the means of x and dy are known
    dscale = (channel_sums(dy * x, axis) - mean * dbias) * inverse
    slope = scale * inverse
    tilt = share * (slope * inverse * dscale - 2.0 * dvar)
    shift = tilt * mean + share * (dmean - slope * dbias)
    lay = partial(along, like=x, axis=axis)
    return lay(slope) * dy - lay(tilt) * x + lay(shift), dscale, dbias


normalize.defvjp(_forward, _backward)


def _scaled(
    x: Array, mean: Array, var: Array, scale: Array, bias: Array, epsilon: float, axis: int
) -> Array:
    slope = lax.rsqrt(var + epsilon) * scale
    lay = partial(along, like=x, axis=axis)
    return (x - lay(mean)) * lay(slope) + lay(bias)
