"""What is measured of a game with labels: against values by hand, and against mistakes that it is there to find."""

from typing import NamedTuple

import numpy as np
import pytest
from tiny import normal

from experiments.command.program import UserError
from experiments.measuring import by_class, measures
from experiments.measuring.measure import Labelled
from gan_jax.evaluation.frechet import frechet_distance


class Read(NamedTuple):
    images: np.ndarray
    features: np.ndarray
    probabilities: np.ndarray


def some(seed: int, labels: np.ndarray, centres: np.ndarray) -> Labelled:
    """Points around the centre of each one's class, as features and as pixels, read as what they are."""
    points = centres[labels] + normal(seed, len(labels), centres.shape[1])
    return Labelled(Read(points, points, np.eye(len(centres))[labels]), labels)


CENTRES = np.float32([[0, 0], [5, 0], [0, 9]])
LABELS = np.int32([0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2])
TRAIN = some(0, np.tile(LABELS, 5), CENTRES)
SAMPLES = some(1, LABELS, CENTRES)


def test_the_share_of_samples_that_are_what_was_asked_for():
    wrong = SAMPLES._replace(labels=np.where(np.arange(12) < 3, 2, LABELS))
    found = by_class.asked(TRAIN, None, wrong, 0)
    assert found["label_agreement"].value == pytest.approx(9 / 12)
    assert by_class.asked(TRAIN, None, SAMPLES, 0)["label_agreement"].value == 1


@pytest.mark.parametrize(
    ("measure", "name"),
    [(by_class.features, "class_frechet"), (by_class.pixels, "pixel_class_frechet")],
)
def test_distances_within_the_classes_are_averaged_over_the_classes(measure, name):
    found = measure(TRAIN, None, SAMPLES, 20)
    distances = [
        frechet_distance(TRAIN.read.features[TRAIN.labels == k], SAMPLES.read.features[k == LABELS])
        for k in range(3)
    ]
    scale = 1.0
    if name.startswith("pixel"):  # two components are a turn and a change of unit
        scale = float(np.trace(np.cov(TRAIN.read.images, rowvar=False)))
    assert found[name].value * scale == pytest.approx(np.mean(distances), rel=0.02)
    assert found[name].interval.low < found[name].value < found[name].interval.high
    assert found["class_samples"].value == 2
    confused = SAMPLES._replace(labels=np.roll(LABELS, 3))  # as a whole the samples are the same
    assert measure(TRAIN, None, confused, 0)[name].value > 3 * found[name].value


def test_classes_without_samples_are_told_and_do_not_count():
    only = np.flatnonzero(LABELS < 2)
    samples = Labelled(Read(*(part[only] for part in SAMPLES.read)), LABELS[only])
    found = by_class.features(TRAIN, None, samples, 0)
    assert found["class_samples"].value == 0 and np.isfinite(found["class_frechet"].value)
    with pytest.raises(ValueError, match="no class has 2 samples: raise --num_samples"):
        one = Labelled(Read(*(part[:1] for part in SAMPLES.read)), LABELS[:1])
        by_class.features(TRAIN, None, one, 0)


def test_they_are_of_runs_with_labels_alone():
    labelled = {"asked", "by_class", "pixels_by_class"}
    names = [
        {measure.name for measure in measures.of_kind("images", labelled=told)}
        for told in (False, True)
    ]
    assert names[1] - names[0] == labelled and not names[0] & labelled
    with pytest.raises(UserError, match="--measures=asked leaves nothing to measure"):
        measures.of_kind("images", measures.named(["asked"]))
