"""Penalties share D's real pass with the loss where they may: fewer products, the same numbers."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from tiny import (
    BATCH,
    POINTS,
    BatchNormDiscriminator,
    DropoutDiscriminator,
    SpectralDiscriminator,
    assert_close,
    game,
    normal,
    paying,
    quick_jit,
)

from gan_jax import losses, objectives, rules
from gan_jax.augmentations import in_turn
from gan_jax.networks import from_linen
from gan_jax.pull_back import bound, off_zero, slopes_by_logit
from gan_jax.steps import init_state
from gan_jax.types import Batch


class PlainDiscriminator(nn.Module):
    """Two hidden dense layers; smooth by default, so that its slopes have slopes."""

    bend: Callable = jnp.tanh

    @nn.compact
    def __call__(self, images, *, train):
        x = images.reshape(images.shape[0], -1)
        for number in range(2):
            x = self.bend(nn.Dense(5, name=f"dense_{number}")(x))
        return nn.Dense(1, name="logit")(x)[:, 0]


D = from_linen(PlainDiscriminator())
GAMES = {
    "plain": (D, 3.0, True),
    "no penalty": (D, None, False),
    "dropout": (from_linen(DropoutDiscriminator()), 3.0, False),
    "statistics": (from_linen(SpectralDiscriminator()), 3.0, False),
    "coupled": (from_linen(BatchNormDiscriminator()), 3.0, False),
}


def playing(discriminator=D, gamma=3.0, **changed):
    return game(discriminator=discriminator)._replace(penalties=paying(r1_gamma=gamma), **changed)


@pytest.mark.parametrize("name", GAMES)
def test_passes_are_shared_where_nothing_but_images_decides(name):
    discriminator, gamma, expected = GAMES[name]
    gan = playing(discriminator, gamma)
    params, model_state = discriminator.init(jax.random.key(0), np.zeros(POINTS, np.float32))
    batch = Batch(np.zeros(POINTS, np.float32))
    assert objectives.shares_passes(gan, params, model_state, batch) == expected


def test_an_augmented_d_shares_nothing():
    discriminator = from_linen(PlainDiscriminator())
    images = np.zeros((BATCH, 4, 4, 1), np.float32)
    params, _ = discriminator.init(jax.random.key(0), images)
    gan = playing(discriminator, augment=in_turn(("translation",)))
    assert not objectives.shares_passes(gan, params, {}, Batch(images))


def derivatives(seeds, params, images):
    """Logits, slopes, and the gradient by the weights of what a penalty makes of both."""

    def logits_of(params, images):
        return D.apply(params, {}, images, train=True)[0]

    def judged(params):
        logits, pull_back = jax.vjp(bound(logits_of, params, seeds), images)
        return jnp.sum(logits**2) + jnp.sum(pull_back(jnp.ones_like(logits))[0] ** 2)

    return jax.value_and_grad(judged)(params)


def test_any_seeds_give_the_same_slopes_and_gradients():
    params, _ = D.init(jax.random.key(0), np.zeros(POINTS, np.float32))
    params = jax.tree.map(lambda leaf: leaf + 0.3, params)
    given = params, normal(1, *POINTS)
    expected = quick_jit(partial(derivatives, None))(*given)
    for seeds in (np.float32([1.0, -2.0, 1e-12, -1e-3]), np.ones(BATCH, np.float32)):
        assert_close(quick_jit(partial(derivatives, seeds))(*given), expected, rtol=1e-4, atol=1e-5)


def test_slopes_of_a_loss_that_is_flat_are_small_and_none_is_0():
    real, fake = slopes_by_logit(
        losses.hinge(), np.float32([3.0, 0.0]), np.float32([-3.0, 0.0])
    )  # beyond its margin, and at 0
    np.testing.assert_allclose(real, [1e-12, -0.5], rtol=1e-6)
    np.testing.assert_allclose(fake, [1e-12, 0.5], rtol=1e-6)
    np.testing.assert_allclose(off_zero(np.float32([-1e-20, 2.0])), [-1e-12, 2.0], rtol=1e-6)


def step_of(rule, shares, monkeypatch):
    """The products of D's middle layer in a step's compiled program, and what the step gives."""
    if not shares:
        monkeypatch.setattr(objectives, "shares_passes", lambda *arguments: False)
        monkeypatch.setattr("gan_jax.rules.one_pass.shares_passes", lambda *arguments: False)
    gan = playing(from_linen(PlainDiscriminator(nn.leaky_relu)))
    batch = Batch(normal(2, *POINTS))
    state = quick_jit(partial(init_state, gan))(jax.random.key(0), batch)
    step = jax.jit(partial(rules.RULES[rule].step, gan))
    compiled = step.lower(state, batch, key=jax.random.key(1)).compile()
    lines = compiled.as_text().splitlines()
    products = [line for line in lines if " dot(" in line and "/dense_1/" in line]
    return len(products), compiled(state, batch, key=jax.random.key(1))


# D forward, back, R1's second pass and gradients by the weights: real and generated images apart where the real pass is
# shared, and beside R1's own passes where it is not. In turn, G's step goes through D once more, there and back.
@pytest.mark.parametrize(
    ("rule", "apart", "together"),
    [("one_stage", 2 + 2 + 1 + 3, 2 + 2 + 1 + 2), ("alternating", 10, 9)],
)
def test_shared_passes_are_computed_once_and_give_the_same_numbers(
    rule, apart, together, monkeypatch
):
    shared, ours = step_of(rule, True, monkeypatch)
    alone, theirs = step_of(rule, False, monkeypatch)
    assert (shared, alone) == (apart, together)
    assert_close(ours, theirs, rtol=2e-4, atol=1e-5)
