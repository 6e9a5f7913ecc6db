"""Laws of the families' conditional players: what labels add, and that without them nothing is added."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import assert_close, drawn_variables, normal, quick_jit

from gan_jax.models import NETWORKS
from gan_jax.models.conditional import EMBEDDING
from gan_jax.models.options import PlayerOptions
from gan_jax.networks import from_linen

CLASSES, NUM = 3, 4
LABELS = np.int32([2, 0, 1, 2])
SHAPES = {"dcgan": (8, 12, 1), "mlp": (3,), "residual": (8, 12, 1), "wave": (1, 64, 1)}
WIDTHS = {"article": 1 / 128, "unrolled": 1 / 4}
WIDTHS |= dict.fromkeys(("dcgan", "mlp", "residual", "wave"), 1 / 16)
every_family = pytest.mark.parametrize("name", WIDTHS)


@cache
def players(name, num_classes=CLASSES, **wishes):
    shape, width = SHAPES.get(name, (28, 28, 1)), WIDTHS[name]
    sizes = {"width": width, "d_width": width, "num_classes": num_classes}
    options = PlayerOptions(shape, uncoupled=True, **sizes, **wishes)
    return [from_linen(player) for player in NETWORKS[name](options)]


def inputs(name):
    return normal(0, NUM, 4), normal(1, NUM, *SHAPES.get(name, (28, 28, 1)))


@cache
def drawn(name):
    """Both conditional players, their inputs and weights."""
    return [
        (player, x, *drawn_variables(player, x, LABELS))
        for player, x in zip(players(name), inputs(name), strict=True)
    ]


@cache
def compiled(player):
    return quick_jit(partial(player.apply, train=False))


def answers(player, params, state, x, *labels):
    return np.asarray(compiled(player)(params, state, x, *labels)[0])


@every_family
def test_without_classes_players_have_no_embedding_and_refuse_labels(name):
    for player, x in zip(players(name, 0), inputs(name), strict=True):
        params, _ = jax.eval_shape(player.init, jax.random.key(0), x)
        assert "classes" not in params
        with pytest.raises(ValueError, match="takes no labels: leave them out of the batch, give"):
            jax.eval_shape(player.init, jax.random.key(1), x, LABELS)


@every_family
def test_g_reads_an_embedding_beside_its_latents_and_is_otherwise_the_same(name):
    """The rows of G's first layer that read the embedding, times the embedding, are a bias of each sample's class."""
    player, z, params, state = drawn(name)[0]
    plain, _ = players(name, 0)
    table = params["classes"]["embedding"]
    assert table.shape == (CLASSES, EMBEDDING)
    first = next(n for n in ("hidden_0", "dense_0", "project") if n in params)
    kernel, bias = params[first]["kernel"], params[first]["bias"]
    assert kernel.shape[0] == z.shape[1] + EMBEDDING
    found = answers(player, params, state, z, LABELS)
    assert np.ptp(found[[0, 3]] - found[[3, 0]]) > 1e-3 and np.ptp(found[0] - found[1]) > 1e-3
    rest = {layer: value for layer, value in params.items() if layer != "classes"}
    for i, label in enumerate(LABELS):
        of_class = bias + table[label] @ kernel[z.shape[1] :]
        rest[first] = {"kernel": kernel[: z.shape[1]], "bias": of_class}
        assert_close(answers(plain, rest, state, z)[i], found[i], rtol=1e-3, atol=1e-5)


@every_family
def test_a_class_adds_to_a_logit_the_product_of_its_row_and_the_last_features(name):
    player, x, params, state = drawn(name)[1]
    _, plain = players(name, 0)
    rest = {layer: value for layer, value in params.items() if layer != "classes"}
    table, logit = params["classes"]["embedding"], params["logit"]
    found = answers(player, params, state, x, LABELS)
    silent = {**params, "classes": {"embedding": np.zeros_like(table)}}
    alone = answers(plain, rest, state, x)
    assert_close(answers(player, silent, state, x, LABELS), alone, rtol=1e-4, atol=1e-5)
    for i, label in enumerate(LABELS):  # the row acts as an addition to the logit's own weights
        summed = {"kernel": logit["kernel"] + table[label][:, None], "bias": logit["bias"]}
        direct = answers(plain, {**rest, "logit": summed}, state, x)[i]
        assert_close(direct, found[i], rtol=1e-3, atol=1e-4)
    assert np.abs(found - alone).min() > 1e-3


def test_shares_of_classes_mix_their_embeddings():
    player, z, params, state = drawn("mlp")[0]
    one_hot = np.eye(CLASSES, dtype=np.float32)
    by_label = answers(player, params, state, z, LABELS)
    assert_close(answers(player, params, state, z, one_hot[LABELS]), by_label, rtol=1e-4)
    table = params["classes"]["embedding"]
    mixed = {**params, "classes": {"embedding": np.tile((table[0] + table[2]) / 2, (CLASSES, 1))}}
    half = np.tile(0.5 * (one_hot[0] + one_hot[2]), (NUM, 1))
    expected = answers(player, mixed, state, z, LABELS)
    assert_close(answers(player, params, state, z, half), expected, rtol=1e-4)
    assert np.abs(expected - by_label).max() > 1e-2


@every_family
def test_a_conditional_player_without_labels_says_so(name):
    for player, x in zip(players(name), inputs(name), strict=True):
        with pytest.raises(ValueError, match="knows 3 classes: give it labels with its input"):
            jax.eval_shape(player.init, jax.random.key(0), x)


@pytest.mark.parametrize("name", ["dcgan", "mlp"])
def test_conditional_players_keep_float32_weights_and_results_in_bfloat16(name):
    for player, x in zip(players(name, dtype=jnp.bfloat16), inputs(name), strict=True):
        params, state = jax.eval_shape(player.init, jax.random.key(0), x, LABELS)
        y, _ = jax.eval_shape(partial(player.apply, train=False), params, state, x, LABELS)
        assert {leaf.dtype for leaf in jax.tree.leaves((params, y))} == {jnp.dtype(jnp.float32)}
