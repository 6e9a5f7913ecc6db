"""One stage is both gradients at the old weights, taken one by one."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from strategies import floats, images, seeds
from tiny import (
    BATCH,
    LATENT_DIM,
    POINTS,
    BatchNormGenerator,
    DropoutDiscriminator,
    assert_close,
    game,
    linear_discriminator,
    one_in,
    painting_generator,
    paying,
    pinned,
    quick_jit,
    recording,
)

from gan_jax import losses, penalties
from gan_jax.networks import from_linen
from gan_jax.rules import one_stage
from gan_jax.steps import init_state
from gan_jax.types import Batch

SGD = optax.sgd(1.0)
# One stage: both gradients the long way, at the old weights, with the same latents and the same dropout

LOSSES = {
    "non_saturating": losses.non_saturating(0.9, 0.1),
    "minimax": losses.minimax(),
    "least_squares": losses.least_squares(),
    "hinge": losses.hinge(),
    "wasserstein": losses.wasserstein(),
    "relativistic": losses.relativistic(),
}
GAMMA = 0.7
PENALISED = ("non_saturating", "relativistic")


def players(z, key):
    """A game whose latents and dropout are the same in every call."""
    return game(
        pinned(from_linen(BatchNormGenerator(hidden=4)), x=z),
        pinned(from_linen(DropoutDiscriminator(hidden=4)), key=key),
        g_tx=recording(SGD, 1),
        d_tx=recording(SGD, 1),
    )


def in_one_stage(state, real, z, key):
    results = {}
    for name, loss in LOSSES.items():
        gamma = GAMMA if name in PENALISED else None
        gan = players(z, key)._replace(loss=loss, penalties=paying(r1_gamma=gamma))
        new, metrics = one_stage.step(gan, state, Batch(real), key=jax.random.clone(key))
        grads = [player.opt_state.history for player in (new.generator, new.discriminator)]
        del metrics["d_accuracy"], metrics["g_accuracy"]  # a logit may round to either side of 0
        results[name] = (*grads, new.generator.model_state, metrics)
    return results


def the_long_way(state, real, z, key):
    results = {}
    gan = players(z, key)
    g_old, d_old = state.generator, state.discriminator

    def fakes_of(g):
        return gan.generator.apply(g, g_old.model_state, z, train=True, key=None)

    def logits_of(d, fakes, name):
        def judge(x):
            return gan.discriminator.apply(d, {}, x, train=True, key=None)[0]

        if (
            name in PENALISED
        ):  # a D whose dropout is pinned shares its real pass, and goes apart for it
            return judge(real), judge(fakes)
        logits = judge(jnp.concatenate([real, fakes]))
        return logits[:BATCH], logits[BATCH:]

    def penalty_of(d):
        def logit_fn(x):
            return gan.discriminator.apply(d, {}, x, train=True, key=None)[0]

        return GAMMA * jnp.mean(penalties.r1_penalty(logit_fn, real, None, key=None))

    for name, loss in LOSSES.items():

        def d_loss(d, loss=loss, name=name):
            return loss.discriminator(*logits_of(d, fakes_of(g_old.params)[0], name))

        def g_loss(g, loss=loss, name=name):
            return loss.generator(*logits_of(d_old.params, fakes_of(g)[0], name))

        d_value, d_grads = jax.value_and_grad(d_loss)(d_old.params)
        g_value, g_grads = jax.value_and_grad(g_loss)(g_old.params)
        fakes, model_state = fakes_of(g_old.params)
        metrics = dict(
            zip(
                ("real_logits", "fake_logits"),
                map(jnp.mean, logits_of(d_old.params, fakes, name)),
                strict=True,
            )
        )
        if name in PENALISED:
            metrics["d_penalty"], more = jax.value_and_grad(penalty_of)(d_old.params)
            d_grads = jax.tree.map(jnp.add, d_grads, more)
        metrics |= {"d_loss": d_value, "g_loss": g_value}
        metrics |= {"d_grad_norm": norm(d_grads), "g_grad_norm": norm(g_grads)}
        results[name] = (
            *(jax.tree.map(lambda g: g[None], grads) for grads in (g_grads, d_grads)),
            model_state,
            metrics,
        )
    return results


def norm(tree):
    return jnp.sqrt(sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(tree)))


IN_ONE_STAGE, THE_LONG_WAY = quick_jit(in_one_stage), quick_jit(the_long_way)


@cache
def one_stage_start():
    gan = players(np.zeros((BATCH, LATENT_DIM), np.float32), jax.random.key(0))
    return quick_jit(partial(init_state, gan))(
        jax.random.key(0), Batch(np.zeros(POINTS, np.float32))
    )


@one_in(2)
@given(
    shift=floats(-6, 6), spread=floats(0.1, 6), seed=seeds(), real=images(POINTS), z=images(POINTS)
)
def test_one_stage_is_both_gradients_at_the_old_weights(shift, spread, seed, real, z):
    # `shift` takes D's logits into the flat parts of the hinge: above 1 for real images, below -1 for fake ones.
    state = one_stage_start()
    d = jax.tree.map(lambda leaf: spread * leaf, state.discriminator.params)
    d["logit"]["bias"] = np.full(1, shift, np.float32)
    state = state._replace(discriminator=state.discriminator._replace(params=d))
    arguments = (state, real, z)
    actual = IN_ONE_STAGE(*arguments, jax.random.key(seed))
    expected = THE_LONG_WAY(*arguments, jax.random.key(seed))
    assert_close(actual, expected, rtol=1e-3, atol=2e-5)


def slopes_of_g(fakes):
    """G's gradient, for every loss, where D is the identity on images of one pixel; by one stage, and by the loss."""
    actual, expected = {}, {}
    real = jnp.full((2, 1), 0.5)
    for name, loss in LOSSES.items():
        gan = game(
            painting_generator(np.zeros((2, 1))),
            linear_discriminator(1.0),
            loss,
            g_tx=recording(SGD, 1),
        )
        state = init_state(gan, jax.random.key(0), Batch(real))
        state = state._replace(generator=state.generator._replace(params=fakes))
        new, _ = one_stage.step(gan, state, Batch(real), key=jax.random.key(1))
        actual[name] = new.generator.opt_state.history[0, :, 0]
        expected[name] = jax.grad(loss.generator, 1)(real[:, 0], fakes[:, 0])
    return actual, expected


SLOPES_OF_G = quick_jit(slopes_of_g)


@pytest.mark.parametrize("logit", [-200.0, -3.0, -1.0, 0.0, 1.0, 40.0])
def test_one_stage_moves_g_even_where_d_has_no_slope(logit):
    # The hinge is flat below -1, least squares at 0, and sigmoids vanish far out.
    actual, expected = SLOPES_OF_G(np.float32([[logit], [0.3]]))
    assert_close(actual, expected, rtol=1e-5, atol=1e-9)
