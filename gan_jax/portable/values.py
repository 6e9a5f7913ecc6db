"""What tracing knows of a value: all of it, or which layer will give it."""

from typing import Any, NamedTuple

import numpy as np

from gan_jax.portable.layers import Layer, UnsupportedError


class Known(NamedTuple):
    """An array that depends on no input, or, `by_class`, on the class alone: there its batch counts the classes."""

    array: np.ndarray
    by_class: bool = False


class Symbol(NamedTuple):
    """What a layer gives. Axis i of JAX's array is axis `axes[i]` of the layer's [B, *shape]."""

    layer: int
    axes: tuple[int, ...]

    @property
    def batch_axis(self) -> int:
        """The axis of JAX's array that counts the samples."""
        return self.axes.index(0)


Value = Known | Symbol


def inverse(permutation: tuple[int, ...]) -> tuple[int, ...]:
    """Invert a permutation."""
    return tuple(int(i) for i in np.argsort(permutation))


class Layers:
    """The layers so far, and how values become layers."""

    def __init__(self, num_classes: int | None) -> None:
        self.layers: list[Layer] = []
        self.num_classes = num_classes

    def emit(
        self,
        op: str,
        of: tuple[int, ...],
        shape: tuple[int, ...],
        settings: dict[str, Any] | None = None,
        arrays: dict[str, np.ndarray] | None = None,
    ) -> int:
        """Add a layer; return its place."""
        weights = {role: np.asarray(array, np.float32) for role, array in (arrays or {}).items()}
        layer = Layer(op, of, tuple(int(n) for n in shape), settings or {}, weights)
        self.layers.append(layer)
        return len(self.layers) - 1

    def shape(self, symbol: Symbol) -> tuple[int | None, ...]:
        """Give the shape of JAX's array; None for the batch."""
        shape = (None, *self.layers[symbol.layer].shape)
        return tuple(shape[axis] for axis in symbol.axes)

    def straighten(self, symbol: Symbol, order: tuple[int, ...]) -> int:
        """Lay a symbol out with JAX's axes in an order that begins with its batch; return the layer.

        Raises:
          UnsupportedError: the order begins with another axis.
        """
        axes = tuple(symbol.axes[axis] for axis in order)
        if axes[0] != 0:
            raise UnsupportedError(
                "samples of a batch are mixed, or the batch is not the first axis"
            )
        if axes == tuple(range(len(axes))):
            return symbol.layer
        before = self.layers[symbol.layer].shape
        turned = [axis - 1 for axis in axes[1:]]
        shape = tuple(before[axis] for axis in turned)
        return self.emit("transpose", (symbol.layer,), shape, {"axes": turned})

    def reshape(self, layer: int, shape: tuple[int, ...]) -> int:
        """Give a layer's samples another shape."""
        same = self.layers[layer].shape == tuple(shape)
        return layer if same else self.emit("reshape", (layer,), shape)

    def broadcast(self, layer: int, shape: tuple[int, ...]) -> int:
        """Repeat a layer's axes of size 1."""
        same = self.layers[layer].shape == tuple(shape)
        return layer if same else self.emit("broadcast", (layer,), shape)

    def constant(self, known: Known, axes: tuple[int, ...]) -> np.ndarray | None:
        """Give a known array laid out as a symbol of such axes, [*shape or 1s]; None if it depends on the class.

        Raises:
          UnsupportedError: it differs from sample to sample.
        """
        array = self._laid_out(known, axes)
        for axis, size in enumerate(array.shape):
            first = array.take([0], axis)
            if size > 1 and (array == first).all():
                array = first
        if array.shape[0] == 1:
            return array[0]
        if not known.by_class:
            raise UnsupportedError("an array that is no input differs from sample to sample")
        return None

    def place(self, value: Value, axes: tuple[int, ...], shape: tuple[int, ...]) -> int:
        """Make a layer of a value, laid out as a symbol of such axes and of samples of such a shape."""
        if isinstance(value, Symbol):
            return self.broadcast(self.straighten(value, inverse(axes)), shape)
        constant = self.constant(value, axes)
        if constant is not None:
            constant = np.broadcast_to(constant, shape)
            return self.emit("constant", (), shape, arrays={"value": constant})
        table = self._laid_out(value, axes)[: self.num_classes]
        layer = self.emit("embedding", (), table.shape[1:], arrays={"table": table})
        return self.broadcast(layer, shape)

    @staticmethod
    def _laid_out(known: Known, axes: tuple[int, ...]) -> np.ndarray:
        array = np.asarray(known.array)
        if array.ndim == 0:
            return array.reshape((1,) * len(axes))
        return array.transpose(inverse(axes))
