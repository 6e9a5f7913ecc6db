"""One run on many devices: the batch is shared out, everything else is everywhere.

Weights, statistics, optimizer states and the data set are replicated over a one-dimensional mesh; each device works
on its share of every batch. The program is the one that a single device runs, on a mesh of one: XLA divides it and
puts in the sums over devices, so batch norm, penalties and metrics see the whole batch.
"""

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from gan_jax.types import (
    GAN,
    Array,
    Batch,
    GANState,
    Key,
    Labels,
    Metrics,
    ModelState,
    Network,
    Params,
    Rule,
)

AXIS = "batch"

GRACE = 10  # seconds that a caller has, after its own limit, before JAX ends the process


def start_processes(
    coordinator: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
    timeout: int = 60,
) -> None:
    """Join the processes of a run; call it before anything else touches JAX.

    SIGTERM stays the program's own: JAX's service for preemptions, which would take it, is left out.

    Args:
      coordinator: host:port of process 0; None on a cluster that JAX recognises by itself, such as a TPU pod.
      num_processes: of the whole run; None there.
      process_id: this one, from 0; None there.
      timeout: seconds to wait for the others here, and later until a silent one counts as dead.

    JAX aborts a process that waits in vain, some seconds after `timeout`: whoever wants another end has until then.

    Raises:
      ConnectionError: JAX could not begin, for instance because the coordinator's port is taken.
      ValueError: `coordinator` is None and JAX recognises no cluster.
    """
    jax.config.update("jax_enable_preemption_service", False)
    try:
        jax.distributed.initialize(
            coordinator,
            num_processes,
            process_id,
            initialization_timeout=timeout + GRACE,
            heartbeat_timeout_seconds=timeout,
        )
    except RuntimeError as error:
        place = "its cluster" if coordinator is None else coordinator
        cause = str(error).partition("\n")[0]
        raise ConnectionError(f"could not join the processes at {place}: {cause}") from error


def make_mesh(num_devices: int | None = None) -> Mesh:
    """Line up `num_devices` devices of the run, the same number from each process, or all.

    Raises:
      ValueError: there are not that many, or they cannot be taken equally from the processes.
    """
    processes: dict[int, list[jax.Device]] = {}
    for device in jax.devices():
        processes.setdefault(device.process_index, []).append(device)
    smallest = min(map(len, processes.values()))
    if num_devices is None:
        return Mesh(np.asarray(jax.devices()), (AXIS,))
    if not 1 <= num_devices <= smallest * len(processes):
        raise ValueError(
            f"num_devices must lie in 1..{smallest * len(processes)}, got {num_devices}"
        )
    if num_devices % len(processes):
        raise ValueError(
            f"num_devices must be a multiple of the {len(processes)} processes, got {num_devices}"
        )
    share = num_devices // len(processes)
    return Mesh(
        np.asarray([device for own in processes.values() for device in own[:share]]), (AXIS,)
    )


def replicated(mesh: Mesh) -> NamedSharding:
    """Give the sharding of what every device holds whole."""
    return NamedSharding(mesh, PartitionSpec())


def replicate(data: Batch, mesh: Mesh) -> Batch:
    """Put host arrays, which all processes have alike, on every device."""

    def whole(array: np.ndarray) -> Array:
        return jax.make_array_from_callback(array.shape, replicated(mesh), lambda i: array[i])

    return jax.tree.map(whole, data)


def over_batch(gan: GAN, mesh: Mesh, batch_size: int) -> GAN:
    """Share out the batch of both players' inputs over a mesh.

    Args:
      gan: the game.
      mesh: from `make_mesh`.
      batch_size: samples of one of D's turns.

    Returns:
      The same game, whose networks tell XLA to divide their inputs along the batch.

    Raises:
      ValueError: the batch cannot be divided equally.
    """
    if batch_size % mesh.size:
        raise ValueError(f"a batch of {batch_size} cannot be divided between {mesh.size} devices")
    return gan._replace(
        generator=_divided(gan.generator, mesh), discriminator=_divided(gan.discriminator, mesh)
    )


def keep_replicated(rule: Rule, mesh: Mesh) -> Rule:
    """Leave a step's state and metrics whole on every device, whatever XLA would choose.

    Args:
      rule: an update rule, for a game from `over_batch`.
      mesh: from `make_mesh`.
    """

    def step(gan: GAN, state: GANState, batch: Batch, *, key: Key) -> tuple[GANState, Metrics]:
        moved = rule.step(gan, state, batch, key=key)
        return jax.lax.with_sharding_constraint(moved, replicated(mesh))

    return rule._replace(step=step)


def _divided(network: Network, mesh: Mesh) -> Network:
    def divide(array: Array) -> Array:
        return jax.lax.with_sharding_constraint(array, NamedSharding(mesh, PartitionSpec(AXIS)))

    def apply(
        params: Params,
        model_state: ModelState,
        x: Array,
        labels: Labels | None = None,
        *,
        train: bool,
        key: Key | None = None,
    ) -> tuple[Array, ModelState]:
        if x.shape[0] % mesh.size == 0:  # a picture's few samples need not divide
            x, labels = jax.tree.map(divide, (x, labels))
        return network.apply(params, model_state, x, labels, train=train, key=key)

    return network._replace(apply=apply)
