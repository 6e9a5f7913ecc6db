"""Operations on arrays that depend on no input, computed at once: in NumPy where that is quick, else by JAX."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

Settings = dict[str, Any]


def _broadcast(settings: Settings, x: np.ndarray) -> np.ndarray:
    sizes = [1] * len(settings["shape"])
    for axis, place in enumerate(settings["broadcast_dimensions"]):
        sizes[place] = x.shape[axis]
    return np.broadcast_to(x.reshape(sizes), settings["shape"])


QUICK: dict[str, Callable[..., np.ndarray]] = {
    "add": lambda settings, x, y: x + y,
    "sub": lambda settings, x, y: x - y,
    "mul": lambda settings, x, y: x * y,
    "sqrt": lambda settings, x: np.sqrt(x),
    "rsqrt": lambda settings, x: 1 / np.sqrt(x),
    "reshape": lambda settings, x: x.reshape(settings["new_sizes"]),
    "transpose": lambda settings, x: x.transpose(settings["permutation"]),
    "rev": lambda settings, x: np.flip(x, tuple(settings["dimensions"])),
    "broadcast_in_dim": _broadcast,
}


def compute(primitive: Any, inputs: list[np.ndarray], settings: Settings) -> list[np.ndarray]:
    """Apply a JAX primitive to arrays; return its results."""
    quick = QUICK.get(primitive.name)
    if quick is not None and all(array.dtype == np.float32 for array in inputs):
        return [quick(settings, *inputs)]
    results = primitive.bind(*inputs, **settings)
    several = results if primitive.multiple_results else [results]
    return [np.asarray(jax.device_get(result)) for result in several]
