"""A run read back from its folder: configuration, game, and the newest sound state."""

from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

import jax
import jax.numpy as jnp
import numpy as np

from experiments.command.config import Config
from experiments.command.game import build_gan
from experiments.command.program import UserError
from experiments.record.run_folder import read_run
from gan_jax.checkpoint import Checkpoints
from gan_jax.sampling import sample
from gan_jax.steps import init_state
from gan_jax.types import GAN, GANState, Latents


class RestoredRun(NamedTuple):
    """A run's configuration, game and state after `step`."""

    config: Config
    facts: dict
    gan: GAN
    state: GANState
    step: int

    def generate(self, latents: Latents, *, ema: bool = True, batch: int = 256) -> np.ndarray:
        """Generate samples in batches of one size, so that one program serves all: [N, ...]."""
        padded = jnp.pad(latents, ((0, -len(latents) % batch), (0, 0)))
        one_batch = jax.jit(lambda state, z: sample(self.gan, state, z, ema=ema))
        parts = [
            jax.device_get(one_batch(self.state, padded[i : i + batch]))
            for i in range(0, len(padded), batch)
        ]
        return np.concatenate(parts)[: len(latents)]


def restore_run(path: Path, *, step: int | None = None) -> RestoredRun:
    """Read a run folder; nothing in it is changed.

    Args:
      path: the run folder.
      step: the checkpoint to read; None for the newest sound one.

    Raises:
      UserError: the folder is no run, or was written by another version of this code, or has no checkpoint.
      CheckpointError: none of its checkpoints is sound.
    """
    facts = read_run(path)
    try:
        config = _configuration(facts["config"])
        shape = tuple(facts["dataset"]["shape"])
        gan = build_gan(config, shape)
        like = jax.ShapeDtypeStruct((config.batch_size, *shape), jnp.float32)
        shapes = jax.eval_shape(lambda images: init_state(gan, jax.random.key(0), images), like)
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(
            f"{path}/run.json is damaged, or of another version of gan_jax: {reason}"
        ) from error
    restored = Checkpoints(path / "checkpoints").restore(shapes, step=step)
    if restored is None:
        raise UserError(f"{path} has no checkpoint yet: let the run reach --checkpoint_every steps")
    return RestoredRun(config, facts, gan, restored.state, restored.step)


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
