"""Laws of the bridge from Flax: what a network keeps, when it changes, and what its key does."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax.errors import InvalidRngError
from hypothesis import given
from strategies import latents, seeds
from tiny import (
    LATENT_DIM,
    BatchNormDiscriminator,
    BatchNormGenerator,
    ConvDiscriminator,
    ConvGenerator,
    DropoutDiscriminator,
    EmbeddingGenerator,
    ProjectionDiscriminator,
    SpectralDiscriminator,
    assert_close,
    bits,
    drawn_variables,
    normal,
    one_in,
    quick_jit,
    shapes_of,
)

from gan_jax.models.mlp import MLPDiscriminator, MLPGenerator
from gan_jax.networks import from_linen

POINTS = jnp.ones((4, LATENT_DIM))
MODULES = {
    "dense": (MLPGenerator((2,), (3,)), POINTS),
    "convolutional": (ConvGenerator(), POINTS),
    "dropout": (DropoutDiscriminator(3), POINTS),
    "convolutional with dropout": (ConvDiscriminator(), jnp.ones((4, 4, 4, 1))),
    "batch norm": (BatchNormGenerator(), POINTS),
    "batch norm with dropout": (BatchNormDiscriminator(3), POINTS),
    "spectral norm": (SpectralDiscriminator(3), POINTS),
}
STATEFUL = ["batch norm", "batch norm with dropout", "spectral norm"]
WITH_DROPOUT = ["dropout", "batch norm with dropout"]
every_module = pytest.mark.parametrize("name", MODULES)


@cache
def compiled(name):
    """A module's weights and state, and its two modes, compiled."""
    module, x = MODULES[name]
    network = from_linen(module)
    variables = quick_jit(network.init)(jax.random.key(0), x)
    train = quick_jit(partial(network.apply, train=True))
    evaluate = quick_jit(partial(network.apply, train=False))
    return network, variables, train, evaluate


@every_module
def test_params_are_what_flax_calls_params_and_the_state_is_all_the_rest(name):
    module, x = MODULES[name]
    key = jax.random.key(0)
    params, model_state = jax.eval_shape(from_linen(module).init, key, x)
    rngs = dict(zip(("params", "dropout"), jax.random.split(jax.random.clone(key)), strict=True))
    variables = dict(jax.eval_shape(partial(module.init, train=True), rngs, x))
    assert shapes_of(variables.pop("params")) == shapes_of(params)
    assert shapes_of(variables) == shapes_of(model_state)
    assert (model_state == {}) == (name not in STATEFUL)


@every_module
def test_both_modes_return_one_array_and_a_state_of_the_same_structure(name):
    module, x = MODULES[name]
    network, key = from_linen(module), jax.random.key(0)
    params, model_state = jax.eval_shape(network.init, key, x)
    for train in (False, True):
        apply = partial(network.apply, train=train, key=jax.random.clone(key))
        y, new_model_state = jax.eval_shape(apply, params, model_state, x)
        assert y.shape[0] == x.shape[0]
        assert y.dtype == jnp.float32
        assert shapes_of(new_model_state) == shapes_of(model_state)


@every_module
def test_evaluation_returns_the_state_itself_and_takes_no_key(name):
    module, x = MODULES[name]
    network = from_linen(module)

    def evaluate(params, model_state):
        y, same = network.apply(params, model_state, x, train=False)
        assert same is model_state
        return y

    jax.eval_shape(lambda key: evaluate(*network.init(key, x)), jax.random.key(0))


@pytest.mark.parametrize("name", STATEFUL)
@given(x=latents())
@one_in(5)
def test_training_renews_the_state_and_leaves_its_arguments_alone(name, x):
    _, (params, model_state), train, _ = compiled(name)
    before = bits((params, model_state))
    _, new_model_state = train(params, model_state, x, key=jax.random.key(0))
    assert bits((params, model_state)) == before
    assert bits(new_model_state) != before[-len(bits(new_model_state)) :]


@given(x=latents())
def test_batch_statistics_move_a_tenth_of_the_way_to_those_of_the_batch(x):
    _, (params, model_state), train, _ = compiled("batch norm")
    _, new = train(params, model_state, x, key=jax.random.key(0))
    dense = {name: np.float64(leaf) for name, leaf in params["project"].items()}
    hidden = np.maximum(x @ dense["kernel"] + dense["bias"], 0)
    new, old = new["batch_stats"]["norm"], model_state["batch_stats"]["norm"]
    expected = {
        "mean": 0.9 * np.float64(old["mean"]) + 0.1 * hidden.mean(axis=0),
        "var": 0.9 * np.float64(old["var"]) + 0.1 * hidden.var(axis=0),
    }
    assert_close(dict(new), expected, rtol=1e-4, atol=1e-5)


def test_evaluation_uses_the_state_and_training_the_batch():
    _, (params, model_state), train, evaluate = compiled("batch norm")
    other_state = jax.tree.map(lambda leaf: leaf + 1, model_state)
    x = np.arange(8, dtype=np.float32).reshape(4, 2)
    key = jax.random.key(0)
    outputs = [f(params, s, x)[0] for f in (evaluate,) for s in (model_state, other_state)]
    assert np.abs(np.subtract(*outputs)).max() > 1e-3
    outputs = [train(params, s, x, key=key)[0] for s in (model_state, other_state)]
    assert bits(outputs[0]) == bits(outputs[1])


@cache
def trained_spectral_state():
    _, (params, model_state), train, _ = compiled("spectral norm")
    for _ in range(100):
        _, model_state = train(params, model_state, POINTS, key=jax.random.key(0))
    return model_state


@given(x=latents())
def test_spectral_norm_divides_by_the_largest_singular_value_once_it_has_trained(x):
    _, (params, _), _, evaluate = compiled("spectral norm")
    y, _ = evaluate(params, trained_spectral_state(), x)
    dense, logit = (
        {name: np.float64(leaf) for name, leaf in params[layer].items()}
        for layer in ("dense", "logit")
    )
    normalised = dense["kernel"] / np.linalg.svd(dense["kernel"])[1][0]
    hidden = x @ normalised + dense["bias"]
    hidden = np.where(hidden > 0, hidden, 0.2 * hidden)
    assert_close(y, (hidden @ logit["kernel"] + logit["bias"])[:, 0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", WITH_DROPOUT)
@given(seed=seeds())
def test_the_key_decides_what_is_dropped(name, seed):
    _, (params, model_state), train, _ = compiled(name)
    x = np.linspace(-2, 2, 8, dtype=np.float32).reshape(4, 2)
    keys = [jax.random.key(s) for s in (seed, seed, seed ^ 1, seed ^ 2, seed ^ 4, seed ^ 8)]
    first, again, *others = (bits(train(params, model_state, x, key=key)[0]) for key in keys)
    assert first == again
    assert any(other != first for other in others)


@pytest.mark.parametrize("name", WITH_DROPOUT)
def test_dropout_without_a_key_is_refused_in_training(name):
    module, x = MODULES[name]
    network = from_linen(module)
    variables = jax.eval_shape(network.init, jax.random.key(0), x)
    with pytest.raises(InvalidRngError, match="dropout"):
        jax.eval_shape(partial(network.apply, train=True), *variables, x)


INIT = quick_jit(from_linen(BatchNormDiscriminator()).init)


@given(seed=seeds())
@one_in(5)
def test_weights_depend_on_the_key_and_not_on_the_values_of_the_input(seed):
    first = bits(INIT(jax.random.key(seed), POINTS))
    assert bits(INIT(jax.random.key(seed), 9 * POINTS)) == first
    assert bits(INIT(jax.random.key(seed ^ 1), POINTS)) != first


# Labels


LABELS = jnp.array([0, 1, 2, 0])
CONDITIONAL = {"G": EmbeddingGenerator(), "D": ProjectionDiscriminator()}


@pytest.mark.parametrize("name", CONDITIONAL)
def test_a_network_judges_each_sample_as_of_its_own_class(name):
    network, x = from_linen(CONDITIONAL[name]), normal(0, 4, LATENT_DIM)
    params, model_state = drawn_variables(network, x, LABELS)
    evaluate = quick_jit(partial(network.apply, train=False))
    whole, _ = evaluate(params, model_state, x, LABELS)
    other, _ = evaluate(params, model_state, x, LABELS.at[0].set(1))
    assert not np.allclose(whole[0], other[0])
    np.testing.assert_array_equal(whole[1:], other[1:])


@one_in(5)
@given(x=latents(), seed=seeds())
def test_a_conditional_network_keeps_the_laws_of_the_others(x, seed):
    network = from_linen(EmbeddingGenerator())
    params, model_state = CONDITIONAL_INIT(jax.random.key(seed), x, LABELS)
    y, new_model_state = quick_jit(partial(network.apply, train=True))(
        params, model_state, x, LABELS
    )
    assert (y.shape, shapes_of(new_model_state)) == ((4, 2), shapes_of(model_state))
    assert bits(new_model_state) != bits(model_state)
    assert network.couples_batch


CONDITIONAL_INIT = quick_jit(from_linen(EmbeddingGenerator()).init)


class AnyInputs(nn.Module):
    """Takes whatever it is given."""

    @nn.compact
    def __call__(self, *inputs, train):
        del train
        return nn.Dense(1)(inputs[0])[:, 0] + inputs[1]


def test_labels_that_a_module_does_not_take_are_refused_by_its_name():
    network = from_linen(MLPDiscriminator((3,)))
    with pytest.raises(ValueError, match="MLPDiscriminator takes no labels: leave them out"):
        network.init(jax.random.key(0), POINTS, LABELS)
    jax.eval_shape(from_linen(AnyInputs()).init, jax.random.key(0), POINTS, LABELS)


# The declaration


class Undeclared(nn.Module):
    """Holds a batch norm, deep inside, and does not say so."""

    @nn.compact
    def __call__(self, x, *, train):
        return nn.Sequential([nn.Dense(3), nn.BatchNorm(not train), nn.Dense(1)])(x)[:, 0]


class Denied(Undeclared):
    """Says that there is none."""

    couples_batch = False


class Declared(Undeclared):
    """Says that there is one."""

    couples_batch = True


@pytest.mark.parametrize("module", [Undeclared(), Denied()])
def test_a_batch_norm_that_is_not_declared_is_refused_by_name(module):
    network = from_linen(module)
    assert network.couples_batch is False
    with pytest.raises(ValueError, match=f"{type(module).__name__} .*couples_batch = True"):
        jax.eval_shape(network.init, jax.random.key(0), POINTS)


def test_a_declared_batch_norm_is_accepted():
    network = from_linen(Declared())
    assert network.couples_batch is True
    jax.eval_shape(network.init, jax.random.key(0), POINTS)


class Normalised(nn.Module):
    """Norms within a sample, which couple nothing."""

    @nn.compact
    def __call__(self, x, *, train):
        del train
        return nn.GroupNorm(1)(nn.LayerNorm()(nn.Dense(4)(x)))


@pytest.mark.parametrize("module", [Normalised(), SpectralDiscriminator(), MLPDiscriminator((3,))])
def test_norms_that_couple_nothing_need_no_declaration(module):
    network = from_linen(module)
    assert network.couples_batch is False
    jax.eval_shape(network.init, jax.random.key(0), POINTS)


class Remembering(nn.Module):
    """Keeps a state that is not a dictionary."""

    @nn.compact
    def __call__(self, x, *, train):
        del train
        first, second = self.variable("memory", "pair", lambda: (jnp.zeros(2), jnp.ones(2))).value
        return nn.Dense(1)(x + first[None] * second[None])[:, 0]


def test_a_state_may_be_any_pytree():
    network = from_linen(Remembering())
    _, model_state = jax.eval_shape(network.init, jax.random.key(0), POINTS)
    assert len(model_state["memory"]["pair"]) == 2
