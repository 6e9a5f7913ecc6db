"""A run read back from its folder: configuration, experiment, game, and the newest sound state."""

from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

import jax
import jax.numpy as jnp
import numpy as np

from experiments.command.config import Config
from experiments.command.experiment import Experiment
from experiments.command.game import shapes_of_state
from experiments.command.program import UserError
from experiments.record.program_of_run import experiment_of
from experiments.record.run_folder import read_run
from gan_jax.checkpoint import Checkpoints
from gan_jax.sampling import sample, sample_labels
from gan_jax.types import GAN, Batch, GANState, Labels, Latents


class RestoredRun(NamedTuple):
    """A run's configuration, experiment, game and state after `step`."""

    config: Config
    facts: dict
    experiment: Experiment
    gan: GAN
    state: GANState
    step: int

    @property
    def class_names(self) -> tuple[str, ...]:
        """What the classes are called: their numbers, where they have no names; none of a game without labels."""
        data = self.facts["dataset"]
        numbers = map(str, range(len(data.get("class_counts", ()))))
        return tuple(data.get("class_names") or numbers)

    def draw_labels(self, seed: int, num: int) -> Labels | None:
        """Draw classes as often as they occur in the training data, i32[num]; None of a game without labels."""
        if not self.experiment.takes_labels(self.config):
            return None
        return sample_labels(seed, self.facts["dataset"]["class_counts"], num)

    def generate(
        self,
        latents: Latents,
        labels: Labels | None = None,
        *,
        ema: bool = True,
        batch: int = 256,
    ) -> np.ndarray:
        """Generate samples in batches of one size, so that one program serves all: [N, ...]."""

        def pad(array: jax.Array) -> jax.Array:
            return jnp.pad(array, ((0, -len(array) % batch), *[(0, 0)] * (array.ndim - 1)))

        given = jax.tree.map(pad, (latents, labels))
        one_batch = jax.jit(lambda state, z, y: sample(self.gan, state, z, y, ema=ema))
        parts = []
        for start in range(0, len(given[0]), batch):
            z, y = jax.tree.map(lambda array, i=start: array[i : i + batch], given)
            parts.append(jax.device_get(one_batch(self.state, z, y)))
        return np.concatenate(parts)[: len(latents)]


def restore_run(path: Path, *, step: int | None = None) -> RestoredRun:
    """Read a run folder; nothing in it is changed.

    Args:
      path: the run folder.
      step: the checkpoint to read; None for the newest sound one.

    Raises:
      UserError: the folder is no run, or was written by another version of this code, or has no checkpoint, or its
        program is not to be found.
      CheckpointError: none of its checkpoints is sound.
    """
    facts = read_run(path)
    experiment = experiment_of(facts, path)
    try:
        config = _configuration(facts["config"])
        shape = tuple(facts["dataset"]["shape"])
        gan = experiment.game(config, shape, len(facts["dataset"].get("class_counts", ())))
        labels = jax.ShapeDtypeStruct((), jnp.int32) if experiment.takes_labels(config) else None
        one = Batch(jax.ShapeDtypeStruct(shape, jnp.float32), labels)
        shapes = shapes_of_state(gan, one, config.batch_size, jax.random.key(0))
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(
            f"{path}/run.json is damaged, or of another version of gan_jax: {reason}"
        ) from error
    restored = Checkpoints(path / "checkpoints").restore_players(shapes, step=step)
    if restored is None:
        raise UserError(f"{path} has no checkpoint yet: let the run reach --checkpoint_every steps")
    return RestoredRun(config, facts, experiment, gan, restored.state, restored.step)


def _configuration(saved: dict[str, Any]) -> Config:
    config = Config(**saved)
    for name, kind in get_type_hints(Config).items():
        value = getattr(config, name)
        kinds = (kind, int) if kind in (float, float | None) else kind
        if not isinstance(value, kinds) or (isinstance(value, bool) and kind is not bool):
            raise TypeError(f"--{name} is {value!r:.40}, expected {kind}")
    return config


def best_and_last(path: Path) -> dict[str, int | None]:
    """Name the checkpoints worth measuring: the last, and the best where the run chose one and it is another.

    Raises:
      UserError: the folder is no run.
    """
    read_run(path)
    checkpoints = Checkpoints(path / "checkpoints")
    best, steps = checkpoints.best_step(), checkpoints.steps()
    different = best is not None and best != steps[-1]
    return {"best": best, "last": None} if different else {"last": None}
