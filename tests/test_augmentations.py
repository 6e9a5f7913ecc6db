"""Laws of the augmentations: what moves, what is cut, what stays; against the same told pixel by pixel in NumPy."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from strategies import images, seeds
from tiny import assert_close, normal, one_in, quick_jit

from gan_jax.augmentations import AUGMENTATIONS, colour, cutout, in_turn, shift, translation

pytestmark = pytest.mark.usefixtures("keys_used_once")

BATCH, SHAPE = 4, (4, 8, 16, 3)
every = pytest.mark.parametrize("name", AUGMENTATIONS)
COMPILED = {name: quick_jit(function) for name, function in AUGMENTATIONS.items()}


def moved(image, down, right):
    """Move an image pixel by pixel, into grey."""
    found = np.zeros_like(image)
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            if 0 <= y - down < image.shape[0] and 0 <= x - right < image.shape[1]:
                found[y, x] = image[y - down, x - right]
    return found


def moved_on(image, down, right):
    """Move an image pixel by pixel, and repeat the outermost ones."""
    found = np.zeros_like(image)
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            here = (
                min(max(y - down, 0), image.shape[0] - 1),
                min(max(x - right, 0), image.shape[1] - 1),
            )
            found[y, x] = image[here]
    return found


@pytest.mark.parametrize(("augment", "move"), [(translation, moved), (shift, moved_on)])
def test_an_image_is_moved_by_whole_pixels_up_to_an_eighth_of_each_side(augment, move):
    many = 400
    x = normal(0, 1, *SHAPE[1:]).repeat(many, axis=0)
    found = np.asarray(quick_jit(augment)(jax.random.key(0), x))
    moves = {(d, r): move(x[0], d, r) for d in (-1, 0, 1) for r in (-2, -1, 0, 1, 2)}
    which = [[m for m, there in moves.items() if (there == image).all()] for image in found]
    assert all(len(fitting) == 1 for fitting in which)
    counts = np.unique([str(fitting[0]) for fitting in which], return_counts=True)[1]
    assert len(counts) == 15 and np.abs(counts - many / 15).max() < 5 * np.sqrt(many / 15)


def test_a_hole_is_half_as_high_and_wide_as_the_image_and_nothing_else_changes():
    many = 500
    x = 1 + np.abs(normal(0, many, 8, 16, 3))
    found = np.asarray(quick_jit(cutout)(jax.random.key(0), x))
    hole = (found == 0).all(axis=-1)
    np.testing.assert_array_equal(found[~hole], x[~hole])
    rows, columns = hole.any(axis=2), hole.any(axis=1)
    np.testing.assert_array_equal(hole, rows[:, :, None] & columns[:, None, :])
    for inside, side in ((rows, 4), (columns, 8)):
        assert inside.sum(axis=1).max() == side  # less where it leaves the image
        assert inside.sum(axis=1).min() == side // 2
        first, last = inside.argmax(axis=1), inside.shape[1] - inside[:, ::-1].argmax(axis=1)
        np.testing.assert_array_equal(last - first, inside.sum(axis=1))
        assert set(first) == {*range(inside.shape[1] - side // 2 + 1)}


def colour64(images, brightness, saturation, contrast):
    x = np.float64(images) + brightness - 0.5
    x = (x - x.mean(axis=3, keepdims=True)) * 2 * saturation + x.mean(axis=3, keepdims=True)
    mean = x.mean(axis=(1, 2, 3), keepdims=True)
    return (x - mean) * (contrast + 0.5) + mean


@one_in(3)
@given(x=images((BATCH, 4, 4, 3)), seed=seeds())
def test_colours_change_as_the_formula_says(x, seed):
    keys = jax.random.split(jax.random.key(seed), 3)
    drawn = [np.float64(jax.random.uniform(key, (BATCH, 1, 1, 1))) for key in keys]
    found = COMPILED["colour"](jax.random.key(seed), x)
    np.testing.assert_allclose(found, colour64(x, *drawn), atol=1e-5)


@every
def test_each_image_is_changed_for_itself_and_by_its_key_alone(name):
    x, augment = normal(0, *SHAPE), COMPILED[name]
    found = augment(jax.random.key(1), x)
    assert found.shape == SHAPE and found.dtype == np.float32
    np.testing.assert_array_equal(found, augment(jax.random.key(1), x))
    assert np.abs(found - augment(jax.random.key(2), x)).max() > 0
    others = x.copy()
    others[1:] = 0.5
    np.testing.assert_array_equal(augment(jax.random.key(1), others)[0], found[0])
    alike = augment(jax.random.key(1), np.tile(x[:1], (BATCH, 1, 1, 1)))
    assert np.abs(alike - alike[:1]).max() > 0


@every
@pytest.mark.parametrize("channels", [1, 3])
def test_gradients_are_those_of_finite_differences(name, channels):
    x, direction = normal(0, 2, 8, 8, channels), normal(1, 2, 8, 8, channels)

    def mean_square(x):
        return jnp.mean(jnp.square(AUGMENTATIONS[name](jax.random.key(0), x)))

    slope = quick_jit(jax.grad(mean_square))(x)
    both = quick_jit(jax.vmap(mean_square))(np.stack([x + 1e-2 * direction, x - 1e-2 * direction]))
    np.testing.assert_allclose((slope * direction).sum(), (both[0] - both[1]) / 2e-2, rtol=1e-2)


def test_they_come_in_the_order_of_the_table_each_with_a_key_of_its_own():
    x, key = normal(0, *SHAPE), jax.random.key(0)
    keys = jax.random.split(jax.random.clone(key), 2)
    expected = cutout(keys[1], colour(keys[0], x))
    assert_close(quick_jit(in_turn(("cutout", "colour")))(key, x), expected)


def test_what_is_no_augmentation_and_what_is_no_image_is_refused():
    with pytest.raises(
        ValueError, match="'color' is no augmentation: choose from colour, translat"
    ):
        in_turn(["color"])
    with pytest.raises(ValueError, match=r"images \[B, H, W, C\], got shape \(4, 2\)"):
        jax.eval_shape(partial(in_turn(["colour"]), jax.random.key(0)), jnp.zeros((4, 2)))
