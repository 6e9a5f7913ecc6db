"""Layers in Linen that are fast on every platform, one idea a file."""

from gan_jax.layers.batch_norm import BatchNorm
from gan_jax.layers.convolutional import Conv, ConvTranspose
from gan_jax.layers.dense import Dense, plain_dense
from gan_jax.layers.dropout import Dropout
from gan_jax.layers.smooth import SmoothTranspose
from gan_jax.layers.spectral import normed

__all__ = [
    "BatchNorm",
    "Conv",
    "ConvTranspose",
    "Dense",
    "Dropout",
    "SmoothTranspose",
    "normed",
    "plain_dense",
]
