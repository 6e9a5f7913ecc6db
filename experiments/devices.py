"""The devices and processes of a run, from its flags."""

import jax
import numpy as np
from jax.sharding import Mesh

from experiments.config import Config
from experiments.program import UserError
from gan_jax import parallel


def join(config: Config) -> None:
    """Meet the other processes of the run, if there are any; call it before anything else touches JAX.

    Raises:
      UserError: the flags do not fit together.
      ConnectionError: the other processes could not be reached.
    """
    if config.coordinator_address:
        if config.process_id >= config.num_processes:
            raise UserError(
                f"--process_id={config.process_id} must be below --num_processes={config.num_processes}"
            )
        parallel.start_processes(
            config.coordinator_address, config.num_processes, config.process_id
        )
    elif config.num_processes > 1:
        raise UserError("--num_processes needs --coordinator_address=HOST:PORT of process 0")


def choose_mesh(config: Config) -> Mesh:
    """Line up the devices that the run uses.

    Raises:
      UserError: there are not so many, or the batch cannot be divided between them.
    """
    try:
        mesh = parallel.make_mesh(config.num_devices)
    except ValueError as error:
        raise UserError(f"--num_devices: {error}") from error
    if config.batch_size % mesh.size:
        raise UserError(
            f"--batch_size={config.batch_size} cannot be divided between {mesh.size} devices: "
            "choose a multiple, or fewer with --num_devices"
        )
    return mesh


def is_writer() -> bool:
    """Whether this process writes the run's files: one does."""
    return jax.process_index() == 0


def anywhere(flag: bool) -> bool:
    """Whether a flag is up in any process; all must ask together."""
    if jax.process_count() == 1:
        return flag
    from jax.experimental import multihost_utils

    return bool(np.any(multihost_utils.process_allgather(np.asarray(flag))))


def local(tree):
    """Give this process's own copy of replicated arrays, on one device."""
    return jax.tree.map(lambda leaf: leaf.addressable_data(0), tree)
