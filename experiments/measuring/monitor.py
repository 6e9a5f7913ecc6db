"""What --eval_every measures: the one number of the table's measures that fits the kind of data."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import numpy as np

from experiments.command.config import Config
from experiments.command.experiment import run_keys
from experiments.command.program import UserError
from experiments.measuring import measures
from gan_jax.data import Dataset
from gan_jax.sampling import sample_labels, sample_latents
from gan_jax.types import Array, GANState, Images

BATCH = 250  # samples generated at once


class Monitor(NamedTuple):
    """A number that says how far samples are from the data; lower is better.

    Attributes:
      name: of the number, as evaluations.jsonl has it.
      measure: `samples -> number`.
    """

    name: str
    measure: Callable[[np.ndarray], float]


def check_eval_every(config: Config, kind: str, sample_shape: tuple[int, ...]) -> None:
    """Refuse --eval_every, before anything is started, where nothing can be measured of the samples.

    Args:
      config: the flags.
      kind: of data, as in the table of measures.
      sample_shape: of one sample.

    Raises:
      UserError: no measure applies.
    """
    if not config.eval_every:
        return
    why = measures.kind_of(kind, config, config.features).refusal(config.dataset, sample_shape)
    if why:
        raise UserError(
            f"--eval_every: nothing can be measured of {config.dataset}: {why}, samples have shape {sample_shape}; "
            "leave --eval_every out"
        )


def monitor_for(
    config: Config, kind: str, dataset: Dataset, sample_shape: tuple[int, ...]
) -> Monitor | None:
    """Choose what --eval_every measures of the samples of a run; None without --eval_every.

    Args:
      config: the flags.
      kind: of data, as in the table of measures.
      dataset: the training data.
      sample_shape: of one sample.

    Raises:
      UserError: no measure applies, or none to so few training data.
    """
    if not config.eval_every:
        return None
    check_eval_every(config, kind, sample_shape)
    known = measures.kind_of(kind, config, config.features)
    watch = next(m.watch for m in measures.of_kind(known.name) if m.watch)
    try:
        yardstick = known.yardstick(dataset, config.features or None)
        number = watch.against(yardstick.train)
    except ValueError as error:
        raise UserError(f"--eval_every: {watch.name} of {dataset.name}: {error}") from error

    def measure(samples: np.ndarray) -> float:
        try:
            return number(yardstick.read(samples))
        except ValueError as error:
            raise UserError(f"--eval_every: {watch.name}: {error}") from error

    return Monitor(watch.name, measure)


def of_states(
    monitor: Monitor | None,
    config: Config,
    generate: Callable[..., Images],
    counts: Sequence[int] | None = None,
) -> tuple[Callable[[GANState], float] | None, str]:
    """Give what the loop calls, `state -> number` of --eval_samples samples, and what the number is called.

    The latents are the same every time. Without a monitor there is nothing to call.

    Args:
      monitor: from `monitor_for`.
      config: the flags.
      generate: `(state, latents) -> samples`; of a game with labels `(state, latents, labels) -> samples`.
      counts: of such a game, how often each class occurs in the data.
    """
    if monitor is None:
        return None, ""
    num = config.eval_samples
    inputs: tuple[Array, ...] = (
        sample_latents(run_keys(config.seed).watch, num, config.latent_dim),
    )
    if counts is not None:
        inputs += (sample_labels(config.seed, counts, num),)
    batches = zip(*(np.array_split(array, max(1, num // BATCH)) for array in inputs), strict=True)
    batches = list(batches)

    def measure(state: GANState) -> float:
        return monitor.measure(
            np.concatenate([jax.device_get(generate(state, *batch)) for batch in batches])
        )

    return measure, monitor.name
