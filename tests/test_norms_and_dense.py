"""Batch norm and dense layers are Flax's in parameters and numbers, in gradients of any order too; sums are sums."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from tiny import assert_close, normal, quick_jit, shapes_of

from gan_jax.layers import BatchNorm, Dense
from gan_jax.layers.sums import channel_sums

AXES = pytest.mark.parametrize("axis", [0, -1])


def drawn(axis, seed=0):
    """Images whose channels differ in mean and spread."""
    x = 2.0 * normal(seed, 4, 3, 2, 5) + np.arange(5, dtype=np.float32)
    return x if axis == -1 else np.moveaxis(x, -1, 0)


def variables_of(axis, seed=3):
    """Parameters and running statistics in Flax's names."""
    params = {"scale": 1.0 + normal(seed, 5), "bias": normal(seed + 1, 5)}
    statistics = {"mean": normal(seed + 2, 5), "var": 1.0 + normal(seed + 3, 5) ** 2}
    return {"params": params, "batch_stats": statistics}


def both(axis, train):
    options = {"axis": axis, "momentum": 0.9, "epsilon": 1e-3}
    return BatchNorm(not train, **options), nn.BatchNorm(not train, **options)


@AXES
@pytest.mark.parametrize("train", [False, True])
def test_batch_norm_is_flaxs(axis, train):
    (ours, own), (theirs, flaxs) = (
        quick_jit(module.apply, static_argnames="mutable")(
            variables_of(axis), drawn(axis), mutable=("batch_stats",)
        )
        for module in both(axis, train)
    )
    assert_close((ours, own), (theirs, flaxs), rtol=1e-5, atol=1e-5)


@AXES
def test_batch_norms_gradients_are_flaxs_to_the_second_order(axis):
    weights = normal(9, *drawn(axis).shape)

    def derivatives(module, params, x):
        def loss(params, x):
            variables = variables_of(axis) | {"params": params}
            y, _ = module.apply(variables, x, mutable=["batch_stats"])
            return jnp.sum(weights * jnp.tanh(y))

        first = jax.grad(loss, (0, 1))
        return first(params, x), jax.grad(lambda x: jnp.sum(weights * first(params, x)[1]))(x)

    ours, theirs = (
        quick_jit(lambda p, x, module=module: derivatives(module, p, x))(
            variables_of(axis)["params"], drawn(axis)
        )
        for module in both(axis, True)
    )
    assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


def test_batch_norm_draws_flaxs_variables():
    ours, theirs = (
        jax.eval_shape(module.init, jax.random.key(0), drawn(-1)) for module in both(-1, True)
    )
    assert shapes_of(ours) == shapes_of(theirs)


@AXES
def test_statistics_are_float32_where_the_computation_is_not(axis):
    module = BatchNorm(False, axis=axis, dtype=jnp.bfloat16)
    x = jnp.asarray(drawn(axis), jnp.bfloat16)
    y, found = module.apply(variables_of(axis), x, mutable=["batch_stats"])
    leaves = jax.tree.leaves(found)
    assert y.dtype == jnp.bfloat16 and {leaf.dtype for leaf in leaves} == {jnp.dtype(jnp.float32)}


@AXES
def test_channel_sums_are_sums_and_their_gradient_is_spread(axis):
    x = drawn(axis)
    sums, pull_back = jax.vjp(lambda x: channel_sums(x, axis), x)
    assert_close(sums, np.moveaxis(x, axis, 0).reshape(5, -1).sum(1), rtol=1e-5, atol=1e-5)
    (gradient,) = pull_back(np.arange(5, dtype=np.float32))
    assert_close(np.moveaxis(gradient, axis, -1), np.broadcast_to(np.arange(5.0), (4, 3, 2, 5)))


@AXES
def test_channel_sums_of_bfloat16_are_summed_in_float32(axis):
    shape = (3, 1000) if axis == 0 else (1000, 3)
    sums = channel_sums(jnp.ones(shape, jnp.bfloat16), axis)
    assert (
        sums.dtype == jnp.bfloat16
    )  # in which a sum of ones that is rounded each time ends at 256
    np.testing.assert_array_equal(np.float32(sums), np.full(3, 1000.0))


# batch, inputs, outputs: where the batch is turned and where it is not
@pytest.mark.parametrize("sizes", [(2, 9, 8), (9, 2, 3)])
def test_dense_is_flaxs_with_gradients_of_the_second_order(sizes):
    batch, inputs, outputs = sizes
    x, weights = normal(0, batch, inputs), normal(1, batch, outputs)
    params = {"params": {"kernel": normal(2, inputs, outputs), "bias": normal(3, outputs)}}

    def derivatives(module, params, x):
        def loss(params, x):
            return jnp.sum(weights * jnp.tanh(module.apply(params, x)))

        def steepness(params, x):
            slopes = jax.tree.leaves(jax.grad(loss, (0, 1))(params, x))
            return sum(jnp.sum(slope**2) for slope in slopes)

        return loss(params, x), *(jax.grad(f, (0, 1))(params, x) for f in (loss, steepness))

    ours, theirs = (
        quick_jit(lambda p, x, module=module: derivatives(module, p, x))(params, x)
        for module in (Dense(outputs), nn.Dense(outputs))
    )
    assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


def test_dense_draws_flaxs_parameters():
    x, key = jnp.zeros((2, 3)), jax.random.key(0)
    ours, theirs = Dense(4).init(key, x), nn.Dense(4).init(jax.random.clone(key), x)
    assert_close(ours, theirs, rtol=0, atol=0)


def test_dense_refuses_what_is_no_batch_of_vectors():
    with pytest.raises(ValueError, match=r"vectors \[B, I\], got shape \(2, 3, 4\)"):
        jax.eval_shape(Dense(4).init, jax.random.key(0), jnp.zeros((2, 3, 4)))
