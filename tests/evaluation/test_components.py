"""Principal components of pixels: exact on a line, the same in any unit, and blind to nothing but order."""

import numpy as np
import pytest

from gan_jax.evaluation import components
from gan_jax.evaluation.components import principal_components
from gan_jax.evaluation.frechet import frechet_distance

RNG = np.random.default_rng(0)
PICTURES = RNG.integers(0, 256, size=(50, 3, 4, 2), dtype=np.uint8)


def test_a_line_in_the_plane_worked_by_hand():
    """Points 0, 5 and 10 along (3, 4) / 5: mean (3, 4), variance 25, so they lie at -1, 0 and 1."""
    found = principal_components([[0, 0], [3, 4], [6, 8]], num=1)
    np.testing.assert_allclose(found.mean, [3, 4], rtol=1e-6)
    np.testing.assert_allclose(found.axes[0] * np.sign(found.axes[0, 0]), [0.6, 0.8], rtol=1e-6)
    assert found.scale == pytest.approx(5)
    along = found.project([[0, 0], [6, 8], [-1, 7]])[:, 0] * np.sign(found.axes[0, 0])
    np.testing.assert_allclose(along, [-1, 1, 0], atol=1e-6)


def test_a_sampler_of_the_mean_picture_is_at_a_distance_of_one():
    found = principal_components(PICTURES, num=10)
    mean = np.repeat(PICTURES.mean(axis=0, keepdims=True), 5, axis=0)
    distance = frechet_distance(found.project(PICTURES), found.project(mean))
    assert distance == pytest.approx(1, rel=1e-5)


def test_neither_units_nor_the_order_of_the_pixels_matter():
    """Bytes, [-1, 1], and the same with every picture's pixels shuffled alike."""
    other = RNG.integers(0, 256, size=(40, 3, 4, 2), dtype=np.uint8)
    order = RNG.permutation(24)

    def distance(change):
        train, samples = change(PICTURES), change(other)
        found = principal_components(train, num=5)
        return frechet_distance(found.project(train), found.project(samples))

    as_bytes = distance(lambda x: x)
    signed = distance(lambda x: (x.astype(np.float32) - 127.5) / 127.5)
    shuffled = distance(lambda x: x.reshape(len(x), -1)[:, order])
    assert as_bytes == pytest.approx(signed, rel=1e-3) == pytest.approx(shuffled, rel=1e-3)


def test_the_directions_are_those_of_the_covariance():
    wide = RNG.normal(size=(400, 30)) * np.linspace(5, 1, 30)
    found = principal_components(wide, num=3)
    values, vectors = np.linalg.eigh(np.cov(wide.T))
    np.testing.assert_allclose(found.scale**2, values[-3:].sum(), rtol=1e-4)
    np.testing.assert_allclose(np.abs(found.axes @ vectors[:, :-4:-1]), np.eye(3), atol=1e-2)


def test_few_pictures_have_fewer_components_than_asked_for():
    found = principal_components(PICTURES[:4])
    assert found.axes.shape == (3, 24)
    assert found.project(PICTURES).shape == (50, 3)


def test_of_many_pictures_a_fixed_random_choice_is_taken(monkeypatch):
    monkeypatch.setattr(components, "FITTED", 30)
    first, again = principal_components(PICTURES, 4), principal_components(PICTURES, 4)
    np.testing.assert_array_equal(first.axes, again.axes)
    other = principal_components(PICTURES, 4, seed=1)
    assert not np.allclose(first.mean, other.mean)
    assert not np.allclose(first.mean, PICTURES[:30].reshape(30, -1).mean(axis=0))


def test_of_large_pictures_fewer_are_taken_but_some_always(monkeypatch):
    monkeypatch.setattr(components, "FITTED_NUMBERS", 24 * 40)
    monkeypatch.setattr(components, "FITTED_LEAST", 10)
    forty = principal_components(PICTURES, 4)
    monkeypatch.setattr(components, "FITTED", 40)
    monkeypatch.setattr(components, "FITTED_NUMBERS", 10**9)
    np.testing.assert_array_equal(principal_components(PICTURES, 4).axes, forty.axes)
    monkeypatch.setattr(components, "FITTED_NUMBERS", 1)
    assert principal_components(PICTURES, 20).axes.shape == (9, 24)


@pytest.mark.parametrize(
    ("pictures", "num", "message"),
    [
        (PICTURES[:1], 64, r"pictures \[N, ...\] with N >= 2 and num >= 1, got \(1, 3, 4, 2\) and 64"),
        (PICTURES, 0, "num >= 1, got .* and 0"),
        (np.ones((5, 3)), 2, "all 5 pictures are the same"),
        (np.full((5, 3), np.nan), 2, "NaN"),
    ],
)  # fmt: skip
def test_what_has_no_components_is_refused(pictures, num, message):
    with pytest.raises(ValueError, match=message):
        principal_components(pictures, num)


def test_pictures_of_another_size_are_refused():
    with pytest.raises(ValueError, match=r"must have 24 values each, got shape \(2, 5\)"):
        principal_components(PICTURES).project(np.zeros((2, 5)))
