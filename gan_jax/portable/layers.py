"""What a portable network is made of.

Every layer gives one array [B, *shape] and takes those of the layers before it that `of` names. Images are [H, W, C].

    op          arrays                 settings                       of
    input                                                             nothing: the first layer
    embedding   table [K, *shape]                                     nothing: row of the sample's class
    constant    value [*shape]                                        nothing
    dense       kernel [I, O], bias    x @ kernel + bias, last axis   x
    conv        kernel [KH, KW, I, O]  strides, dilation, padding     x [H, W, I], spread apart by the dilation (zeros
                bias [O]               ([low, high] of both sides)    between pixels), padded, then correlated
    affine      scale, shift           x * scale + shift              x; both broadcast against its shape
    leaky_relu                         slope                          x
    power                              exponent                       x
    reshape, broadcast                                                x
    transpose                          axes, of a sample              x
    concatenate                        axis, of a sample              any number
    slice                              start, stop, step              x
    pad                                low, high (zeros)              x
    reduce                             kind: sum, max, min; axes      x, whose axes stay with size 1
    select                                                            condition, where it is 0, where it is not
    UNARY, BINARY                                                     x; or x and y of one shape

A transposed convolution is a conv whose dilation is above 1.
"""

from typing import Any, NamedTuple

import numpy as np

FORMAT, VERSION = "gan_jax.portable", 1

UNARY = (
    *("relu", "tanh", "logistic", "exp", "expm1", "log", "log1p", "erf", "sqrt", "rsqrt", "abs"),
    *("sin", "cos"),
)
BINARY = (
    *("add", "subtract", "multiply", "divide", "maximum", "minimum"),
    *("greater", "greater_equal", "less", "less_equal", "equal"),
)


class UnsupportedError(ValueError):
    """A network does something that no layer can say."""


class Layer(NamedTuple):
    """One step of a network.

    Attributes:
      op: what it does, see above.
      of: places of the layers that it takes.
      shape: of what it gives, one sample's, without the batch.
      settings: numbers and words.
      arrays: weights, f32.
    """

    op: str
    of: tuple[int, ...]
    shape: tuple[int, ...]
    settings: dict[str, Any]
    arrays: dict[str, np.ndarray]


class Program(NamedTuple):
    """A network.

    Attributes:
      layers: the first is the input, the last gives the output.
      num_classes: how many classes it knows, or None.
    """

    layers: tuple[Layer, ...]
    num_classes: int | None = None

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Of one sample."""
        return self.layers[0].shape

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Of one sample."""
        return self.layers[-1].shape


def describe(program: Program) -> dict[str, Any]:
    """Say a network in what JSON can hold, all but its weights.

    Returns:
      "format", "version", "input_shape", "output_shape", "num_classes", and "layers": of each the "op", "of", "shape",
      its settings by their names, and "arrays": role -> name in `arrays`.
    """
    layers = []
    for place, layer in enumerate(program.layers):
        said = {"op": layer.op, "of": list(layer.of), "shape": list(layer.shape), **layer.settings}
        if layer.arrays:
            said["arrays"] = {role: f"{place}.{role}" for role in layer.arrays}
        layers.append(said)
    return {
        "format": FORMAT,
        "version": VERSION,
        "input_shape": list(program.input_shape),
        "output_shape": list(program.output_shape),
        "num_classes": program.num_classes,
        "layers": layers,
    }


def arrays(program: Program) -> dict[str, np.ndarray]:
    """Give a network's weights by the names that `describe` uses, "3.kernel" for the kernel of layer 3; f32."""
    return {
        f"{place}.{role}": array
        for place, layer in enumerate(program.layers)
        for role, array in layer.arrays.items()
    }
