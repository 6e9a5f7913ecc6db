"""Where a run's log and pictures go besides its folder: anything that takes numbers and pictures.

Weights & Biases follows TensorBoard's events by itself: `wandb sync RUN/tensorboard` afterwards, or, in a fork's
`main`, `wandb.init(sync_tensorboard=True)` before the training.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from experiments.command.program import UserError


class Sink(NamedTuple):
    """What is told of a run as it goes.

    Attributes:
      numbers: `record -> None`, called with each line of the log.
      picture: `(step, path) -> None`, called with each picture of samples.
    """

    numbers: Callable[[Mapping[str, Any]], None]
    picture: Callable[[int, Path], None]


NOWHERE = Sink(lambda record: None, lambda step, path: None)


@contextlib.contextmanager
def tensorboard(folder: Path, wanted: bool) -> Iterator[Sink]:
    """Give what writes TensorBoard events into a run's folder, or what does nothing.

    Raises:
      UserError: tensorboardX is not installed.
    """
    if not wanted:
        yield NOWHERE
        return
    try:
        from tensorboardX import SummaryWriter
    except ImportError as error:
        raise UserError(
            "--tensorboard needs tensorboardX: pip install 'gan_jax[tensorboard]'"
        ) from error
    with SummaryWriter(str(folder / "tensorboard")) as writer:

        def numbers(record: Mapping[str, Any]) -> None:
            for name, value in record.items():
                if isinstance(value, float) and name != "seconds":
                    writer.add_scalar(name, value, record["step"])

        def picture(step: int, path: Path) -> None:
            import numpy as np
            from PIL import Image

            with Image.open(path) as image:
                pixels = np.asarray(image.convert("RGB"))
            writer.add_image("samples", pixels, step, dataformats="HWC")

        yield Sink(numbers, picture)
