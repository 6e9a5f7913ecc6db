"""What a measure is: a function of real and generated samples, with its direction and the kind of data it is for."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np

from experiments.command.program import UserError
from gan_jax.data import Dataset
from gan_jax.evaluation.features import IMAGE_SHAPE, SHA256, FeatureNetwork, load_features
from gan_jax.evaluation.own_features import read_features
from gan_jax.evaluation.values import Values

LOWER, HIGHER, NEITHER = "lower", "higher", None  # which is better

Direction = Literal["lower", "higher"] | None


class Labelled(NamedTuple):
    """Samples as a yardstick reads them, with their classes i32[N]."""

    read: Any
    labels: np.ndarray


class Watch(NamedTuple):
    """One number of a measure, cheap enough for --eval_every; lower is better.

    Attributes:
      name: of the number.
      against: `train -> (samples -> number)`; what depends on the training data alone is computed once.
    """

    name: str
    against: Callable[[Any], Callable[[Any], float]]


@dataclasses.dataclass(frozen=True, eq=False)
class Measure:
    """What `evaluate`, `compare`, `floors` and --eval_every know of a measure. It stands in the table of `measures`.

    Attributes:
      name: as --measures has it.
      kinds: names of the kinds of data it applies to.
      directions: name of each number it gives -> which is better, "lower" or "higher"; None for neither.
      compute: `(train, unseen, samples, resamples=) -> Values`, each as the yardstick of the kind reads it; without
        resamples there are no intervals. With `unseen` in the place of `samples` it gives the floor.
      fewest: samples that it needs.
      watch: what --eval_every measures, or None.
      draw: `(train, samples, folder)`, a picture beside the numbers, or None.
      labelled: it is of runs with labels alone, and `compute` is given `Labelled`s.
      names_classes: it holds the network's classes against the run's, which must be among them.
    """

    name: str
    kinds: tuple[str, ...]
    directions: Mapping[str, Direction]
    compute: Callable[..., Values]
    fewest: int = 2
    watch: Watch | None = None
    draw: Callable[[Any, Any, Any], None] | None = None
    labelled: bool = False
    names_classes: bool = False


class Yardstick(NamedTuple):
    """The training data of a run, and how samples are read so that the two can be held against each other.

    Attributes:
      train: what measures take as `train`.
      read: `samples [N, ...] -> ` what measures take as `unseen` and `samples`. It takes real ones and generated ones.
      facts: what the numbers depend on besides the samples, for evaluation.json.
      chosen: which of the training data `train` holds, int[M]; None: all.
      knows_classes: whether class probabilities begin with the data's classes, in their order.
    """

    train: Any
    read: Callable[[np.ndarray], Any]
    facts: Mapping[str, str]
    chosen: np.ndarray | None = None
    knows_classes: bool = True


class Kind(NamedTuple):
    """A kind of data: what the measures of its samples rest on.

    Attributes:
      name: as the experiment calls it.
      refusal: `(name of the data set, shape of a sample) -> ` why no measure applies, or "".
      num_samples: `config -> ` how many are generated unless the user says otherwise.
      yardstick: `(training data, name of the feature network or None) -> Yardstick`.
      unseen: `(test data, num) -> ` at most `num` real samples in the place of generated ones.
      success: `(Values, train) -> ` what counts as success and whether it is met; or None.
      seen: what it is where a feature network is named, which may read images of any shape; None: the same.
      of_config: `config -> ` the kind that the samples of a run are of, where that hangs on its flags; or None.
    """

    name: str
    refusal: Callable[[str, tuple[int, ...]], str]
    num_samples: Callable[[Any], int]
    yardstick: Callable[[Dataset, str | None], Yardstick]
    unseen: Callable[[Dataset, int], np.ndarray]
    success: Callable[[Values, Any], dict[str, Any]] | None = None
    seen: "Kind | None" = None
    of_config: Callable[[Any], "Kind"] | None = None


def frozen_network(
    dataset: str, features: str | None = None, shape: tuple[int, ...] = IMAGE_SHAPE
) -> FeatureNetwork:
    """Load the network that is named, by a name or a file, or the data set's own, or MNIST's.

    Args:
      dataset: name of the data.
      features: a shipped network's name, the path of one of one's own, or None.
      shape: of the images that it is to read.

    Raises:
      UserError: it reads images of another shape.
      FeatureFileError: the file is none, or damaged.
    """
    name = features or (dataset if dataset in SHA256 else "mnist")
    network = load_features(name) if name in SHA256 else read_features(name)
    if network.image_shape != tuple(shape):
        reads, theirs = ("x".join(map(str, each)) for each in (network.image_shape, shape))
        raise UserError(
            f"--features={features}: that network reads images of {reads} (height x width x channels), these are "
            f"{theirs}; train one of them by experiments.train_features, or leave --features out"
        )
    return network


def network_facts(network: FeatureNetwork) -> dict[str, str]:
    """Say which network read the samples, for evaluation.json."""
    return {"features": network.name, "features_sha256": network.sha256}
