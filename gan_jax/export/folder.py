"""Write a generator into a folder, and read it back after checking that it is the one that was written."""

import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gan_jax import portable
from gan_jax.export.card import card
from gan_jax.export.generator import Generator
from gan_jax.portable import Layer, Program
from gan_jax.portable.layers import BINARY, FORMAT, UNARY, VERSION
from gan_jax.portable.numpy_interpreter import OTHERS

DESCRIPTION, WEIGHTS, CARD = "generator.json", "generator.safetensors", "README.md"
FURTHER = ("generator_numpy.py", "generator.stablehlo", "generator.js")
OPS = {"input", "embedding", "constant", *UNARY, *BINARY, *OTHERS}
MAX_BYTES = 2**32  # of weights that are read


class ExportError(ValueError):
    """A folder that is no generator's, or was damaged: one line, with the remedy."""


def write_generator(
    folder: str | os.PathLike,
    program: Program,
    facts: Mapping[str, Any],
    extra: Mapping[str, bytes] | None = None,
) -> list[str]:
    """Write layers, weights, card and whatever else belongs to a generator.

    Nothing else of an earlier export is left. Weights are stored as float16 where that loses nothing (see
    `portable.rounded`), else as float32.

    Args:
      folder: is made; one that is there must be empty or hold an earlier export.
      program: the generator.
      facts: what `card` takes, values of JSON.
      extra: name -> content of further files.

    Returns:
      The names of the files, each written whole or not at all.

    Raises:
      ExportError: the folder holds something else.
      OSError: it cannot be written.
    """
    from safetensors.numpy import save

    folder = Path(folder).expanduser()
    if folder.exists() and not (folder / DESCRIPTION).is_file() and any(folder.iterdir()):
        raise ExportError(f"{folder} holds other files than a generator's: name a new folder")
    weights = save({name: _compact(array) for name, array in portable.arrays(program).items()})
    digest = hashlib.sha256(weights).hexdigest()
    said = {**portable.describe(program), "weights_sha256": digest, "facts": dict(facts)}
    text = json.dumps(said, indent=1, allow_nan=False)
    files = {
        WEIGHTS: weights,
        CARD: card(facts, digest).encode(),
        **(extra or {}),
        DESCRIPTION: f"{text}\n".encode(),  # last: it vouches for the others
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name in set(FURTHER) - set(files):  # of an earlier export: it would draw by other weights
        (folder / name).unlink(missing_ok=True)
    for name, content in files.items():
        _write(folder / name, content)
    return list(files)


def _write(file: Path, content: bytes) -> None:
    """Write a file whole or not at all; a link in its place is replaced, not followed."""
    part = file.with_name(f".{file.name}.{secrets.token_hex(8)}.part")
    try:
        with part.open("xb") as out:
            out.write(content)
        os.replace(part, file)
    finally:
        part.unlink(missing_ok=True)


def load_generator(folder: str | os.PathLike) -> Generator:
    """Read a generator that `experiments.export` wrote; nothing in the folder is executed.

    Args:
      folder: with generator.json and generator.safetensors.

    Returns:
      The generator: `generator.sample(16)`, or `generator(latents, labels)`.

    Raises:
      ExportError: the folder is no generator's, is of a later version, or was damaged.
    """
    folder = Path(folder).expanduser()
    try:
        said = json.loads((folder / DESCRIPTION).read_bytes())
        if (folder / WEIGHTS).stat().st_size > MAX_BYTES:
            raise ValueError("its weights are too large to be read")
        weights = (folder / WEIGHTS).read_bytes()
        words = folder / CARD
        text = words.read_text(encoding="utf-8") if words.is_file() else ""
        return _generator(said, weights, text)
    except OSError as error:
        raise ExportError(
            f"{folder} is no generator's folder: {error.strerror or error} ({Path(error.filename or '').name}); write "
            "one by experiments.export"
        ) from error
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        RecursionError,
        TypeError,
        ValueError,
    ) as error:
        reason = " ".join(str(error).split())
        raise ExportError(f"{folder} is damaged: {reason}; export it anew") from error


def _generator(said: Any, packed: bytes, text: str) -> Generator:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    if said["format"] != FORMAT or said["version"] != VERSION:
        raise ValueError(
            f"this gan_jax reads {FORMAT} {VERSION}, it is {said['format']} {said['version']}"
        )
    if hashlib.sha256(packed).hexdigest() != said["weights_sha256"]:
        raise ValueError(f"{WEIGHTS} is not the file that {DESCRIPTION} was written with")
    try:
        weights = load(packed)
    except SafetensorError as error:
        raise ValueError(str(error)) from error
    layers = tuple(_layer(layer, weights) for layer in said["layers"])
    program = Program(layers, said["num_classes"])
    _check(program)
    return Generator(program, said["facts"], text)


def _check(program: Program) -> None:
    """Refuse layers that no reader knows, or that take what is not there yet."""
    if not program.layers or program.layers[0].op != "input":
        raise ValueError("its first layer is no input")
    for place, layer in enumerate(program.layers):
        if layer.op not in OPS:
            raise ValueError(f"layer {place} is unknown: {layer.op}")
        if not all(0 <= source < place for source in layer.of):
            raise ValueError(f"layer {place} takes a layer that does not come before it")
    if not isinstance(program.num_classes, int | None):
        raise ValueError(f"num_classes is {program.num_classes!r}")


def _layer(said: dict[str, Any], weights: Mapping[str, np.ndarray]) -> Layer:
    known = ("op", "of", "shape", "arrays")
    arrays = {role: weights[name] for role, name in said.get("arrays", {}).items()}
    return Layer(
        said["op"],
        tuple(said["of"]),
        tuple(said["shape"]),
        {name: value for name, value in said.items() if name not in known},
        {role: array.astype(np.float32) for role, array in arrays.items()},
    )


def _compact(array: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        half = array.astype(np.float16)
    same = np.array_equal(half.astype(np.float32), array)
    return np.ascontiguousarray(half if same else array.astype(np.float32))
