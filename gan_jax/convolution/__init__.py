"""Strided convolutions that are fast on every platform: three bilinear maps, each the others' derivative."""

from gan_jax.convolution.geometry import Geometry, Lowering
from gan_jax.convolution.maps import convolve, convolve_adjoint, convolve_kernel

__all__ = ["Geometry", "Lowering", "convolve", "convolve_adjoint", "convolve_kernel"]
