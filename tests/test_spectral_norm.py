"""Laws of spectral normalisation in D: slope one, whatever the size of the weights, and the same names."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import game, normal, quick_jit

from gan_jax import losses
from gan_jax.models import NETWORKS
from gan_jax.models.dcgan import DCGANDiscriminator
from gan_jax.models.mlp import MLPDiscriminator
from gan_jax.models.options import PlayerOptions
from gan_jax.networks import from_linen
from gan_jax.rules import alternating
from gan_jax.steps import init_state
from gan_jax.types import Batch

X = normal(0, 6, 3)


def settled(module, scale=1.0):
    """Logits and slopes of a D whose estimates have settled over 30 training passes, with scaled weights."""
    network = from_linen(module)

    def run(key):
        params, state = network.init(key, X)
        params = jax.tree.map(lambda p: scale * p if p.ndim > 1 else p, params)

        def renew(state, _):
            return network.apply(params, state, X, train=True)[1], None

        state, _ = jax.lax.scan(renew, state, length=30)
        judge = lambda x: network.apply(params, state, x[None], train=False)[0][0]  # noqa: E731
        return jax.vmap(jax.value_and_grad(judge))(jnp.asarray(X))

    return quick_jit(run)(jax.random.key(1))


def test_a_linear_d_has_slope_one():
    _, slopes = settled(MLPDiscriminator((), spectral_norm=True))
    np.testing.assert_allclose(np.linalg.norm(slopes, axis=1), 1.0, rtol=1e-4)


def test_a_deep_d_has_slope_at_most_one_whatever_the_size_of_its_weights():
    module = MLPDiscriminator((7, 5), spectral_norm=True)
    (logits, slopes), (others, _) = settled(module), settled(module, scale=10.0)
    assert 0.01 < np.linalg.norm(slopes, axis=1).max() < 1.001
    np.testing.assert_allclose(logits, others, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    "make", [partial(MLPDiscriminator, (4,)), partial(DCGANDiscriminator, 2, hidden=(3,))]
)
def test_weights_keep_their_names_and_the_estimates_are_model_state(make):
    x = jnp.zeros((2, 8, 8, 1))
    plain, normed = (
        jax.eval_shape(from_linen(make(spectral_norm=on)).init, jax.random.key(0), x)
        for on in (False, True)
    )
    assert jax.tree.map(jnp.shape, plain[0]) == jax.tree.map(jnp.shape, normed[0])
    assert plain[1] == {} and jax.tree.leaves(normed[1])


def test_a_step_renews_the_estimates_in_ds_turn_alone():
    network = from_linen(MLPDiscriminator((4,), spectral_norm=True))
    gan = game(discriminator=network, loss=losses.hinge())
    real = Batch(jnp.asarray(normal(2, 4, 2)))

    def both(key):
        state = init_state(gan, jax.random.key(0), real)
        new, _ = alternating.step(gan, state, real, key=key)
        pass_over = jnp.zeros((8, 2))  # the estimate hangs on the weights alone
        once = network.apply(*state.discriminator[:2], pass_over, train=True)[1]
        return new.discriminator.model_state, once

    found, once = quick_jit(both)(jax.random.key(3))
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(once), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)


@pytest.mark.parametrize("name", ["article", "unrolled"])
def test_published_networks_refuse_it(name):
    with pytest.raises(ValueError, match="without spectral norm"):
        NETWORKS[name](PlayerOptions((28, 28, 1), spectral_norm=True))
