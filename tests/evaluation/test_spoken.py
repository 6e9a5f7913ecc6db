"""Where sounds land among digits and speakers, by hand on judges with two digits and two speakers."""

import math

import numpy as np
import pytest

from gan_jax.evaluation.frechet import frechet_distance
from gan_jax.evaluation.spoken import frechet_of_parts, kl_to_uniform, land, modes_found

# Two digits, two speakers and "none"; a row for each sound.
DIGITS = [[0.95, 0.05, 0], [0.05, 0.95, 0], [0.5, 0, 0.5], [0, 0.05, 0.95], [0.89, 0.11, 0]]
SPEAKERS = [[0, 1, 0], [0.9, 0, 0.1], [0, 1, 0], [1, 0, 0], [0.9, 0.1, 0]]


def test_a_sound_lands_on_the_likeliest_digit_and_speaker_and_is_sure_if_both_judges_are():
    found = land(DIGITS, SPEAKERS)
    assert found.num_modes == 4
    assert found.modes.tolist() == [0 * 2 + 1, 1 * 2 + 0, 0 * 2 + 1, 1 * 2 + 0, 0 * 2 + 0]
    assert found.sure_digit.tolist() == [True, True, False, False, False]
    assert found.sure_speaker.tolist() == [True] * 5
    assert found.sure.tolist() == [True, True, False, False, False]
    assert land(DIGITS, [[0, 0, 1]] * 5).sure_speaker.sum() == 0  # sure that it is nobody


def test_a_mode_needs_a_tenth_of_its_fair_share_of_sure_sounds():
    """Of 80 sounds a fair share of 4 modes is 20: two sure ones are enough, one is not."""
    sure, unsure, other = ([p, 1 - p, 0] for p in (1.0, 0.6, 0.0))
    digits = [sure, sure, other] + [unsure] * 77
    speakers = [[1, 0, 0]] * 80
    assert modes_found(land(digits, speakers)) == 1
    assert modes_found(land([*digits[:79], other], speakers)) == 2
    assert modes_found(land(DIGITS, SPEAKERS)) == 2  # one is enough of five


def test_the_shares_of_all_sounds_are_held_against_even_ones():
    """Modes 1, 2, 1, 2, 0 of four: shares 1/5, 2/5, 2/5, 0."""
    expected = 0.2 * math.log(0.2 / 0.25) + 0.8 * math.log(0.4 / 0.25)
    assert kl_to_uniform(land(DIGITS, SPEAKERS)) == pytest.approx(expected)
    assert kl_to_uniform(land(DIGITS, SPEAKERS).take(np.array([0, 2]))) == pytest.approx(
        math.log(4)
    )


def test_a_distance_is_averaged_over_parts_of_one_size():
    reference, features = (np.random.default_rng(i).normal(size=(7, 2)) for i in (0, 1))
    parts = [frechet_distance(reference, part) for part in (features[:3], features[3:6])]
    assert frechet_of_parts(reference, features, 3) == pytest.approx(np.mean(parts))
    assert frechet_of_parts(reference, features, 7) == frechet_distance(reference, features)
    for size in (1, 8):
        with pytest.raises(ValueError, match=f"parts must have 2 to 7 samples, got {size}"):
            frechet_of_parts(reference, features, size)


def test_what_no_judges_say_is_refused():
    with pytest.raises(ValueError, match=r"expected \[N, K \+ 1\] and \[N, S \+ 1\]"):
        land(DIGITS, SPEAKERS[:4])
    with pytest.raises(ValueError, match="sum to 1"):
        land(np.ones((5, 3)), SPEAKERS)
