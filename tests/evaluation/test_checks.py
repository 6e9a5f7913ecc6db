"""What is refused before any measure is computed, and what is let through unchanged."""

import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.evaluation.checks import as_feature_pair, as_features, as_probabilities


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float16, np.float32, np.float64])
def test_features_pass_in_their_own_type_without_a_copy(dtype):
    x = np.ones((3, 2), dtype)
    assert as_features("x", x) is x


def test_features_from_the_device_pass_and_bfloat16_becomes_float32():
    assert as_features("x", jnp.ones((3, 2))).dtype == np.float32
    half = as_features("x", jnp.full((3, 2), 1.5, jnp.bfloat16))
    assert half.dtype == np.float32
    assert (half == 1.5).all()


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.ones(3), r"^x must have shape \[N, D\] with N >= 2, D >= 1, got \(3,\)$"),
        (np.ones((1, 3)), r"got \(1, 3\)$"),
        (np.ones((3, 0)), r"got \(3, 0\)$"),
        (np.ones((3, 2, 1)), r"got \(3, 2, 1\)$"),
        ([[1, 2], [np.inf, np.nan], [3, 4]], r"^x must be finite, got 1 of 3 rows that are not$"),
    ],
)
def test_what_is_no_set_of_features_is_refused_in_one_line(x, message):
    with pytest.raises(ValueError, match=message):
        as_features("x", x, min_samples=2)


def test_a_pair_is_refused_by_the_name_of_what_is_wrong():
    with pytest.raises(ValueError, match=r"^real must have shape"):
        as_feature_pair({"real": np.ones(3), "generated": np.ones((3, 1))})
    with pytest.raises(ValueError, match=r"^generated must be finite"):
        as_feature_pair({"real": np.ones((3, 1)), "generated": np.full((3, 1), np.nan)})
    with pytest.raises(
        ValueError, match=r"^real and generated must be of one width D, got 1 and 2$"
    ):
        as_feature_pair({"real": np.ones((3, 1)), "generated": np.ones((3, 2))})


def test_probabilities_may_be_rounded_but_not_wrong():
    p = as_probabilities("p", np.full((2, 3), 1 / 3, np.float16), ndim=2)
    assert p.dtype == np.float64
    for wrong in ([[0.5, 0.6]], [[1.5, -0.5]], [[np.nan, 1.0]], [[np.inf, 0.0]]):
        with pytest.raises(ValueError, match="p must be >= 0 and sum to 1 over the last axis"):
            as_probabilities("p", wrong, ndim=2)
    with pytest.raises(ValueError, match=r"p must have 2 axes, none empty, got \(3,\)"):
        as_probabilities("p", [0.2, 0.3, 0.5], ndim=2)
