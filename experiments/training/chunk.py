"""The compiled part of a run, put together once: its first state, and chunks of its steps."""

from collections.abc import Callable
from functools import cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from experiments.command import game
from experiments.command.experiment import Task
from experiments.training.feed import stays_on_host
from gan_jax import parallel
from gan_jax.steps import init_state, make_chunk
from gan_jax.streaming import make_streamed_chunk
from gan_jax.types import Batch, GANState, Key, Metrics

Chunk = Callable[[GANState, Batch, Key], tuple[GANState, Metrics]]


class Compiled(NamedTuple):
    """What runs on the devices.

    Attributes:
      init: `key -> state`, compiled.
      chunk: `num_steps -> (state, data, key) -> (state, metrics)`, compiled once for each number; data as the run's
        feed gives them.
      shapes: of the state, with where it lies.
      images_per_step: real samples that one step takes.
    """

    init: Callable[[Key], GANState]
    chunk: Callable[[int], Chunk]
    shapes: GANState
    images_per_step: int


def assemble(task: Task, mesh: Mesh) -> Compiled:
    """Put together what a task runs on a mesh; nothing is compiled before it is called."""
    config, gan, sample = task.config, task.gan, task.sample
    shared = parallel.over_batch(gan, mesh, config.batch_size)
    rule = parallel.keep_replicated(task.rule, mesh)
    everywhere = parallel.replicated(mesh)

    def first_state(key: Key) -> GANState:
        like = game.batch_of(sample, config.batch_size)
        zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), like)
        return init_state(gan, key, zeros)

    init = jax.jit(first_state, out_shardings=everywhere)
    shapes = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=everywhere),
        jax.eval_shape(first_state, jax.eval_shape(jax.random.key, 0)),
    )
    one_chunk = partial(
        make_chunk, shared, rule, task.experiment.draw_real, batch_size=config.batch_size
    )
    if stays_on_host(task):
        one_chunk = partial(make_streamed_chunk, shared, rule)
    return Compiled(
        init,
        cache(lambda num_steps: one_chunk(num_steps=num_steps)),
        shapes,
        config.batch_size * rule.batches(gan),
    )
