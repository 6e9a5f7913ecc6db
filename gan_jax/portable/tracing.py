"""From a network to its layers: read what JAX would compute, primitive by primitive."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.portable.known import compute
from gan_jax.portable.layers import Program, UnsupportedError
from gan_jax.portable.rules import LAYERS_OF
from gan_jax.portable.simplify import simplify
from gan_jax.portable.values import Known, Layers, Symbol, Value
from gan_jax.types import ModelState, Network, Params

CALLS = ("call_jaxpr", "jaxpr", "fun_jaxpr")  # where a primitive keeps the program that it calls
LOOPS = ("while", "scan")
UNCHANGED = ("convert_element_type", "copy", "copy_p", "stop_gradient", "reduce_precision")


def trace(
    network: Network,
    params: Params,
    model_state: ModelState,
    input_shape: tuple[int, ...],
    num_classes: int | None = None,
) -> Program:
    """Say a network, in inference mode and with these weights, in layers.

    Args:
      network: a generator or a discriminator.
      params: its weights.
      model_state: its statistics.
      input_shape: of one sample: (latent_dim,) for a generator.
      num_classes: how many classes there are, for a network that is given labels; they are 0, 1, ...

    Returns:
      The layers. They compute in float32, whatever the network computes in.

    Raises:
      UnsupportedError: the network does what no layer can say; the message names it.
    """
    batch = max(num_classes or 0, 2)  # more than 1, so that the batch is told from axes of size 1
    inputs = jax.ShapeDtypeStruct((batch, *input_shape), jnp.float32)
    labels = None if num_classes is None else np.arange(batch, dtype=np.int32) % num_classes

    def apply(x: jax.Array, y: jax.Array | None) -> jax.Array:
        return network.apply(params, model_state, x, y, train=False)[0]

    traced = jax.make_jaxpr(apply)(inputs, labels)
    layers = Layers(num_classes)
    source = layers.emit("input", (), tuple(input_shape))
    values: list[Value] = [Symbol(source, tuple(range(len(inputs.shape))))]
    if labels is not None:
        values.append(Known(labels, by_class=True))
    (result,) = evaluate(layers, traced, values)
    if isinstance(result, Known):
        raise UnsupportedError("the output does not depend on the input")
    output = layers.straighten(result, tuple(range(len(result.axes))))
    return Program(simplify(layers.layers, output), num_classes)


def evaluate(layers: Layers, closed: Any, inputs: list[Value]) -> list[Value]:
    """Run a jaxpr on values."""
    jaxpr = getattr(closed, "jaxpr", closed)
    values = dict(zip(jaxpr.invars, inputs, strict=True))
    for variable, constant in zip(jaxpr.constvars, getattr(closed, "consts", ()), strict=True):
        values[variable] = Known(np.asarray(constant))
    for equation in jaxpr.eqns:
        given = [_read(values, variable) for variable in equation.invars]
        values.update(zip(equation.outvars, _step(layers, equation, given), strict=True))
    return [_read(values, variable) for variable in jaxpr.outvars]


def _read(values: dict[Any, Value], variable: Any) -> Value:
    return Known(np.asarray(variable.val)) if hasattr(variable, "val") else values[variable]


def _step(layers: Layers, equation: Any, given: list[Value]) -> list[Value]:
    name, settings = equation.primitive.name, equation.params
    if name == "platform_index":  # the platform that none of the others is
        platforms = settings["platforms"]
        return [Known(np.asarray(platforms.index(None), np.int32))]
    if name == "cond" and isinstance(given[0], Known) and given[0].array.ndim == 0:
        return evaluate(layers, settings["branches"][int(given[0].array)], given[1:])
    called = [settings[key] for key in CALLS if key in settings]
    if called and name not in LOOPS:
        return evaluate(layers, called[0], given)
    if all(isinstance(value, Known) for value in given):
        by_class = any(value.by_class for value in given)
        computed = compute(equation.primitive, [value.array for value in given], settings)
        return [Known(array, by_class) for array in computed]
    if name in UNCHANGED:
        return given[:1]
    if name not in LAYERS_OF:
        raise UnsupportedError(f"{name} is not among the layers of gan_jax.portable")
    result = LAYERS_OF[name](layers, given, settings, tuple(equation.outvars[0].aval.shape))
    _check_batch([*equation.invars, equation.outvars[0]], [*given, result])
    return [result]


def _check_batch(variables: list[Any], values: list[Value]) -> None:
    """Refuse a step that gives fewer samples than it is given: layers compute every sample alone."""
    pairs = zip(variables, values, strict=True)
    sizes = {v.aval.shape[value.batch_axis] for v, value in pairs if isinstance(value, Symbol)}
    if len(sizes) > 1:
        raise UnsupportedError("samples of a batch are taken apart")
