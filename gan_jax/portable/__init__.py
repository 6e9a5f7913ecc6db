"""A trained network as a short list of plain layers, to be run without JAX: by NumPy, by a page's JavaScript.

    program = portable.trace(gan.generator, state.ema_params, state.generator.model_state, (gan.latent_dim,))
    images = portable.run(program, latents)

`trace` reads the program that JAX makes of a network, so a network of one's own needs nothing added: what depends on
no input is computed once, batch norms at inference fold into the kernels before them, and what depends on the class
alone becomes a table with a row for each class. What cannot be said in `layers` raises `UnsupportedError`.
"""

from gan_jax.portable.layers import Layer, Program, UnsupportedError, arrays, describe
from gan_jax.portable.numpy_interpreter import run
from gan_jax.portable.packing import pack, rounded, runtime
from gan_jax.portable.tracing import trace

__all__ = [
    "Layer",
    "Program",
    "UnsupportedError",
    "arrays",
    "describe",
    "pack",
    "rounded",
    "run",
    "runtime",
    "trace",
]
