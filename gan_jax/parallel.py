"""One run on many devices: the batch is shared out, everything else is everywhere.

Weights, statistics, optimizer states and the data set are replicated over a one-dimensional mesh; each device works
on its share of every batch. The program is the one that a single device runs: XLA divides it and puts in the sums over
devices, so batch norm, penalties and metrics see the whole batch.
"""

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from gan_jax.types import GAN, Array, Key, ModelState, Network, Params

AXIS = "batch"


def start_processes(
    coordinator: str, num_processes: int, process_id: int, timeout: int = 60
) -> None:
    """Join the processes of a run; call it before anything else touches JAX.

    Args:
      coordinator: host:port of process 0; empty on TPU pods and clusters that JAX recognises by itself.
      num_processes: of the whole run.
      process_id: this one, from 0.
      timeout: seconds to wait for the others.

    Raises:
      ConnectionError: the coordinator or the other processes could not be reached in time.
    """
    try:
        if coordinator:
            jax.distributed.initialize(
                coordinator, num_processes, process_id, initialization_timeout=timeout
            )
        else:
            jax.distributed.initialize(initialization_timeout=timeout)
    except Exception as error:
        raise ConnectionError(
            f"process {process_id} of {num_processes} could not join the run at {coordinator or 'the cluster'} "
            f"within {timeout} s: check that process 0 runs there and the port is open"
        ) from error


def make_mesh(num_devices: int | None = None) -> Mesh:
    """Line up the first `num_devices` devices of the run, or all.

    Raises:
      ValueError: there are not that many.
    """
    devices = jax.devices()
    if num_devices is not None and not 1 <= num_devices <= len(devices):
        raise ValueError(f"num_devices must lie in 1..{len(devices)}, got {num_devices}")
    return Mesh(np.asarray(devices[:num_devices]), (AXIS,))


def replicated(mesh: Mesh) -> NamedSharding:
    """Give the sharding of what every device holds whole."""
    return NamedSharding(mesh, PartitionSpec())


def over_batch(gan: GAN, mesh: Mesh, batch_size: int) -> GAN:
    """Share out the batch of both players' inputs over a mesh; on one device nothing changes.

    Args:
      gan: the game.
      mesh: from `make_mesh`.
      batch_size: samples of one of D's turns.

    Returns:
      The same game, whose networks tell XLA to divide their inputs along the batch.

    Raises:
      ValueError: the batch cannot be divided equally.
    """
    if mesh.size == 1:
        return gan
    if batch_size % mesh.size:
        raise ValueError(f"a batch of {batch_size} cannot be divided between {mesh.size} devices")
    return gan._replace(
        generator=_divided(gan.generator, mesh), discriminator=_divided(gan.discriminator, mesh)
    )


def _divided(network: Network, mesh: Mesh) -> Network:
    def apply(
        params: Params, model_state: ModelState, x: Array, *, train: bool, key: Key | None = None
    ) -> tuple[Array, ModelState]:
        divided = NamedSharding(mesh, PartitionSpec(AXIS))
        if x.shape[0] % mesh.size == 0:  # a picture's few samples need not divide
            x = jax.lax.with_sharding_constraint(x, divided)
        return network.apply(params, model_state, x, train=train, key=key)

    return network._replace(apply=apply)
