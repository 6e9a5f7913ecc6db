"""The same generator for other readers: JAX on any device, a page, NumPy alone."""

import json
from importlib import resources

import jax
import jax.numpy as jnp

from gan_jax import portable
from gan_jax.types import Array, ModelState, Network, Params

PLATFORMS = ("cpu", "cuda", "tpu")

# Reads what `folder.write_generator` writes. The card shows its first function: 10 lines.
LOADER = '''

def read_weights(path="generator.safetensors"):
    raw = open(path, "rb").read()
    start = 8 + int.from_bytes(raw[:8], "little")
    types, weights = {"F16": "<f2", "F32": "<f4"}, {}
    for name, said in json.loads(raw[8:start]).items():
        if name != "__metadata__":
            first, end = (start + offset for offset in said["data_offsets"])
            weights[name] = np.frombuffer(raw[first:end], types[said["dtype"]]).reshape(said["shape"])
    return weights


def load(folder="."):
    """Give a function from latents (and labels) to images, of the generator in a folder."""
    weights = read_weights(f"{folder}/generator.safetensors")
    with open(f"{folder}/generator.json", encoding="utf-8") as file:
        said = json.load(file)
    layers = []
    for layer in said["layers"]:
        arrays = {role: weights[name].astype(np.float32) for role, name in layer.get("arrays", {}).items()}
        layers.append(Layer(layer["op"], layer["of"], tuple(layer["shape"]), layer, arrays))
    program = Program(tuple(layers), said["num_classes"])
    return lambda latents, labels=None: run(program, latents, labels)
'''


def numpy_module() -> str:
    """Give the source of generator_numpy.py, which needs NumPy and the standard library only."""
    parts = []
    for name in ("layers.py", "numpy_interpreter.py"):
        source = resources.files("gan_jax.portable").joinpath(name).read_text(encoding="utf-8")
        own = (line for line in source.splitlines() if not line.startswith("from gan_jax."))
        parts.append("\n".join(own))
    first, second = parts
    heading = (
        "# From gan_jax. Needs NumPy alone: load('.') gives a function from latents to images.\n"
    )
    return f"{heading}{first}\n\n{second}\n\nimport json  # noqa: E402\n{LOADER}"


def reader() -> str:
    """Give the ten lines that read the weights, as the card shows them."""
    lines = LOADER.strip().splitlines()
    return "\n".join(lines[: lines.index("")])


def javascript_module(program: portable.Program) -> str:
    """Give an ES module whose `generator.run(latents, label)` is an image, its weights as float16 inside.

    `runtime` tells of the rounding; a pixel moves by less than half of 1/255.
    """
    packed = json.dumps(portable.pack(program), separators=(",", ":"))
    return f"{portable.runtime()}\nexport const generator = ganJax.load({packed});\nexport default generator;\n"


def stablehlo(
    network: Network, params: Params, model_state: ModelState, latent_dim: int, *, labelled: bool
) -> bytes:
    """Export a generator as JAX runs it: on CPU, CUDA and TPU, with any number of latents.

    `jax.export.deserialize(content).call(latents)` runs it; with classes, `.call(latents, labels)`. JAX promises to
    read such files for half a year, and not for ever: keep the weights.

    Args:
      network: the generator.
      params: its weights, which go into the file.
      model_state: its statistics.
      latent_dim: of its latents, f32[N, latent_dim].
      labelled: whether it is given classes, i32[N].

    Returns:
      The content of the file.
    """
    from jax import export

    def generate(latents: Array, labels: Array | None = None) -> Array:
        return network.apply(params, model_state, latents, labels, train=False)[0]

    (num,) = export.symbolic_shape("num")
    inputs = [jax.ShapeDtypeStruct((num, latent_dim), jnp.float32)]
    if labelled:
        inputs.append(jax.ShapeDtypeStruct((num,), jnp.int32))
    return bytes(export.export(jax.jit(generate), platforms=PLATFORMS)(*inputs).serialize())
