"""Compile a run's chunk of steps for TPUs that are not there, and read what the compiler says of it."""

import contextlib
import math
import re
import time
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import topologies
from jax.experimental.compilation_cache import compilation_cache
from jax.sharding import Mesh

from experiments.command.config import Config
from experiments.command.experiment import Experiment, Source, Task
from experiments.command.game import build_gan, check
from experiments.command.program import UserError
from experiments.training.chunk import assemble
from experiments.training.loop import next_chunk
from gan_jax import parallel
from gan_jax.convolution import Lowering
from gan_jax.data import Dataset
from gan_jax.layers import convolutional

DATA_SHAPES = {  # training sets, so that none need be at hand: uint8 [N, H, W, C]
    "digits": (1500, 28, 28, 1),
    "mnist": (60000, 28, 28, 1),
    "fashion_mnist": (60000, 28, 28, 1),
}


# A run of which only shapes exist: nothing is loaded and nobody watches.
FROM_SHAPES = Experiment("tpu_check", "images", None, build_gan, None)


class Chip(NamedTuple):
    """What Google Cloud's pages "TPU v4", "TPU v5p", "TPU v5e" and "TPU v6e" publish of a chip.

    Attributes:
      memory: GB, taken as 1e9 bytes (the cautious reading).
      bandwidth: of the memory, GB/s.
      peak: TFLOP/s in bfloat16.
    """

    memory: float
    bandwidth: float
    peak: float


CHIPS = {  # by JAX's `device_kind`
    "TPU v4": Chip(32, 1228, 275),
    "TPU v5": Chip(95, 2765, 459),
    "TPU v5 lite": Chip(16, 819, 197),
    "TPU v6 lite": Chip(32, 1638, 918),
}

COLLECTIVES = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")
_COLLECTIVE = re.compile(rf" = (.*?) ({'|'.join(COLLECTIVES)})(-start)?\(")
_ARRAY = re.compile(r"\b(pred|[a-z]+(\d+)\w*)\[([\d,]*)\]")


class Slice(NamedTuple):
    """A topology's name, its chips in a row (one device each), and what is published of one."""

    name: str
    mesh: Mesh
    chip: Chip


class Report(NamedTuple):
    """What the compiler says of one program; a figure that it does not give is None.

    Attributes:
      memory: bytes on each chip, by use.
      flops: of one step, on each chip.
      bytes_accessed: read and written by one step, on each chip, as the compiler counts them.
      seconds: estimated for one step.
      collectives: kind -> (instructions, bytes of their results on one chip), in one step.
      operations: convolutions and matrix products in the program before compilation.
      compile_seconds: taken to compile, here.
    """

    memory: dict[str, int]
    flops: float | None
    bytes_accessed: float | None
    seconds: float | None
    collectives: dict[str, tuple[int, int]]
    operations: dict[str, int]
    compile_seconds: float

    @property
    def total_memory(self) -> int:
        """Bytes on each chip."""
        return sum(self.memory.values())


def find_slice(name: str, batch_size: int) -> Slice:
    """Describe a topology, such as v5e:2x2, and line up its chips.

    Raises:
      UserError: there is no such topology, or the batch cannot be divided between its chips.
    """
    example = "write it as v5e:2x2, v5e:16x16, v6e:16x16, v4:2x2x1 or v5p:2x2x1"
    try:
        devices = topologies.get_topology_desc(name, "tpu").devices
    except (jax.errors.JaxRuntimeError, ValueError) as error:
        raise UserError(f"--topology={name} is unknown to libtpu ({error}): {example}") from error
    kind, size = devices[0].device_kind, math.prod(map(int, re.findall(r"\d+", name.split(":")[1])))
    if kind not in CHIPS or len(devices) != size:
        raise UserError(
            f"--topology={name} gives {len(devices)} devices of kind {kind!r}, where {size} whole chips of "
            f"{', '.join(CHIPS)} are known here: {example}"
        )
    if batch_size % size:
        raise UserError(
            f"--batch_size={batch_size} cannot be divided between the {size} chips of {name}: "
            f"take --batch_size={-(-batch_size // size) * size} or another multiple of {size}, or a smaller topology"
        )
    return Slice(name, Mesh(np.asarray(devices), (parallel.AXIS,)), CHIPS[kind])


@contextlib.contextmanager
def convolutions_as(lowering: Lowering) -> Iterator[None]:
    """Let the layers that are traced meanwhile be computed in one way, on every platform."""
    chosen = convolutional.Geometry
    convolutional.Geometry = lambda *given: chosen(*given)._replace(lowering=lowering)
    try:
        yield
    finally:
        convolutional.Geometry = chosen


def lower_chunk(config: Config, where: Slice) -> jax.stages.Lowered:
    """Lower the chunk that a run with these flags would call, data on the devices, from shapes alone.

    Raises:
      UserError: the game cannot be played, or the data set's shape is not known.
    """
    if config.dataset not in DATA_SHAPES:
        raise UserError(f"--dataset={config.dataset}: shapes are known of {', '.join(DATA_SHAPES)}")
    images = jax.ShapeDtypeStruct(DATA_SHAPES[config.dataset], jnp.uint8)
    task = Task(FROM_SHAPES, config, Source(Dataset(images, None, config.dataset, "")))
    check(config, task.gan, task.rule, task.sample)
    assembled = assemble(task, where.mesh)
    everywhere = parallel.replicated(where.mesh)

    def place(shape: jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(shape.shape, shape.dtype, sharding=everywhere)

    data, key = jax.tree.map(place, (task.data, jax.eval_shape(jax.random.key, 0)))
    return assembled.chunk.jitted(next_chunk(config, 0)).lower(assembled.shapes, data, key)


def compile_chunk(config: Config, where: Slice, lowering: Lowering = "auto") -> Report:
    """Compile a run's chunk of steps for a slice.

    Raises:
      UserError: the program does not fit into a chip's memory, or the game cannot be played.
    """
    with convolutions_as(lowering):
        lowered = lower_chunk(config, where)
    started = time.perf_counter()
    try:
        with _uncached():
            compiled = lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        raise UserError(_too_large(where, str(error).strip().splitlines()[0])) from error
    report = read(lowered, compiled, time.perf_counter() - started)
    if report.total_memory > 1e9 * where.chip.memory:
        raise UserError(_too_large(where, f"it needs {report.total_memory / 1e9:.2f} GB"))
    return report


@contextlib.contextmanager
def _uncached() -> Iterator[None]:
    # What is compiled for absent chips can be put into the persistent cache, but not read from it.
    enabled = jax.config.jax_enable_compilation_cache
    jax.config.update("jax_enable_compilation_cache", False)
    compilation_cache.reset_cache()
    try:
        yield
    finally:
        jax.config.update("jax_enable_compilation_cache", enabled)
        compilation_cache.reset_cache()


def _too_large(where: Slice, needs: str) -> str:
    return (
        f"the program does not fit into the {where.chip.memory:g} GB of a chip of {where.name}: {needs}; "
        "take a smaller --batch_size or --width, or more chips"
    )


def read(lowered: jax.stages.Lowered, compiled: jax.stages.Compiled, seconds: float) -> Report:
    """Collect the compiler's figures; they count the body of a chunk's loop once, so they are those of a step."""
    sizes, costs = compiled.memory_analysis(), compiled.cost_analysis() or {}
    memory = {
        "arguments": sizes.argument_size_in_bytes,
        "new outputs": sizes.output_size_in_bytes - sizes.alias_size_in_bytes,
        "temporaries": sizes.temp_size_in_bytes,
        "program": sizes.generated_code_size_in_bytes,
    }
    return Report(
        memory,
        known(costs.get("flops")),
        known(costs.get("bytes accessed")),
        known(costs.get("optimal_seconds")),
        count_collectives(compiled.as_text()),
        count_operations(lowered.as_text()),
        seconds,
    )


def count_operations(program: str) -> dict[str, int]:
    """Count a lowered program's convolutions and matrix products."""
    names = {
        "convolutions": r"stablehlo\.convolution\b",
        "matrix products": r"stablehlo\.dot_general\b",
    }
    return {kind: len(re.findall(name, program)) for kind, name in names.items()}


def known(figure: float | None) -> float | None:
    """Pass a compiler's figure on, or None where it gives none: missing, negative or not finite."""
    return figure if figure is not None and math.isfinite(figure) and figure > 0 else None


def count_collectives(program: str) -> dict[str, tuple[int, int]]:
    """Count a compiled program's collectives and the bytes of their results on one chip."""
    counts, sizes = Counter(), Counter()
    for types, kind, start in _COLLECTIVE.findall(program):
        arrays = [_size(*array) for array in _ARRAY.findall(types) if array[0] != "u32" or array[2]]
        counts[kind] += 1
        # A started permutation or gather names its operands before its results.
        results = arrays if not start or kind == "all-reduce" else arrays[len(arrays) // 2 :]
        sizes[kind] += sum(results)
    return {kind: (counts[kind], sizes[kind]) for kind in COLLECTIVES if counts[kind]}


def _size(dtype: str, bits: str, dimensions: str) -> int:
    elements = math.prod(int(d) for d in dimensions.split(",")) if dimensions else 1
    return elements * (1 if dtype == "pred" else max(1, int(bits) // 8))
