"""Spectral norm around a layer."""

from collections.abc import Callable
from functools import partial

from flax import linen as nn

from gan_jax.types import Array


def normed(layer: nn.Module, *, on: bool, train: bool) -> Callable[[Array], Array]:
    """Divide a layer's kernel by an estimate of its largest singular value, if that is asked for.

    The estimate is one step of the power method in each training pass, from where the last one ended; its vectors are
    the module's model state. Parameters keep their names.

    Args:
      layer: with parameters of its own.
      on: whether to divide.
      train: whether to renew the estimate.

    Reference: Miyato et al. 2018, section 2.1 and appendix A, arXiv:1802.05957.
    """
    if not on:
        return layer
    return partial(nn.SpectralNorm(layer, name=f"{layer.name}_spectrum"), update_stats=train)
