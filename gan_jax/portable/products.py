"""How matrix products and convolutions with known kernels become dense and conv layers."""

from typing import Any

import numpy as np

from gan_jax.portable.layers import UnsupportedError
from gan_jax.portable.values import Known, Layers, Symbol, Value, inverse


def multiply_matrices(
    layers: Layers, given: list[Value], settings: dict[str, Any], shape: tuple[int, ...]
) -> Symbol:
    """Turn JAX's dot_general of a symbol and a known array, in either order, into a dense layer.

    Raises:
      UnsupportedError: both depend on the input, or the product runs over the batch.
    """
    contracted, batched = settings["dimension_numbers"]
    symbol_first = isinstance(given[0], Symbol)
    symbol, known = given if symbol_first else given[::-1]
    of_symbol, of_known = contracted if symbol_first else contracted[::-1]
    if isinstance(known, Symbol) or known.by_class or batched[0]:
        raise UnsupportedError("a product of two values that depend on the input")
    if symbol.batch_axis in of_symbol:
        raise UnsupportedError("samples of a batch are mixed by a product")
    left = [axis for axis in range(len(symbol.axes)) if axis not in of_symbol]
    batch = left.index(symbol.batch_axis)
    kept = [axis for axis in left if axis != symbol.batch_axis]
    layer = layers.straighten(symbol, (symbol.batch_axis, *kept, *of_symbol))
    kernel = np.moveaxis(known.array, of_known, range(len(of_known)))
    outputs = kernel.shape[len(of_known) :]
    kernel = kernel.reshape(-1, int(np.prod(outputs, dtype=int)))
    before = layers.layers[layer].shape[: len(kept)]
    layer = layers.reshape(layer, (*before, kernel.shape[0]))
    arrays = {"kernel": kernel, "bias": np.zeros(kernel.shape[1])}
    layer = layers.emit("dense", (layer,), (*before, kernel.shape[1]), arrays=arrays)
    layer = layers.reshape(layer, (*before, *outputs))
    # The layer's axes are batch, kept, outputs; JAX's are those of its first operand, then of its second.
    of_left = {batch: 0}
    of_left |= {i: kept.index(axis) + 1 for i, axis in enumerate(left) if axis in kept}
    first = tuple(of_left[i] for i in range(len(left)))
    second = tuple(range(len(left), len(shape)))
    return Symbol(layer, first + second if symbol_first else second + first)


def convolve(
    layers: Layers, given: list[Value], settings: dict[str, Any], shape: tuple[int, ...]
) -> Symbol:
    """Turn JAX's convolution with a known kernel into a conv layer.

    Raises:
      UnsupportedError: it is not of two dimensions, in one group, with a dense kernel.
    """
    symbol, kernel = given
    numbers = settings["dimension_numbers"]
    plain = settings["feature_group_count"] == settings["batch_group_count"] == 1
    if isinstance(symbol, Known) or isinstance(kernel, Symbol) or kernel.by_class:
        raise UnsupportedError("a convolution whose kernel depends on the input")
    if not plain or len(shape) != 4 or any(n != 1 for n in settings["rhs_dilation"]):
        raise UnsupportedError("a convolution in groups, with a dilated kernel, or not of images")
    image, output, of_kernel = numbers.lhs_spec, numbers.out_spec, numbers.rhs_spec
    layer = layers.straighten(symbol, (image[0], *image[2:], image[1]))
    weights = kernel.array.transpose(*of_kernel[2:], of_kernel[1], of_kernel[0])
    order = (output[0], *output[2:], output[1])
    geometry = {
        "strides": [int(n) for n in settings["window_strides"]],
        "dilation": [int(n) for n in settings["lhs_dilation"]],
        "padding": [[int(low), int(high)] for low, high in settings["padding"]],
    }
    sample = tuple(shape[axis] for axis in order[1:])
    arrays = {"kernel": weights, "bias": np.zeros(weights.shape[3])}
    return Symbol(layers.emit("conv", (layer,), sample, geometry, arrays), inverse(order))
