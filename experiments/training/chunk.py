"""The compiled part of a run, put together once: its first state, and chunks of its steps."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from experiments.command import game
from experiments.command.experiment import Task
from experiments.command.program import UserError
from experiments.training.feed import stays_on_host
from gan_jax import parallel
from gan_jax.steps import init_state, make_chunk
from gan_jax.streaming import make_streamed_chunk
from gan_jax.types import Batch, GANState, Key, Metrics

Chunk = Callable[[GANState, Batch, Key], tuple[GANState, Metrics]]
Compile = Callable[[jax.stages.Lowered], jax.stages.Compiled]


class Chunks:
    """A run's chunks by their number of steps, each compiled once: when it is first called, or ahead in a thread."""

    def __init__(self, make: Callable[[int], Any], compile_: Compile) -> None:
        """Take `num_steps -> jitted chunk`, and what compiles one ahead."""
        self.jitted, self._compile = cache(make), compile_
        self._traced: dict[int, jax.stages.Traced] = {}
        self._ahead: dict[int, Future[Chunk]] = {}

    def __call__(self, num_steps: int) -> Chunk:
        """Give the chunk of so many steps; waits for it if it is being compiled."""
        ahead = self._ahead.get(num_steps)
        return self.jitted(num_steps) if ahead is None else ahead.result()

    def trace(self, num_steps: int, state: GANState, data: Batch) -> None:
        """Trace a chunk without computing it, so that a game that cannot be played is refused before it starts.

        Args:
          num_steps: of the chunk.
          state: shapes of a state, with where it lies.
          data: what the run's feed gives, or shapes of it.

        Raises:
          ValueError: the update rule, the loss, the penalties or the shapes do not fit together.
        """
        key = jax.eval_shape(jax.random.key, 0)
        self._traced[num_steps] = self.jitted(num_steps).trace(state, data, key)

    def compile_ahead(self, num_steps: int) -> None:
        """Begin to compile a chunk that was traced, while other work is done; one that was not waits for its call."""
        if num_steps in self._ahead or num_steps not in self._traced or jax.process_count() > 1:
            return
        traced, thread = self._traced[num_steps], ThreadPoolExecutor(1)
        self._ahead[num_steps] = thread.submit(lambda: self._compile(traced.lower()))
        thread.shutdown(wait=False)

    def is_awaited(self, num_steps: int) -> bool:
        """Whether a chunk is being compiled now."""
        return num_steps in self._ahead and not self._ahead[num_steps].done()


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
    chunk: Chunks
    shapes: GANState
    images_per_step: int


def assemble(task: Task, mesh: Mesh, compile_: Compile = jax.stages.Lowered.compile) -> Compiled:
    """Put together what a task runs on a mesh; nothing is compiled before it is called.

    Args:
      task: the run.
      mesh: its devices.
      compile_: what compiles its programs.

    Raises:
      UserError: the players cannot take samples of that shape.
    """
    config, gan, sample = task.config, task.gan, task.sample
    shared = parallel.over_batch(gan, mesh, config.batch_size)
    rule = parallel.keep_replicated(task.rule, mesh)
    everywhere = parallel.replicated(mesh)

    def first_state(key: Key) -> GANState:
        like = game.batch_of(sample, config.batch_size)
        zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), like)
        return init_state(gan, key, zeros)

    init, key = jax.jit(first_state, out_shardings=everywhere), jax.eval_shape(jax.random.key, 0)
    try:
        shapes = jax.eval_shape(init, key)
    except ValueError as error:
        raise UserError(f"--network: {error}") from error
    shapes = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=everywhere), shapes
    )
    one_chunk = partial(
        make_chunk, shared, rule, task.experiment.draw_real, batch_size=config.batch_size
    )
    if stays_on_host(task):
        one_chunk = partial(make_streamed_chunk, shared, rule)
    compiled_init = cache(lambda: compile_(init.lower(key)))
    return Compiled(
        lambda key: init(key) if jax.process_count() > 1 else compiled_init()(key),
        Chunks(lambda num_steps: one_chunk(num_steps=num_steps), compile_),
        shapes,
        config.batch_size * rule.batches(gan),
    )


def check_playable(task: Task, compiled: Compiled, num_steps: int, data: Batch) -> None:
    """Trace a run's first chunk, so that a game that cannot be played is refused before it starts.

    Args:
      task: the run.
      compiled: from `assemble`.
      num_steps: of the chunk.
      data: what the run's feed gives, or shapes of it.

    Raises:
      UserError: the update rule, the loss, the penalties or the shapes do not fit together.
    """
    try:
        compiled.chunk.trace(num_steps, compiled.shapes, data)
    except ValueError as error:
        raise UserError(f"--update={task.config.update}: {error}") from error
