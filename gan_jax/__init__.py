"""Generative adversarial networks as a handful of pure functions over one pytree.

A `GAN` (types) bundles two `Network`s (networks, models), their optimizers and an `AdversarialLoss`
(losses), perhaps with gradient penalties (penalties). `steps` turns it into update rules on a `GANState`
and scans them; `sampling` draws images from a state; `population` trains many seeds at once; `parallel`
spreads one over many devices; `evaluation` measures the result. `data`, `plots` and `checkpoint` are the
edges where files are touched. A whole training run is a function of (configuration, data, key).
"""

import importlib

__version__ = "0.1.0"

__all__ = [  # in reading order
    "types",
    "losses",
    "penalties",
    "layers",
    "networks",
    "models",
    "steps",
    "sampling",
    "population",
    "parallel",
    "evaluation",
    "data",
    "plots",
    "checkpoint",
]


def __getattr__(name: str):  # sub-modules load on first use, so `import gan_jax` costs nothing
    if name in __all__:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
