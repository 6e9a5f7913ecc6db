"""A portable network computes what JAX computes, in few plain layers, or is refused by name."""

import json
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from jax import random

from gan_jax import portable
from gan_jax.models import NETWORKS
from gan_jax.models.options import PlayerOptions
from gan_jax.networks import from_linen

IMAGE = (28, 28, 1)
CLASSES = 4
LABELLED = {"num_classes": CLASSES}
PLAYERS = {
    "dcgan": PlayerOptions(IMAGE, 0.25, 0.1, g_hidden=(16, 8), d_hidden=(8,), **LABELLED),
    "dcgan, paired": PlayerOptions((16, 16, 3), 0.25, 0.1, paired=True),
    "article": PlayerOptions(IMAGE, 0.05, 0.05, **LABELLED),
    "residual": PlayerOptions((12, 16, 3), 0.25, 0.25, **LABELLED),
    "unrolled": PlayerOptions((28, 28, 3), **LABELLED),
    "wave": PlayerOptions((1, 64, 1), 0.05, 0.05, g_hidden=(4,), **LABELLED),
    "mlp": PlayerOptions((2,), bias_std=0.5),
    "mlp, of images": PlayerOptions((8, 6, 3), **LABELLED),
}
LATENTS = 6


def trained(network, input_shape, labels=None):
    """Weights and statistics of which none is 0 or 1, as training leaves them."""
    x = jnp.zeros((3, *input_shape))
    params, model_state = jax.jit(network.init)(random.key(0), x, labels)
    leaves, tree = jax.tree.flatten((params, model_state))
    moved = [
        np.asarray(leaf) + np.random.default_rng(i).uniform(0.05, 0.4, leaf.shape).astype("f4")
        if leaf.ndim < 2
        else leaf
        for i, leaf in enumerate(leaves)
    ]
    return jax.tree.unflatten(tree, moved)


def traced_and_truth(module, input_shape, num_classes=None):
    """The portable program with what it and JAX compute of the same 5 inputs."""
    network = from_linen(module)
    labels = None if num_classes is None else jnp.arange(5, dtype=jnp.int32) % num_classes
    params, model_state = trained(network, input_shape, None if labels is None else labels[:3])
    x = random.normal(random.key(1), (5, *input_shape))
    apply = jax.jit(partial(network.apply, train=False))
    truth, _ = apply(params, model_state, x, labels)
    program = portable.trace(network, params, model_state, input_shape, num_classes)
    return program, portable.run(program, np.asarray(x), labels), np.asarray(truth)


def players(family):
    return NETWORKS[family.partition(",")[0]](PLAYERS[family])


SLOW = (
    "article",
    "residual",
    "unrolled",
)  # to compile; tests of the JavaScript run their generators, too


@pytest.mark.parametrize(
    "family",
    [pytest.param(f, marks=pytest.mark.slow) if f in SLOW else f for f in PLAYERS],
)
def test_both_players_of_every_family_compute_what_jax_computes(family):
    options = PLAYERS[family]
    for module, shape in zip(players(family), ((LATENTS,), options.sample_shape), strict=True):
        _, computed, truth = traced_and_truth(module, shape, options.num_classes or None)
        assert truth.std() > 0.01  # there is something to compare
        np.testing.assert_allclose(computed, truth, atol=2e-6)


def test_every_family_is_tried():
    tried = {NETWORKS[family.partition(",")[0]] for family in PLAYERS}
    assert tried == set(NETWORKS.values())


def test_batch_norm_and_what_depends_on_no_input_fold_into_the_kernels():
    options = PLAYERS["dcgan"]._replace(num_classes=0)
    program, _, _ = traced_and_truth(NETWORKS["dcgan"](options)[0], (LATENTS,))
    ops = [layer.op for layer in program.layers]
    assert ops == [
        "input",
        *("dense", "leaky_relu") * 2,
        *("dense", "reshape", "leaky_relu"),
        *("conv", "leaky_relu") * 2,
        *("conv", "tanh"),
    ]


class OneLayer(nn.Module):
    couples_batch = True

    @nn.compact
    def __call__(self, x, *, train):
        return nn.BatchNorm(not train, epsilon=0.25)(nn.Dense(1)(x))


def test_a_folded_batch_norm_has_the_weights_computed_by_hand():
    params = {
        "Dense_0": {"kernel": jnp.array([[3.0], [1.0]]), "bias": jnp.array([2.0])},
        "BatchNorm_0": {"scale": jnp.array([4.0]), "bias": jnp.array([1.0])},
    }
    statistics = {"BatchNorm_0": {"mean": jnp.array([1.5]), "var": jnp.array([3.75])}}
    program = portable.trace(from_linen(OneLayer()), params, {"batch_stats": statistics}, (2,))
    _, dense = program.layers
    # 4 (3 a + b + 2 - 1.5) / sqrt(3.75 + 0.25) + 1 = 6 a + 2 b + 2
    np.testing.assert_allclose(dense.arrays["kernel"], [[6.0], [2.0]], rtol=1e-6)
    np.testing.assert_allclose(dense.arrays["bias"], [2.0], rtol=1e-6)


class Conditional(nn.Module):
    """Classes by one-hot, by embedding, and by scales for each channel."""

    @nn.compact
    def __call__(self, x, labels, *, train):
        del train
        one_hot = jax.nn.one_hot(labels, 4)
        x = nn.relu(nn.Dense(12)(jnp.concatenate([x, nn.Embed(4, 3)(labels), one_hot], axis=-1)))
        x = x.reshape(-1, 2, 2, 3)
        gain = nn.Dense(3)(nn.Embed(4, 5)(labels))[:, None, None, :]
        return x * (1.0 + gain) + nn.Embed(4, 3)(labels)[:, None, None, :]


def test_what_depends_on_the_class_alone_becomes_tables():
    program, computed, truth = traced_and_truth(Conditional(), (LATENTS,), num_classes=4)
    np.testing.assert_allclose(computed, truth, atol=2e-6)
    tables = [layer.arrays["table"] for layer in program.layers if layer.op == "embedding"]
    assert [len(table) for table in tables] == [4] * len(tables)
    assert len({image.tobytes() for image in portable.run(program, np.ones((4, 6)), range(4))}) == 4


def test_a_single_class_is_a_class_too():
    _, computed, truth = traced_and_truth(Conditional(), (LATENTS,), num_classes=1)
    np.testing.assert_allclose(computed, truth, atol=2e-6)


class Residual(nn.Module):
    """Upsampled skips, mean pooling, pixel norm, and Flax's own convolutions."""

    @nn.compact
    def __call__(self, x, *, train):
        del train
        x = nn.gelu(nn.Dense(2 * 3 * 4)(x)).reshape(-1, 2, 3, 4)
        skip = nn.Conv(5, (1, 1))(jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2))
        x = nn.ConvTranspose(5, (4, 4), (2, 2))(nn.silu(x))
        x = x + skip
        x = x / jnp.sqrt(jnp.mean(x**2, axis=-1, keepdims=True) + 1e-3)
        x = nn.Conv(6, (3, 3), (2, 2))(jnp.pad(x, ((0, 0), (1, 2), (0, 1), (0, 0))))
        x = nn.elu(x[:, ::2])
        x = jnp.max(x.reshape(x.shape[0], -1, 3, 2), axis=-1)
        return jnp.clip(x.mean(axis=1), -0.5, 0.7) - x.min(axis=1)


def test_a_network_of_ones_own_needs_nothing_added():
    _, computed, truth = traced_and_truth(Residual(), (LATENTS,))
    np.testing.assert_allclose(computed, truth, atol=5e-6)


class Attention(nn.Module):
    @nn.compact
    def __call__(self, x, *, train):
        del train
        return jnp.einsum("bi,bj->bij", x, x)


class Mixing(nn.Module):
    @nn.compact
    def __call__(self, x, *, train):
        del train
        return x - x.mean(axis=0, keepdims=True)


class Comparing(nn.Module):
    @nn.compact
    def __call__(self, x, *, train):
        del train
        return x - x[:1]


class Sorting(nn.Module):
    @nn.compact
    def __call__(self, x, *, train):
        del train
        return jnp.sort(x, axis=-1)


class Numbering(nn.Module):
    @nn.compact
    def __call__(self, x, *, train):
        del train
        return x + jnp.arange(x.shape[0], dtype=jnp.float32)[:, None]


@pytest.mark.parametrize(
    ("module", "why"),
    [
        (Attention(), "a product of two values"),
        (Mixing(), "samples of a batch are summed"),
        (Comparing(), "samples of a batch are taken apart"),
        (Sorting(), "sort is not among the layers"),
        (Numbering(), "differs from sample to sample"),
    ],
)
def test_what_no_layer_can_say_is_refused_by_name(module, why):
    with pytest.raises(portable.UnsupportedError, match=why):
        portable.trace(from_linen(module), {}, {}, (LATENTS,))


def test_the_description_is_json_and_names_every_array():
    program, _, _ = traced_and_truth(Conditional(), (LATENTS,), num_classes=4)
    described = json.loads(json.dumps(portable.describe(program)))
    assert described["input_shape"] == [LATENTS]
    assert described["num_classes"] == 4
    named = [n for layer in described["layers"] for n in layer.get("arrays", {}).values()]
    assert sorted(named) == sorted(portable.arrays(program))
    assert all(array.dtype == np.float32 for array in portable.arrays(program).values())


def test_wrong_inputs_and_labels_are_told():
    program, _, _ = traced_and_truth(Conditional(), (LATENTS,), num_classes=4)
    with pytest.raises(ValueError, match=r"must be \[B, \*\(6,\)\], got \(2, 5\)"):
        portable.run(program, np.zeros((2, 5)), [0, 1])
    with pytest.raises(ValueError, match="4 classes"):
        portable.run(program, np.zeros((2, 6)))
    with pytest.raises(ValueError, match=r"0\.\.3"):
        portable.run(program, np.zeros((2, 6)), [0, 4])
