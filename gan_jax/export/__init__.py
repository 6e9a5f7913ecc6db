"""A generator that travels: weights and layers in a folder, read without the run that made them.

    write_generator(folder, program, facts)
    generator = load_generator(folder)
    images = generator.sample(16, seed=0)

| file | for whom |
|---|---|
| generator.json, generator.safetensors | layers and weights: `load_generator`, or any reader of these formats |
| generator_numpy.py | NumPy alone: the same folder's `load()` |
| generator.stablehlo | JAX on CPU, GPU and TPU, of any batch size, and whatever else runs StableHLO |
| generator.js | a page: an ES module |
| README.md | people: what it was made of, how good it is, what it is for |

Nothing in such a folder is executed when it is loaded.
"""

from gan_jax.export.card import card
from gan_jax.export.folder import ExportError, load_generator, write_generator
from gan_jax.export.formats import javascript_module, numpy_module, stablehlo
from gan_jax.export.generator import Generator

__all__ = [
    "ExportError",
    "Generator",
    "card",
    "javascript_module",
    "load_generator",
    "numpy_module",
    "stablehlo",
    "write_generator",
]
