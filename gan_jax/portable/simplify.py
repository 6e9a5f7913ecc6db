"""Say the same in fewer layers: recognise leaky ReLU, fold scales and shifts into kernels, drop what nobody needs."""

import math

import numpy as np

from gan_jax.portable.layers import Layer


def simplify(layers: list[Layer], output: int) -> tuple[Layer, ...]:
    """Give the layers that the output needs, fewer where that says the same; the last gives the output."""
    kept = _needed([_leaky_relu(layers, layer) for layer in layers], output)
    for place in range(len(kept)):
        _fold(kept, place)
    return tuple(_needed(kept, len(kept) - 1))


def _leaky_relu(layers: list[Layer], layer: Layer) -> Layer:
    """Recognise where(x >= 0, x, slope * x)."""
    if layer.op != "select":
        return layer
    condition, negative, positive = (layers[place] for place in layer.of)
    x = layer.of[2]
    compares = condition.op in ("greater", "greater_equal") and condition.of[0] == x
    if not compares or negative.op != "affine" or negative.of != (x,):
        return layer
    bound, scale = layers[condition.of[1]], negative.arrays["scale"]
    if bound.op != "constant" or bound.arrays["value"].any() or negative.arrays["shift"].any():
        return layer
    if scale.size != 1:
        return layer
    return Layer("leaky_relu", (x,), positive.shape, {"slope": float(scale.reshape(()))}, {})


def _fold(layers: list[Layer], place: int) -> None:
    """Move a scale and shift into the layer before it, if nobody else takes that one; in place."""
    layer = layers[place]
    if layer.op != "affine" or not _is_taken_once(layers, layer.of[0]):
        return
    scale, shift = layer.arrays["scale"], layer.arrays["shift"]
    source = layers[layer.of[0]]
    if source.op == "affine":
        arrays = {
            "scale": source.arrays["scale"] * scale,
            "shift": source.arrays["shift"] * scale + shift,
        }
        _move(layers, layer.of[0], place, source._replace(shape=layer.shape, arrays=arrays))
        _fold(layers, place)
    elif source.op in ("dense", "conv") and _is_by_channel(scale) and _is_by_channel(shift):
        _move(layers, layer.of[0], place, _scaled(source, scale.reshape(-1), shift.reshape(-1)))
    elif source.op == "reshape" and _is_taken_once(layers, source.of[0]):
        inner = layers[source.of[0]]
        if inner.op == "dense" and len(inner.shape) == 1:
            scale, shift = (np.broadcast_to(a, source.shape).ravel() for a in (scale, shift))
            layers[source.of[0]] = _scaled(inner, scale, shift)
            _move(layers, layer.of[0], place, source)


def _move(layers: list[Layer], old: int, new: int, layer: Layer) -> None:
    """Put a layer into a later place; nobody takes what is left in its old one."""
    layers[old] = layers[old]._replace(of=())
    layers[new] = layer


def _is_taken_once(layers: list[Layer], place: int) -> bool:
    return sum(layer.of.count(place) for layer in layers) == 1


def _is_by_channel(array: np.ndarray) -> bool:
    return math.prod(array.shape[:-1]) == 1


def _scaled(layer: Layer, scale: np.ndarray, shift: np.ndarray) -> Layer:
    kernel, bias = layer.arrays["kernel"], layer.arrays["bias"]
    return layer._replace(arrays={"kernel": kernel * scale, "bias": bias * scale + shift})


def _needed(layers: list[Layer], output: int) -> list[Layer]:
    needed, waiting = {0}, [output]
    while waiting:
        place = waiting.pop()
        if place not in needed:
            needed.add(place)
            waiting.extend(layers[place].of)
    places = {old: new for new, old in enumerate(sorted(needed))}
    kept = (layers[old] for old in places)
    return [layer._replace(of=tuple(places[p] for p in layer.of)) for layer in kept]
