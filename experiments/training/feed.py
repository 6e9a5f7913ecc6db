"""Where a run's data lie, and how its chunks get them: all of it on the devices, or from the host chunk by chunk."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from experiments.command.experiment import Task
from experiments.command.program import UserError
from gan_jax import parallel
from gan_jax.data.mapped import let_go
from gan_jax.sampling import sample_real
from gan_jax.streaming import drawn_indices, gather
from gan_jax.types import Batch, Key

LARGE_BYTES = 2**30  # on a device that does not say how much it holds
LARGE_SHARE = 0.25  # of one that does


def stays_on_host(task: Task) -> bool:
    """Whether the data of a run go to the devices chunk by chunk: where it is asked for, or they are large.

    Raises:
      UserError: it is asked for, and the experiment does not draw its samples one by one.
    """
    wish, can = task.config.host_data, task.experiment.draw_real is sample_real
    if wish == "yes" and not can:
        raise UserError(
            f"--host_data=yes: {task.experiment.name} makes its samples of several real ones: leave it out"
        )
    if wish != "auto":
        return wish == "yes"
    memory = jax.local_devices()[0].memory_stats() or {}
    limit = LARGE_SHARE * memory["bytes_limit"] if "bytes_limit" in memory else LARGE_BYTES
    images = task.source.train.images  # or their shapes alone, ahead of time
    return can and math.prod(images.shape) * images.dtype.itemsize > limit


class OnDevices:
    """All data on every device: they go there once.

    Attributes:
      data: there.
    """

    def __init__(self, data: Batch, mesh: Mesh) -> None:
        self.data = parallel.replicate(data, mesh)

    def take(self, step: int, num_steps: int, key: Key) -> Batch:
        """Give the data."""
        del step, num_steps, key  # the chunk draws
        return self.data

    def prepare(self, step: int, num_steps: int, key: Key) -> None:
        """Have nothing to do."""

    def like(self, num_steps: int) -> Batch:
        """Give what `take` gives for so many steps, or shapes of it."""
        del num_steps
        return self.data


class _Order(NamedTuple):
    """A chunk's batches, and which chunk it is."""

    step: int
    num_steps: int
    key: bytes
    batches: Batch


class FromHost:
    """Data that stay on the host: each chunk gets what its steps draw, gathered while the one before computes."""

    def __init__(self, data: Batch, mesh: Mesh, images_per_step: int) -> None:
        self._data, self._mesh, self._num = data, mesh, images_per_step
        self._ready: _Order | None = None

    def take(self, step: int, num_steps: int, key: Key) -> Batch:
        """Give the batches [num_steps, num, ...] of the steps from `step` on."""
        ready, self._ready = self._ready, None
        name = (step, num_steps, _name(key))
        return (
            self._gather(step, num_steps, key) if ready is None or ready[:3] != name else ready[3]
        )

    def prepare(self, step: int, num_steps: int, key: Key) -> None:
        """Gather what the chunk after this one will take; none if it has no steps."""
        if num_steps:
            batches = self._gather(step, num_steps, key)
            self._ready = _Order(step, num_steps, _name(key), batches)

    def like(self, num_steps: int) -> Batch:
        """Give shapes of what `take` gives for so many steps."""
        everywhere, sizes = parallel.replicated(self._mesh), (num_steps, self._num)

        def of(array: np.ndarray) -> jax.ShapeDtypeStruct:
            shape = (*sizes, *array.shape[1:])
            return jax.ShapeDtypeStruct(shape, array.dtype, sharding=everywhere)

        return jax.tree.map(of, self._data)

    def _gather(self, step: int, num_steps: int, key: Key) -> Batch:
        size = len(self._data.images)
        sizes = {"num_steps": num_steps, "num": self._num}
        indices = drawn_indices(key, jnp.int32(step), jnp.int32(size), **sizes)
        batches = gather(self._data, jax.device_get(indices))
        let_go(self._data.images)  # or what was read would add up to all of it
        return parallel.replicate(batches, self._mesh)


def _name(key: Key) -> bytes:
    return jax.device_get(jax.random.key_data(key)).tobytes()


def feed_of(task: Task, mesh: Mesh, images_per_step: int) -> OnDevices | FromHost:
    """Choose how a run gets its data.

    Args:
      task: the run.
      mesh: its devices.
      images_per_step: real samples of a step.

    Raises:
      UserError: as `stays_on_host`.
    """
    if stays_on_host(task):
        return FromHost(task.data, mesh, images_per_step)
    return OnDevices(task.data, mesh)
