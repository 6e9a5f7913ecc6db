"""How far a classifier can be believed: each number by hand."""

import math

import numpy as np
import pytest

from gan_jax.evaluation.calibration import calibration

# three images of class 0, of which one is taken for class 1, and one of class 1
P = np.float32([[0.75, 0.25], [0.95, 0.05], [0.25, 0.75], [0.05, 0.95]])
LABELS = np.int32([0, 0, 0, 1])


def test_every_number_of_four_images_by_hand():
    found = calibration(P, LABELS)
    assert found.accuracy == 3 / 4
    assert found.balanced_accuracy == pytest.approx((2 / 3 + 1) / 2)
    assert found.commonest == 3 / 4
    assert found.confidence == pytest.approx((0.75 + 0.95 + 0.75 + 0.95) / 4)
    # of the two that are sure to 0.75 one is right, of the two that are sure to 0.95 both are
    assert found.calibration_error == pytest.approx((2 * (0.75 - 0.5) + 2 * (1 - 0.95)) / 4)
    expected = -(math.log(0.75) + math.log(0.95) + math.log(0.25) + math.log(0.95)) / 4
    assert found.log_loss == pytest.approx(expected, rel=1e-6)


def test_who_is_as_often_right_as_he_is_sure_has_no_error():
    found = calibration(np.tile([[0.75, 0.25]], (4, 1)), LABELS)
    assert found.calibration_error == pytest.approx(0) and found.confidence == found.accuracy


def test_a_class_that_does_not_occur_counts_nowhere_and_certainty_of_the_wrong_is_finite():
    found = calibration([[0, 1, 0], [1, 0, 0]], [1, 1])
    assert found.balanced_accuracy == found.accuracy == 0.5 and found.commonest == 1
    assert math.isfinite(found.log_loss) and found.calibration_error == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("p", "labels", "message"),
    [
        ([[1.0, 0.0]], [0, 1], r"got \(1, 2\), \(2,\)"),
        ([1.0], [0], "expected probabilities"),
        (np.zeros((0, 2)), [], "expected probabilities"),
        ([[1.0, 0.0]], [2], "must lie in 0..1, got 2 to 2"),
        ([[1.0, 0.0]], [-1], "must lie in 0..1, got -1 to -1"),
    ],
)
def test_what_does_not_fit_together_is_refused(p, labels, message):
    with pytest.raises(ValueError, match=message):
        calibration(p, labels)
