"""What all processes of a run agree on."""

import jax
import numpy as np


def everywhere(value: int) -> list[int]:
    """Return every process's value; waits for all processes.

    Args:
      value: of this process, from 0 to 2**32 - 1.
    """
    if jax.process_count() == 1:
        return [value]
    from jax.experimental import multihost_utils  # slow to import, and rarely needed

    return multihost_utils.process_allgather(np.uint32(value)).tolist()
