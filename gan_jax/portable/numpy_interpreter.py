"""Run a portable network by NumPy alone: the reference for every other interpreter."""

import math
from collections.abc import Callable

import numpy as np

from gan_jax.portable.layers import Layer, Program

_erf = np.vectorize(math.erf, otypes=[np.float32])
UNARY: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "relu": lambda x: np.maximum(x, 0),
    "tanh": np.tanh,
    "logistic": lambda x: 0.5 * (1 + np.tanh(x / 2)),
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "erf": _erf,
    "sqrt": np.sqrt,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "abs": np.abs,
    "sin": np.sin,
    "cos": np.cos,
}
BINARY: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": np.divide,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "greater": np.greater,
    "greater_equal": np.greater_equal,
    "less": np.less,
    "less_equal": np.less_equal,
    "equal": np.equal,
}


def run(program: Program, inputs: np.ndarray, labels: np.ndarray | None = None) -> np.ndarray:
    """Compute a network's output.

    Args:
      program: the network.
      inputs: f32[B, *program.input_shape].
      labels: i32[B], the classes, if the program knows any.

    Returns:
      f32[B, *program.output_shape].

    Raises:
      ValueError: the inputs have another shape, or labels are missing, superfluous or not among the classes.
    """
    inputs = np.asarray(inputs, np.float32)
    if inputs.shape[1:] != program.input_shape:
        raise ValueError(f"inputs must be [B, *{program.input_shape}], got {inputs.shape}")
    if (labels is None) != (program.num_classes is None):
        raise ValueError(f"the network knows {program.num_classes} classes: got labels {labels}")
    if labels is not None:
        labels = np.asarray(labels)
        if not np.all((labels >= 0) & (labels < program.num_classes)):
            raise ValueError(f"labels must be 0..{program.num_classes - 1}, got {labels}")
    values: list[np.ndarray] = []
    for layer in program.layers:
        given = [values[place] for place in layer.of]
        values.append(_apply(layer, given, inputs, labels).astype(np.float32))
    return values[-1]


def _apply(
    layer: Layer, given: list[np.ndarray], inputs: np.ndarray, labels: np.ndarray | None
) -> np.ndarray:
    if layer.op == "input":
        return inputs
    if layer.op == "embedding":
        return layer.arrays["table"][labels]
    if layer.op == "constant":
        return np.broadcast_to(layer.arrays["value"], (len(inputs), *layer.shape))
    if layer.op in UNARY:
        return UNARY[layer.op](*given)
    if layer.op in BINARY:
        return BINARY[layer.op](*given)
    return OTHERS[layer.op](layer, *given)


def _convolve(layer: Layer, x: np.ndarray) -> np.ndarray:
    kernel, strides = layer.arrays["kernel"], layer.settings["strides"]
    x = _padded(_spread(x, layer.settings["dilation"]), layer.settings["padding"])
    height, width, channels = layer.shape
    result = np.zeros((len(x), height, width, channels), np.float32)
    for row in range(kernel.shape[0]):
        for column in range(kernel.shape[1]):
            rows = slice(row, row + strides[0] * height, strides[0])
            columns = slice(column, column + strides[1] * width, strides[1])
            result += x[:, rows, columns][:, :height, :width] @ kernel[row, column]
    return result + layer.arrays["bias"]


def _spread(x: np.ndarray, dilation: list[int]) -> np.ndarray:
    num, height, width, channels = x.shape
    size = (num, (height - 1) * dilation[0] + 1, (width - 1) * dilation[1] + 1, channels)
    result = np.zeros(size, np.float32)
    result[:, :: dilation[0], :: dilation[1]] = x
    return result


def _padded(x: np.ndarray, padding: list[list[int]]) -> np.ndarray:
    """Add zeros around images, or cut where the padding is negative."""
    for axis, (low, high) in enumerate(padding, start=1):
        widths = [(0, 0)] * x.ndim
        widths[axis] = (max(low, 0), max(high, 0))
        x = np.pad(x, widths)
        x = x.take(range(max(-low, 0), x.shape[axis] - max(-high, 0)), axis)
    return x


def _slice(layer: Layer, x: np.ndarray) -> np.ndarray:
    cuts = zip(*(layer.settings[key] for key in ("start", "stop", "step")), strict=True)
    return x[(slice(None), *(slice(*cut) for cut in cuts))]


def _pad(layer: Layer, x: np.ndarray) -> np.ndarray:
    widths = zip(layer.settings["low"], layer.settings["high"], strict=True)
    return np.pad(x, ((0, 0), *widths))


def _transpose(layer: Layer, x: np.ndarray) -> np.ndarray:
    return x.transpose(0, *(axis + 1 for axis in layer.settings["axes"]))


def _concatenate(layer: Layer, *parts: np.ndarray) -> np.ndarray:
    return np.concatenate(parts, layer.settings["axis"] + 1)


def _reduce(layer: Layer, x: np.ndarray) -> np.ndarray:
    reduce = {"sum": np.sum, "max": np.max, "min": np.min}[layer.settings["kind"]]
    axes = tuple(axis + 1 for axis in layer.settings["axes"])
    return reduce(x, axis=axes, keepdims=True)


def _leaky_relu(layer: Layer, x: np.ndarray) -> np.ndarray:
    return np.where(x >= 0, x, layer.settings["slope"] * x)


OTHERS: dict[str, Callable[..., np.ndarray]] = {
    "dense": lambda layer, x: x @ layer.arrays["kernel"] + layer.arrays["bias"],
    "conv": _convolve,
    "affine": lambda layer, x: x * layer.arrays["scale"] + layer.arrays["shift"],
    "leaky_relu": _leaky_relu,
    "power": lambda layer, x: x ** layer.settings["exponent"],
    "reshape": lambda layer, x: x.reshape(-1, *layer.shape),
    "broadcast": lambda layer, x: np.broadcast_to(x, (len(x), *layer.shape)),
    "transpose": _transpose,
    "concatenate": _concatenate,
    "slice": _slice,
    "pad": _pad,
    "reduce": _reduce,
    "select": lambda layer, condition, no, yes: np.where(condition != 0, yes, no),
}
