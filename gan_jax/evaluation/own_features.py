"""Feature networks of one's own, for images of any shape: a file of weights that can come from anyone.

    network = read_features("emoji.safetensors")

The file is safetensors: numbers and one text, so reading it executes nothing, and it is as large in memory as on disk.
The text says how the weights are laid out and what is known of the network; it is believed only as far as the weights'
shapes bear it out. The weights are those of a folded `models.classifier.Classifier`, as float16.
"""

import hashlib
import json
import math
import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.evaluation.features import (
    FeatureFileError,
    FeatureNetwork,
    apply,
    classifier_with,
)
from gan_jax.networks import from_linen
from gan_jax.types import Array, Params

SUFFIX = ".safetensors"
FORMAT, VERSION = "gan_jax.features", 1
MAX_BYTES = 2**27  # of a file that is read
MAX_SIDE, MAX_LAYERS, MAX_CLASSES = 1024, 16, 10_000
MAX_WORK = 2**26  # numbers that a layer lays out for one image: 256 MB


def pack(
    params: Params,
    *,
    image_shape: tuple[int, int, int],
    strides: Sequence[int],
    class_names: Sequence[str] = (),
    facts: Mapping[str, Any] | None = None,
) -> bytes:
    """Write a network as the content of a file; the same network, the same bytes.

    Args:
      params: of a folded `Classifier`.
      image_shape: (H, W, C) of what it reads.
      strides: of its convolutions.
      class_names: of its classes, or none.
      facts: whatever else is to be said of it, values of JSON.
    """
    from safetensors.numpy import save

    arrays = {
        f"{layer}.{name}": np.asarray(array, np.float16)
        for layer, weights in sorted(params.items())
        for name, array in sorted(weights.items())
    }
    said = {
        "format": FORMAT,
        "version": VERSION,
        "image_shape": list(image_shape),
        "strides": list(strides),
        "class_names": list(class_names),
        "facts": dict(facts or {}),
    }
    text = json.dumps(said, allow_nan=False, sort_keys=True)
    return save(arrays, metadata={FORMAT: text})  # one entry: several have no fixed order


def read_features(path: str | os.PathLike) -> FeatureNetwork:
    """Read a network that `experiments.train_features` wrote; nothing in the file is executed.

    Args:
      path: of the file.

    Returns:
      The network, named after the file.

    Raises:
      FeatureFileError: there is no such file, it is too large, damaged, or no such network's; in one line.
    """
    path = Path(path).expanduser()
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise ValueError(f"it has {size:,} bytes, at most {MAX_BYTES:,} are read")
        return unpack(path.stem, path.read_bytes())
    except OSError as error:
        raise FeatureFileError(
            f"{path} cannot be read ({error.strerror or error}): name a file that experiments.train_features wrote"
        ) from error
    except (ArithmeticError, LookupError, RecursionError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:300]
        raise FeatureFileError(
            f"{path} is no feature network: {reason}; write one by experiments.train_features"
        ) from error


def unpack(name: str, packed: bytes) -> FeatureNetwork:
    """Make the network that `pack` wrote.

    Raises:
      ValueError: the bytes are no such network, or say what cannot be.
    """
    from safetensors import SafetensorError, deserialize
    from safetensors.numpy import load

    try:
        deserialize(packed)  # checks that the header and the sizes of the arrays fit to the file
        said = _said(packed)
        arrays = load(packed)
    except SafetensorError as error:
        raise ValueError(str(error)) from error
    shape, strides, names = _layout(said)
    params: dict[str, dict[str, Array]] = {}
    for key, array in arrays.items():
        layer, leaf = key.split(".")
        if not np.issubdtype(array.dtype, np.floating) or not np.isfinite(array).all():
            raise ValueError(f"{key} holds no finite numbers")
        params.setdefault(layer, {})[leaf] = jnp.asarray(array, jnp.float32)
    _check_weights(params, shape, strides)
    dim, num_classes = params["logits"]["kernel"].shape
    if names and len(names) != num_classes:
        raise ValueError(f"it names {len(names)} classes and has {num_classes}")
    digest = hashlib.sha256(packed).hexdigest()
    run = partial(apply, params, strides=strides)
    return FeatureNetwork(name, digest, dim, num_classes, run, shape, names, dict(said["facts"]))


def _said(packed: bytes) -> dict[str, Any]:
    """Read the text: safetensors begins with the length of a JSON header."""
    length = int.from_bytes(packed[:8], "little")
    text = json.loads(packed[8 : 8 + length]).get("__metadata__", {}).get(FORMAT)
    if text is None:
        raise ValueError("it has weights, and no word of what they are")
    said = json.loads(text)
    if said["format"] != FORMAT or said["version"] != VERSION:
        raise ValueError(f"it is {said['format']} {said['version']}, not {FORMAT} {VERSION}")
    return said


def _layout(said: Mapping[str, Any]) -> tuple[tuple[int, int, int], tuple[int, ...], tuple]:
    shape, strides, names = (
        tuple(said[name]) for name in ("image_shape", "strides", "class_names")
    )
    whole = all(type(number) is int for number in (*shape, *strides))
    if not whole or len(shape) != 3 or shape[2] not in (1, 3) or not _within(shape, MAX_SIDE):
        raise ValueError(f"it reads images of shape {list(shape)}")
    if not 1 <= len(strides) <= MAX_LAYERS or not _within(strides, 4):
        raise ValueError(f"its strides are {list(strides)}")
    if len(names) > MAX_CLASSES or not all(isinstance(name, str) for name in names):
        raise ValueError("its class names are no words")
    return shape, strides, names


def _within(numbers: tuple[int, ...], most: int) -> bool:
    return all(1 <= number <= most for number in numbers)


def _check_weights(params: Params, shape: tuple[int, int, int], strides: tuple[int, ...]) -> None:
    """Refuse weights that are not a classifier's of such images, or that would take much to apply."""
    classifier = classifier_with(params, strides)
    height, width, channels = shape
    for kernel, stride, out in zip(classifier.kernels, strides, classifier.widths, strict=True):
        height, width = math.ceil(height / stride), math.ceil(width / stride)
        if height * width * max(kernel * kernel * channels, out) > MAX_WORK:
            raise ValueError("its layers are too large")
        channels = out
    image = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
    expected, _ = jax.eval_shape(from_linen(classifier).init, jax.random.key(0), image)
    found = jax.tree.map(lambda array: array.shape, params)
    wanted = jax.tree.map(lambda array: array.shape, dict(expected))
    if found != wanted:
        raise ValueError("its weights have other shapes than its layers")
