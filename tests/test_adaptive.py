"""Laws of an augmentation whose strength follows D's overfitting: by chance, in D's state, moved by what is stated."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tiny import game, linear_discriminator, painting_generator, stateless

from gan_jax import losses
from gan_jax.adaptive import (
    INTERVAL,
    KEPT,
    MEMORY,
    SIGNALS,
    Control,
    Watched,
    adapting,
    behind,
    gap,
)
from gan_jax.augmentations import by_chance, in_turn
from gan_jax.rules import RULES, alternating
from gan_jax.steps import init_state, run_steps
from gan_jax.types import Batch

pytestmark = pytest.mark.usefixtures("keys_used_once")

NUM = 64
STILL = optax.sgd(0.0)
IMAGES = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (400, 6, 6, 1)), jnp.float32)


# By chance


def test_at_no_strength_images_stay_as_they_are_and_at_full_strength_all_are_changed():
    augment = by_chance(["colour", "translation"])
    np.testing.assert_array_equal(augment(jax.random.key(0), IMAGES, jnp.float32(0)), IMAGES)
    changed = by_chance(["colour"])(jax.random.key(0), IMAGES, jnp.float32(1))
    assert (changed != IMAGES).any(axis=(1, 2, 3)).all()


@pytest.mark.parametrize("strength", [0.2, 0.7])
def test_each_augmentation_changes_its_own_share_of_the_images(strength):
    def darken(key, images):
        del key
        return images - 10.0

    augment = by_chance(["colour", "translation"])
    table = {"colour": darken, "translation": lambda key, images: images * 0.0 + 100.0}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gan_jax.augmentations.AUGMENTATIONS", table)
        augment = by_chance(["colour", "translation"])
    found = np.asarray(augment(jax.random.key(1), IMAGES, jnp.float32(strength)))[:, 0, 0, 0]
    moved, dark = found == 100.0, found < -5
    wide = 4 * (strength * (1 - strength) / len(IMAGES)) ** 0.5
    assert abs(moved.mean() - strength) < wide
    assert abs(dark.sum() / (~moved).sum() - strength) < 2 * wide  # chances of its own


def test_names_and_shapes_are_checked_as_in_turn():
    with pytest.raises(ValueError, match="'fog' is no augmentation"):
        by_chance(["fog"])
    with pytest.raises(ValueError, match=r"images \[B, H, W, C\], got shape \(2, 3\)"):
        by_chance(["cutout"])(jax.random.key(0), jnp.zeros((2, 3)), jnp.float32(0.5))
    assert in_turn(["cutout"]) is not None


# In D's state


def darken_by(key, images, strength):
    """An augmentation whose strength can be read off the images."""
    del key
    return images - strength


def with_strength(state, strength):
    kept = {**state.discriminator.model_state[KEPT], "strength": jnp.float32(strength)}
    model_state = {**state.discriminator.model_state, KEPT: kept}
    return state._replace(discriminator=state.discriminator._replace(model_state=model_state))


def test_d_sees_changed_images_in_training_and_images_as_they_are_else():
    discriminator = behind(linear_discriminator([1.0, 2.0]), darken_by)
    x = jnp.asarray([[1.0, 0.0], [0.0, 1.0]])
    params, model_state = discriminator.init(jax.random.key(0), x)
    assert model_state[KEPT]["strength"] == 0
    model_state[KEPT]["strength"] = jnp.float32(0.5)
    plain, same = discriminator.apply(params, model_state, x, train=False)
    np.testing.assert_allclose(plain, [1, 2])
    seen, kept = discriminator.apply(params, model_state, x, train=True, key=jax.random.key(1))
    np.testing.assert_allclose(seen, [1 - 1.5, 2 - 1.5])
    assert same == model_state and kept == model_state


# What moves it, by hand


@pytest.mark.parametrize(
    ("watched", "expected"),
    [
        ((2.0, 2.0, -1.0), 0.0),
        ((2.0, -1.0, -1.0), 1.0),
        ((2.0, 0.5, -1.0), 0.5),
        ((2.0, 1.7, -1.3), 0.3 / 3.3),
        ((2.0, 3.0, -1.0), 0.0),  # unseen images look more real yet
        ((2.0, -4.0, -1.0), 1.0),
        ((-1.0, -2.0, 1.0), 0.0),  # D takes generated images for real
        ((0.0, 0.0, 0.0), 0.0),
    ],
)
def test_the_gap_by_hand(watched, expected):
    found = gap(Watched(*map(jnp.float32, watched), sign=jnp.float32(0.9)))
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_r_t_is_the_mean_sign():
    watched = Watched(*map(jnp.float32, (2.0, 1.7, -1.3, 0.9)))
    assert SIGNALS["r_t"](watched) == np.float32(0.9)


def by_names(discriminator_weights=(1.0, 0.0), **options):
    """A game that stands still: D's logit is the first coordinate, G paints -1."""
    fakes = np.full((NUM, 2), -1.0, np.float32)
    return game(
        painting_generator(fakes), behind(linear_discriminator(discriminator_weights), darken_by),
        losses.wasserstein(), g_tx=STILL, d_tx=STILL, **options,
    )  # fmt: skip


REAL = Batch(np.tile(np.float32([[3.0, 0.0], [1.0, 0.0]]), (NUM // 2, 1)))  # logits 2 on average
UNSEEN = Batch(np.tile(np.float32([[0.5, 0.0]]), (8, 1)))
GAP = (2.0 - 0.5) / (2.0 + 1.0)  # 0.5


def control(target=0.4, signal="gap", images=10 * INTERVAL * NUM):
    return Control(SIGNALS[signal], target, images, UNSEEN)


def strength(state):
    return float(state.discriminator.model_state[KEPT]["strength"])


@pytest.mark.parametrize(
    ("target", "signal", "rises"),
    [(0.4, "gap", True), (0.6, "gap", False), (0.9, "r_t", False)],
)
def test_the_strength_rises_by_its_part_every_fourth_step_while_the_signal_is_above_its_target(
    target, signal, rises
):
    rule = adapting(alternating, control(target, signal))
    gan = rule.equip(by_names())
    state = with_strength(init_state(gan, jax.random.key(0), REAL), 0.5)
    new, metrics = take(rule, gan, state, 2 * INTERVAL)
    step = 0.1 if rises else -0.1  # 4 steps of 64 images, of 2,560
    expected = [0.5] * 3 + [0.5 + step] * 4 + [0.5 + 2 * step]
    np.testing.assert_allclose(metrics["augment_strength"], expected, rtol=1e-5)
    assert strength(new) == pytest.approx(0.5 + 2 * step)
    share = INTERVAL * NUM / MEMORY
    watched = new.discriminator.model_state[KEPT]["watched"]
    seen = 1 - (1 - share) ** 2
    assert float(watched["train"]) == pytest.approx(2.0 * seen)
    assert float(watched["unseen"]) == pytest.approx(0.5 * seen)
    assert float(watched["fake"]) == pytest.approx(-1.0 * seen)
    assert float(watched["sign"]) == pytest.approx(seen)
    if signal == "gap":
        assert float(metrics["augment_signal"][-1]) == pytest.approx(GAP)


def take(rule, gan, state, num):
    run = jax.jit(
        lambda state: run_steps(
            partial(rule.step, gan), state, lambda key, step: Batch(jnp.asarray(REAL.images)), num,
            key=jax.random.key(1),
        )
    )  # fmt: skip
    return run(state)


@pytest.mark.parametrize(("begin", "target"), [(0.95, 0.4), (0.05, 0.6)])
def test_the_strength_stays_within_0_and_1(begin, target):
    rule = adapting(alternating, control(target))
    gan = rule.equip(by_names())
    state = with_strength(init_state(gan, jax.random.key(0), REAL), begin)
    new, _ = take(rule, gan, state, 2 * INTERVAL)
    assert strength(new) == (1.0 if begin > 0.5 else 0.0)


def test_cut_anywhere_the_steps_end_in_the_same_bits():
    rule = adapting(alternating, control())
    gan = rule.equip(by_names())
    state = init_state(gan, jax.random.key(0), REAL)
    whole, _ = take(rule, gan, state, 10)
    parts = take(rule, gan, take(rule, gan, state, 3)[0], 7)[0]
    assert strength(whole) > 0
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), whole, parts))


@pytest.mark.parametrize("name", RULES)
def test_every_rule_can_be_adapted_and_takes_the_batches_that_it_took(name):
    rule = adapting(RULES[name], control())
    gan = rule.equip(by_names())
    real = Batch(jnp.zeros((rule.batches(gan) * NUM, 2)))
    assert rule.batches(gan) == RULES[name].batches(gan)

    def run(key):
        state = init_state(gan, key, Batch(real.images[:NUM]))
        new, metrics = rule.step(gan, state, real, key=jax.random.key(1))
        assert jax.tree.structure(new) == jax.tree.structure(state)
        return metrics

    gan = gan._replace(
        generator=stateless(lambda key, x: jnp.zeros(2), lambda w, z: w[None] + z[:, :2])
    )
    metrics = jax.eval_shape(run, jax.random.key(0))
    assert {"augment_strength", "augment_signal"} <= metrics.keys()


def test_a_d_without_strength_is_refused():
    rule = adapting(alternating, control())
    gan = by_names()._replace(discriminator=linear_discriminator([1.0, 0.0]))
    with pytest.raises(ValueError, match="D keeps no strength"):
        rule.step(gan, init_state(gan, jax.random.key(0), REAL), REAL, key=jax.random.key(0))
