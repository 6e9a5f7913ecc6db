"""Data that stay on the host: the samples that a chunk of steps will draw go to the device with it, and no others.

Which they are follows from the run's key and the steps' numbers alone, as for data on the device, and they are the same
ones: where the data lie is no part of what a run is a function of. So a run may be cut anywhere, and resumed with its
data in the other place.
"""

from collections.abc import Callable
from functools import partial

import jax
import numpy as np

from gan_jax.sampling import as_signed, sample_indices
from gan_jax.steps import run_steps, step_keys
from gan_jax.types import GAN, Array, Batch, GANState, Key, Metrics, Rule


@partial(jax.jit, static_argnames=("num_steps", "num"))
def drawn_indices(key: Key, first_step: Array, size: Array, *, num_steps: int, num: int) -> Array:
    """List which samples `sample_real` draws in some steps.

    Args:
      key: the run's root key.
      first_step: number of the first of the steps, i32[].
      size: of the data set, i32[].
      num_steps: how many steps.
      num: samples of one step.

    Returns:
      i32[num_steps, num].
    """

    def of_step(step: Array) -> Array:
        data_key, _ = step_keys(key, step)
        return sample_indices(data_key, num, size)

    return jax.lax.map(of_step, first_step + jax.numpy.arange(num_steps))


def gather(data: Batch, indices: np.ndarray) -> Batch:
    """Take samples from arrays on the host, in the order of the file where they lie in one.

    Args:
      data: arrays [N, ...], maybe mapped into memory.
      indices: int[...].

    Returns:
      Arrays [..., ...] in memory.
    """
    unique, places = np.unique(indices, return_inverse=True)
    taken = jax.tree.map(lambda array: array[unique], data)
    return jax.tree.map(lambda array: array[places.reshape(np.shape(indices))], taken)


def make_streamed_chunk(
    gan: GAN, rule: Rule, *, num_steps: int
) -> Callable[[GANState, Batch, Key], tuple[GANState, Metrics]]:
    """Compile steps of a rule on batches that were gathered for them.

    Args:
      gan: the game.
      rule: how the players take turns.
      num_steps: how many steps.

    Returns:
      `(state, batches, key) -> (state, metrics)`, jitted, as `make_chunk` gives it, but for batches [num_steps, num,
      ...], uint8 pixels or floats, in the place of the data set; the buffers of `state` are donated.
    """

    def chunk(state: GANState, batches: Batch, key: Key) -> tuple[GANState, Metrics]:
        first = state.step

        def sample_batch(batch_key: Key, step: Array) -> Batch:
            del batch_key  # it has served its purpose on the host

            def of_step(array: Array) -> Array:
                return jax.lax.dynamic_index_in_dim(array, step - first, keepdims=False)

            batch = jax.tree.map(of_step, batches)
            return batch._replace(images=as_signed(batch.images))

        return run_steps(partial(rule.step, gan), state, sample_batch, num_steps, key=key)

    return jax.jit(chunk, donate_argnums=0)
