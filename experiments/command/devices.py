"""The devices and processes of a run, from its flags."""

import atexit
import contextlib
import dataclasses
import os
import sys
import threading
import zlib
from collections.abc import Iterator

import jax
import numpy as np
from jax.sharding import Mesh

from experiments.command import interruption
from experiments.command.config import INCIDENTAL, Config
from experiments.command.program import UserError
from gan_jax import parallel

# Incidental from one start of a run to the next, but not among the processes of one.
SHARED = ("num_devices", "on_divergence")


def join(config: Config) -> None:
    """Meet the other processes of the run, if there are any; call it before anything else touches JAX.

    With --coordinator_address as the flags say; without it, as a TPU pod says.

    Raises:
      UserError: the flags do not fit together.
      ConnectionError: JAX could not begin. Where the others do not come in time, the program ends.
    """
    if config.coordinator_address:
        _check(config)
        with _deadline(config):
            parallel.start_processes(
                config.coordinator_address,
                config.num_processes,
                config.process_id,
                config.coordinator_timeout,
            )
    elif config.num_processes > 1 or config.process_id > 0:
        raise UserError(
            "--num_processes and --process_id need --coordinator_address=HOST:PORT of process 0"
        )
    elif not _join_pod(config):
        return
    if jax.process_count() > 1:
        atexit.register(_leave)
    interruption.end_at_once()  # JAX's runtime has taken SIGTERM for itself


def _check(config: Config) -> None:
    host, _, port = config.coordinator_address.rpartition(":")
    if not (host and port.isdecimal() and 0 < int(port) < 65536):
        raise UserError(
            f"--coordinator_address={config.coordinator_address} is not HOST:PORT, as in 10.0.0.1:8476"
        )
    if config.process_id >= config.num_processes:
        raise UserError(
            f"--process_id={config.process_id} must be below --num_processes={config.num_processes}"
        )


def _join_pod(config: Config) -> bool:
    if "tpu" not in _platforms():
        return False
    try:
        with _deadline(config):
            parallel.start_processes(timeout=config.coordinator_timeout)
    except ValueError:  # chips that belong to no cluster
        return False
    return True


@contextlib.contextmanager
def _deadline(config: Config) -> Iterator[None]:
    """End the program in one line if the block takes too long: JAX would do it with a page of C++."""

    def give_up() -> None:
        place = config.coordinator_address or "the cluster"
        _leave(
            f"process {config.process_id} could not join the run at {place} within "
            f"{config.coordinator_timeout} s: start all {config.num_processes} processes, let process 0 run there and "
            "its port be open, or raise --coordinator_timeout"
        )

    timer = threading.Timer(config.coordinator_timeout, give_up)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _platforms() -> str:
    return jax.config.jax_platforms or ""  # JAX sets it to "tpu,cpu" where it finds TPU chips


@contextlib.contextmanager
def leaving_if_peers_are_lost() -> Iterator[None]:
    """End the program in one line where the block finds that another process is gone.

    At once, and not as an exception: what is under way, such as a save, would wait for that process.
    """
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if jax.process_count() == 1:
            raise
        _leave(
            "lost the other processes of the run, or a device failed; the same commands, given to all processes, go on "
            f"from the last checkpoint ({' '.join(str(error).split())[:300]})"
        )


def part() -> None:
    """Let this process wait at its exit for the others: all have done their work.

    A process that fails never comes here, and leaves without JAX's farewell, which would wait minutes for the others.
    """
    atexit.unregister(_leave)


def _leave(message: str = "") -> None:
    if message:
        print(f"error: {message}", file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)


def check_alike(config: Config, data_sha256: str) -> None:
    """Compare what the processes were given: different programs on one mesh would wait for one another for ever.

    Raises:
      UserError: they have different flags, or different data.
    """
    if jax.process_count() == 1:
        return
    given = {
        f"--{name}": value
        for name, value in dataclasses.asdict(config).items()
        if name not in INCIDENTAL or name in SHARED
    }
    given["the data set"] = data_sha256
    checksums = _gather([zlib.crc32(repr(value).encode()) for value in given.values()])
    differing = [
        name for name, differs in zip(given, np.ptp(checksums, axis=0), strict=True) if differs
    ]
    if differing:
        raise UserError(f"the processes of the run do not agree in {', '.join(differing)}")


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


def highest(number: int) -> int:
    """Give the greatest of all processes' numbers; all must ask together."""
    return number if jax.process_count() == 1 else int(_gather([number]).max())


def _gather(numbers: list[int]) -> np.ndarray:
    from jax.experimental import multihost_utils  # slow to import, and rarely needed

    return np.asarray(multihost_utils.process_allgather(np.asarray(numbers, np.uint32)))


def local(tree):
    """Give this process's own copy of replicated arrays, on one device."""
    return jax.tree.map(lambda leaf: leaf.addressable_data(0), tree)
