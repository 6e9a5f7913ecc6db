"""How each primitive of JAX becomes layers, where at least one of its operands depends on the input.

A rule is `(layers, given, settings, shape) -> Symbol`: the values it is given, the primitive's own settings, and the
shape of JAX's result.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from gan_jax.portable.layers import UnsupportedError
from gan_jax.portable.products import convolve, multiply_matrices
from gan_jax.portable.values import Known, Layers, Symbol, Value, inverse

Settings = dict[str, Any]
Shape = tuple[int, ...]
Rule = Callable[[Layers, list[Value], Settings, Shape], Symbol]


def _layout(layers: Layers, given: list[Value], shape: Shape) -> tuple[Shape, Shape]:
    """Give the axes of the symbols among the values, and the shape of a result laid out so."""
    axes = next(value.axes for value in given if isinstance(value, Symbol))
    turned = [shape[axis] for axis in inverse(axes)]
    return axes, tuple(turned[1:])


def _unary(op: str, layers: Layers, given: list[Value], settings: Settings, shape: Shape) -> Symbol:
    del settings
    axes, sample = _layout(layers, given, shape)
    return Symbol(layers.emit(op, (given[0].layer,), sample), axes)


def _power(layers: Layers, given: list[Value], settings: Settings, shape: Shape) -> Symbol:
    axes, sample = _layout(layers, given, shape)
    exponent = settings["y"] if "y" in settings else _scalar(given[1])
    layer = layers.emit("power", (given[0].layer,), sample, {"exponent": float(exponent)})
    return Symbol(layer, axes)


def _scalar(value: Value) -> float:
    if isinstance(value, Known) and value.array.size == 1:
        return float(value.array.reshape(()))
    raise UnsupportedError("a power whose exponent is no number")


def _binary(
    op: str, layers: Layers, given: list[Value], settings: Settings, shape: Shape
) -> Symbol:
    del settings
    axes, sample = _layout(layers, given, shape)
    places = tuple(layers.place(value, axes, sample) for value in given)
    return Symbol(layers.emit(op, places, sample), axes)


def _affine(
    op: str, layers: Layers, given: list[Value], settings: Settings, shape: Shape
) -> Symbol:
    """Add, subtract, multiply or divide by a constant; by another value in `_binary`."""
    axes, sample = _layout(layers, given, shape)
    first, second = given
    symbol, known = (first, second) if isinstance(first, Symbol) else (second, first)
    constant = layers.constant(known, axes) if isinstance(known, Known) else None
    if constant is None or (op == "divide" and symbol is second):
        return _binary(op, layers, given, settings, shape)
    one, zero = np.ones_like(constant), np.zeros_like(constant)
    scale, shift = {
        "add": (one, constant),
        "subtract": (one, -constant) if symbol is first else (-one, constant),
        "multiply": (constant, zero),
        "divide": (1 / constant if op == "divide" else one, zero),
    }[op]
    layer = layers.broadcast(symbol.layer, sample)
    arrays = {"scale": scale, "shift": shift}
    return Symbol(layers.emit("affine", (layer,), sample, arrays=arrays), axes)


def _maximum(layers: Layers, given: list[Value], settings: Settings, shape: Shape) -> Symbol:
    for value, other in (given, given[::-1]):
        if isinstance(value, Known) and not value.by_class and not value.array.any():
            return _unary("relu", layers, [other], settings, shape)
    return _binary("maximum", layers, given, settings, shape)


def _clamp(layers: Layers, given: list[Value], settings: Settings, shape: Shape) -> Symbol:
    low, x, high = given
    raised = _binary("maximum", layers, [x, low], settings, shape)
    return _binary("minimum", layers, [raised, high], settings, shape)


def _negate(layers: Layers, given: list[Value], settings: Settings, shape: Shape) -> Symbol:
    minus_one = Known(np.asarray(-1, np.float32))
    return _affine("multiply", layers, [given[0], minus_one], settings, shape)


def _square(layers: Layers, given: list[Value], settings: Settings, shape: Shape) -> Symbol:
    return _power(layers, given, settings | {"y": 2}, shape)


def _select(layers: Layers, given: list[Value], settings: Settings, shape: Shape) -> Symbol:
    if len(given) != 3:
        raise UnsupportedError("a choice between more than two values")
    return _binary("select", layers, given, settings, shape)


def _reshape(layers: Layers, given: list[Value], settings: Settings, shape: Shape) -> Symbol:
    del settings
    symbol = given[0]
    before = layers.shape(symbol)
    straight = layers.straighten(symbol, tuple(range(len(before))))
    samples = np.prod(before[1:], dtype=int)
    if not shape or samples != np.prod(shape[1:], dtype=int):
        raise UnsupportedError("a reshape that mixes the samples of a batch")
    return Symbol(layers.reshape(straight, shape[1:]), tuple(range(len(shape))))


def _squeeze(layers: Layers, given: list[Value], settings: Settings, shape: Shape) -> Symbol:
    kept = [axis for axis in range(len(given[0].axes)) if axis not in settings["dimensions"]]
    order = (
        given[0].batch_axis,
        *(a for a in range(len(given[0].axes)) if a != given[0].batch_axis),
    )
    straight = layers.straighten(given[0], order)
    batch = kept.index(given[0].batch_axis)
    others = [axis for axis in range(len(shape)) if axis != batch]
    layer = layers.reshape(straight, tuple(shape[axis] for axis in others))
    return Symbol(layer, inverse((batch, *others)))


def _transpose(layers: Layers, given: list[Value], settings: Settings, shape: Shape) -> Symbol:
    del layers, shape
    axes = given[0].axes
    return Symbol(given[0].layer, tuple(axes[axis] for axis in settings["permutation"]))


def _broadcast(layers: Layers, given: list[Value], settings: Settings, shape: Shape) -> Symbol:
    symbol, places = given[0], settings["broadcast_dimensions"]
    before = layers.shape(symbol)
    others = [axis for axis in range(len(before)) if axis != symbol.batch_axis]
    straight = layers.straighten(symbol, (symbol.batch_axis, *others))
    batch = places[symbol.batch_axis]
    order = (batch, *(axis for axis in range(len(shape)) if axis != batch))
    sizes = {places[axis]: before[axis] for axis in others}
    layer = layers.reshape(straight, tuple(sizes.get(axis, 1) for axis in order[1:]))
    layer = layers.broadcast(layer, tuple(shape[axis] for axis in order[1:]))
    return Symbol(layer, inverse(order))


def _concatenate(layers: Layers, given: list[Value], settings: Settings, shape: Shape) -> Symbol:
    axes, sample = _layout(layers, given, shape)
    axis = axes[settings["dimension"]] - 1
    if axis < 0:
        raise UnsupportedError("samples are joined to a batch")
    places = []
    for value in given:
        size = layers.shape(value) if isinstance(value, Symbol) else value.array.shape
        part = (*sample[:axis], size[settings["dimension"]], *sample[axis + 1 :])
        places.append(layers.place(value, axes, part))
    return Symbol(layers.emit("concatenate", tuple(places), sample, {"axis": axis}), axes)


def _of_samples(axes: Shape, given: tuple[int, ...], untouched: int | None) -> list[int]:
    """Sort what is given for each axis of JAX's array by the layer's axes, without the batch."""
    turned = [int(given[axis]) for axis in inverse(axes)]
    if untouched is not None and turned[0] != untouched:
        raise UnsupportedError("samples of a batch are taken apart")
    return turned[1:]


def _slice(layers: Layers, given: list[Value], settings: Settings, shape: Shape) -> Symbol:
    axes, sample = _layout(layers, given, shape)
    strides = settings["strides"] or (1,) * len(axes)
    cut = {
        "start": _of_samples(axes, settings["start_indices"], 0),
        "stop": _of_samples(axes, settings["limit_indices"], None),
        "step": _of_samples(axes, strides, 1),
    }
    return Symbol(layers.emit("slice", (given[0].layer,), sample, cut), axes)


def _pad(layers: Layers, given: list[Value], settings: Settings, shape: Shape) -> Symbol:
    low, high, between = zip(*settings["padding_config"], strict=True)
    if any(between) or min(*low, *high) < 0 or _scalar(given[1]) != 0:
        raise UnsupportedError("padding with other than zeros at the border")
    axes, sample = _layout(layers, given[:1], shape)
    padding = {"low": _of_samples(axes, low, 0), "high": _of_samples(axes, high, 0)}
    return Symbol(layers.emit("pad", (given[0].layer,), sample, padding), axes)


def _reduce(
    kind: str, layers: Layers, given: list[Value], settings: Settings, shape: Shape
) -> Symbol:
    symbol, reduced = given[0], settings["axes"]
    if symbol.batch_axis in reduced:
        raise UnsupportedError("samples of a batch are summed")
    axes = sorted(symbol.axes[axis] - 1 for axis in reduced)
    sample = list(layers.layers[symbol.layer].shape)
    for axis in axes:
        sample[axis] = 1
    layer = layers.emit("reduce", (symbol.layer,), tuple(sample), {"kind": kind, "axes": axes})
    return _squeeze(layers, [Symbol(layer, symbol.axes)], {"dimensions": reduced}, shape)


SAME_NAME = ("tanh", "logistic", "exp", "expm1", "log", "log1p", "erf", "sqrt", "rsqrt", "abs")
COMPARISONS = {
    "gt": "greater",
    "ge": "greater_equal",
    "lt": "less",
    "le": "less_equal",
    "eq": "equal",
}
LAYERS_OF: dict[str, Rule] = {
    **{name: partial(_unary, name) for name in (*SAME_NAME, "sin", "cos")},
    **{name: partial(_binary, op) for name, op in COMPARISONS.items()},
    "add": partial(_affine, "add"),
    "sub": partial(_affine, "subtract"),
    "mul": partial(_affine, "multiply"),
    "div": partial(_affine, "divide"),
    "neg": _negate,
    "square": _square,
    "integer_pow": _power,
    "pow": _power,
    "max": _maximum,
    "min": partial(_binary, "minimum"),
    "clamp": _clamp,
    "select_n": _select,
    "reshape": _reshape,
    "squeeze": _squeeze,
    "transpose": _transpose,
    "broadcast_in_dim": _broadcast,
    "concatenate": _concatenate,
    "slice": _slice,
    "pad": _pad,
    "reduce_sum": partial(_reduce, "sum"),
    "reduce_max": partial(_reduce, "max"),
    "reduce_min": partial(_reduce, "min"),
    "dot_general": multiply_matrices,
    "conv_general_dilated": convolve,
}
