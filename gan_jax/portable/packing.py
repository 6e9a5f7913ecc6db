"""A portable network as one JSON value, weights included: what runtime.js loads."""

import base64
from importlib import resources
from typing import Any

import numpy as np

from gan_jax.portable.layers import Program, arrays, describe

SMALLEST_HALF, LARGEST_HALF = 6.2e-5, 65504.0  # the normal numbers of float16


def pack(program: Program) -> dict[str, Any]:
    """Say a network in what JSON can hold.

    Weights are rounded to float16, of 11 binary digits; an array all of whose numbers are too small for it, or one of
    whose numbers is too large, stays float32.

    Returns:
      `describe(program)` with "arrays": name -> {"shape", "type", "start": byte}, and "weights": base64 of all arrays,
      little-endian, rows first.
    """
    places, parts, start = {}, [], 0
    for name, array in arrays(program).items():
        kind = "float16" if _fits_half(array) else "float32"
        parts.append(array.astype(np.dtype(kind).newbyteorder("<")).tobytes())
        places[name] = {"shape": list(array.shape), "type": kind, "start": start}
        start += len(parts[-1])
    weights = base64.b64encode(b"".join(parts)).decode()
    return {**describe(program), "arrays": places, "weights": weights}


def _fits_half(array: np.ndarray) -> bool:
    greatest = float(np.abs(array).max(initial=0.0))
    return greatest == 0 or SMALLEST_HALF <= greatest <= LARGEST_HALF


def rounded(program: Program) -> Program:
    """Round a network's weights as `pack` does."""
    return program._replace(
        layers=tuple(
            layer._replace(arrays={role: _rounded(array) for role, array in layer.arrays.items()})
            for layer in program.layers
        )
    )


def _rounded(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float16).astype(np.float32) if _fits_half(array) else array


def runtime() -> str:
    """Give the JavaScript that loads and runs a packed network: it defines `ganJax`, with `ganJax.load(packed)`."""
    return resources.files("gan_jax.portable").joinpath("runtime.js").read_text(encoding="utf-8")
