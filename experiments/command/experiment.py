"""What an experiment brings to the loop, and the run's random streams."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax

from gan_jax.data import Dataset
from gan_jax.sampling import sample_real
from gan_jax.types import GAN, GANState, Images

Record = dict[str, Any]


class Experiment(NamedTuple):
    """What an experiment brings to the loop.

    Attributes:
      name: as in `python -m experiments.<name>`.
      dataset: the real samples.
      gan: the game.
      draw: `(state, path)`, draw samples of a state as a picture, from the same latents every time.
      watch: `state -> record`, further quantities for each line of the log.
      warn: `record -> words or None`, what the student should know of a line.
      finish: `(state, folder)`, draw the picture that ends the run.
      measure: `state -> number`, how far the samples are from the data, lower is better; None: not measurable.
      measured: what that number is called in evaluations.jsonl.
      draw_real: `(key, images of the dataset, num) -> real samples [num, ...]`.
    """

    name: str
    dataset: Dataset
    gan: GAN
    draw: Callable[[GANState, Path], None]
    watch: Callable[[GANState], Record]
    warn: Callable[[Record], str | None]
    finish: Callable[[GANState, Path], None]
    measure: Callable[[GANState], float] | None = None
    measured: str = ""
    draw_real: Callable[[jax.Array, jax.Array, int], Images] = sample_real

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """The shape of one real sample, as `draw_real` makes it of the dataset."""
        one = partial(self.draw_real, num=1)
        return jax.eval_shape(one, jax.random.key(0), self.dataset.images).shape[1:]


class Keys(NamedTuple):
    """The run's independent random streams."""

    init: jax.Array
    train: jax.Array
    samples: jax.Array
    watch: jax.Array


def run_keys(seed: int) -> Keys:
    """Split a seed into the run's streams."""
    return Keys(*jax.random.split(jax.random.key(seed), 4))
