"""Laws of the network families: sizes, ranges, types, and what they declare about their batches."""

import math
from functools import partial
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from hypothesis import given
from hypothesis import strategies as st
from products import products_of
from strategies import latents
from tiny import adjoint64, assert_close, convolve64, drawn_variables, normal, one_in, quick_jit

from gan_jax.layers import SmoothTranspose
from gan_jax.models import article, dcgan, mlp, residual, unrolled, wave
from gan_jax.models.article import ArticleDiscriminator, ArticleGenerator
from gan_jax.models.dcgan import (
    HALF_SIZE,
    IMAGE_LAYERS,
    DCGANDiscriminator,
    DCGANGenerator,
)
from gan_jax.models.mlp import MLPDiscriminator, MLPGenerator
from gan_jax.models.options import stages
from gan_jax.models.residual import ResidualDiscriminator, ResidualGenerator
from gan_jax.models.unrolled import UnrolledDiscriminator, UnrolledGenerator, to_uniform
from gan_jax.models.wave import WaveDiscriminator, WaveGenerator
from gan_jax.networks import from_linen

BATCH = 3
LATENTS = jax.ShapeDtypeStruct((BATCH, 4), jnp.float32)


def images(*shape):
    return jax.ShapeDtypeStruct((BATCH, *shape), jnp.float32)


GENERATORS = {
    "article": ArticleGenerator(width=1 / 128),
    "mlp": MLPGenerator((2,), (5, 5)),
    "mlp, batch norm": MLPGenerator((4, 4, 1), (5,), bounded=True, batch_norm=True),
    "dcgan": DCGANGenerator(size=8, base=2),
    "dcgan, hidden layers": DCGANGenerator(size=8, base=2, hidden=(5, 3)),
    "dcgan, no batch norm": DCGANGenerator(size=8, base=2, batch_norm=False),
    "dcgan, last layer transposed": DCGANGenerator((8, 12), base=2, image_layer="conv_transpose"),
    "dcgan, the same smooth": DCGANGenerator((8, 12), base=2, image_layer="smooth_transpose"),
    "residual": ResidualGenerator((8, 12), base=2),
    "residual, hidden layers": ResidualGenerator((8, 8), base=2, hidden=(5,), blocks=2),
    "wave": WaveGenerator(num_samples=64, base=2),
    "unrolled": UnrolledGenerator(base=1),
    "unrolled, no batch norm": UnrolledGenerator(base=1, batch_norm=False),
}
DISCRIMINATORS = {
    "article": (ArticleDiscriminator(width=1 / 128), images(28, 28, 1)),
    "mlp": (MLPDiscriminator((5, 5)), images(2)),
    "mlp, maxout": (MLPDiscriminator((5,), maxout_pieces=3), images(4, 4, 1)),
    "dcgan": (DCGANDiscriminator(base=2), images(8, 8, 1)),
    "dcgan, hidden layers": (DCGANDiscriminator(base=2, hidden=(5, 3)), images(8, 8, 1)),
    "residual": (ResidualDiscriminator(base=2), images(8, 12, 1)),
    "residual, hidden layers": (ResidualDiscriminator(2, hidden=(5,), blocks=2), images(8, 8, 3)),
    "wave": (WaveDiscriminator(base=2, phase_shuffle=2), images(1, 64, 1)),
    "unrolled": (UnrolledDiscriminator(), images(28, 28, 3)),
    "unrolled, batch norm": (UnrolledDiscriminator(batch_norm=True), images(28, 28, 3)),
}
ALL = {f"G: {name}": (module, LATENTS) for name, module in GENERATORS.items()} | {
    f"D: {name}": pair for name, pair in DISCRIMINATORS.items()
}


def traced(module, x, train=False):
    """Shapes of a network's weights, state and output."""
    network, key = from_linen(module), jax.random.key(0)
    params, model_state = jax.eval_shape(network.init, key, x)
    apply = partial(network.apply, train=train, key=jax.random.clone(key))
    y, new_model_state = jax.eval_shape(apply, params, model_state, x)
    return params, model_state, y, new_model_state


def count(params):
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def test_no_module_is_left_out_here():
    rooms = (article, dcgan, mlp, residual, unrolled, wave)
    found = {
        value
        for room in rooms
        for value in vars(room).values()
        if isinstance(value, type)
        and issubclass(value, nn.Module)
        and value.__module__ == room.__name__
    }
    assert found == {type(module) for module, _ in ALL.values()}


# Sizes, ranges, types


def test_the_articles_networks_have_as_many_weights_as_keras_counts():
    latents = jax.ShapeDtypeStruct((2, 100), jnp.float32)
    generator, statistics, fakes, _ = traced(ArticleGenerator(), latents)
    discriminator, model_state, logits, _ = traced(ArticleDiscriminator(), fakes)
    assert count(generator) == 4_242_304
    assert count(statistics) == 2 * (512 + 128)
    assert count(discriminator) == 1_494_529
    assert model_state == {}
    assert (fakes.shape, logits.shape) == ((2, 28, 28, 1), (2,))


@one_in(3)
@given(width=st.sampled_from([1 / 512, 1 / 64, 0.1, 0.25, 1.5]), channels=st.sampled_from([1, 3]))
def test_width_multiplies_the_hidden_channels_and_nothing_else(width, channels):
    top, middle, bottom = (max(1, round(width * c)) for c in (512, 256, 128))
    params, _, fakes, _ = traced(ArticleGenerator(width, channels), LATENTS)
    shapes = {name: layer["kernel"].shape for name, layer in params.items() if "kernel" in layer}
    assert shapes == {
        "project": (4, 49 * top),
        "up_14": (3, 3, middle, top),
        "up_28": (4, 4, bottom, middle),
        "image": (5, 5, bottom, channels),
    }
    assert fakes.shape == (BATCH, 28, 28, channels)
    params, _, _, _ = traced(ArticleDiscriminator(width), fakes)
    shapes = {name: layer["kernel"].shape for name, layer in params.items()}
    assert shapes == {
        "down_14": (5, 5, channels, top),
        "down_7": (3, 3, top, middle),
        "mix_7": (3, 3, middle, bottom),
        "logit": (49 * bottom, 1),
    }


@one_in(3)
@given(
    halves=st.tuples(st.integers(3, 40), st.integers(3, 40)),
    channels=st.sampled_from([1, 3]),
    base=st.integers(1, 8),
    norm=st.booleans(),
    last=st.sampled_from(list(IMAGE_LAYERS)),
)
def test_a_dcgan_makes_and_judges_images_of_every_even_height_and_width(
    halves, channels, base, norm, last
):
    size = tuple(2 * half for half in halves)
    generator = DCGANGenerator(size, channels, base, norm, image_layer=last)
    _, model_state, fakes, _ = traced(generator, LATENTS)
    assert fakes.shape == (BATCH, *size, channels)
    assert (model_state != {}) == norm
    _, _, logits, _ = traced(DCGANDiscriminator(base), fakes)
    assert logits.shape == (BATCH,)


def test_a_smooth_last_layer_draws_what_the_other_draws_but_for_checkerboards():
    """Its mean of neighbours: a hand-computed case; and no kernel makes alternating pixels."""
    layer = SmoothTranspose(1, (2, 2), (2, 2))
    x = jnp.ones((1, 3, 3, 1))

    def draw(kernel):
        weights = {
            "kernel": jnp.array(kernel, jnp.float32).reshape(2, 2, 1, 1),
            "bias": jnp.ones(1),
        }
        return layer.apply({"params": weights}, x)[0, :, :, 0]

    alternating = [[1, -1], [-1, 1]]
    inside = draw(alternating)[1:-1, 1:-1]
    np.testing.assert_array_equal(inside, jnp.ones((4, 4)))
    np.testing.assert_array_equal(draw([[2, 2], [2, 2]]), jnp.full((6, 6), 3.0))
    rows = draw([[4, 4], [0, 0]])[:, 0]  # 5 1 5 1 5 1, the outermost doubled
    np.testing.assert_array_equal(rows, [4, 3, 3, 3, 3, 2])
    np.testing.assert_array_equal(draw([[4, 0], [4, 0]])[0], [4, 3, 3, 3, 3, 2])


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (28, [(7, 7), (14, 14), (28, 28)]),
        (32, [(4, 4), (8, 8), (16, 16), (32, 32)]),
        (24, [(6, 6), (12, 12), (24, 24)]),
        ((48, 64), [(6, 8), (12, 16), (24, 32), (48, 64)]),
        ((128, 32), [(16, 4), (32, 8), (64, 16), (128, 32)]),
        ((6, 20), [(3, 10), (6, 20)]),
        ((50, 64), [(25, 32), (50, 64)]),
    ],
)
def test_both_sides_are_halved_together_while_they_can_be(size, expected):
    assert stages(size) == expected


@pytest.mark.parametrize("layer", HALF_SIZE)
def test_a_last_layer_from_half_the_size_replaces_the_last_map_and_nothing_else(layer):
    z = jax.ShapeDtypeStruct((BATCH, 4), jnp.float32)
    plain = DCGANGenerator((16, 24), 3, base=2)
    before, _, _, _ = traced(plain, z)
    params, _, fakes, _ = traced(plain.clone(image_layer=layer), z)
    assert fakes.shape == (BATCH, 16, 24, 3)
    assert before["image"]["kernel"].shape == (5, 5, 2, 3)
    assert params["image"]["kernel"].shape == (4, 4, 3, 4)
    assert before.keys() - params.keys() == {"up_16x24", "norm_16x24"}
    shared = params.keys() - {"image"}
    assert jax.tree.map(jnp.shape, {name: params[name] for name in shared}) == jax.tree.map(
        jnp.shape, {name: before[name] for name in shared}
    )


@pytest.mark.parametrize(("size", "channels"), [(28, 1), (32, 3)])
def test_square_networks_have_the_names_of_old_run_folders(size, channels):
    params, _, _, _ = traced(DCGANGenerator(size, channels, base=2), LATENTS)
    ups = {28: ("7", "14", "28"), 32: ("4", "8", "16", "32")}[size]
    layers = {"project", "image", *(f"up_{up}" for up in ups[1:]), *(f"norm_{up}" for up in ups)}
    assert params.keys() == layers
    judged, _, _, _ = traced(DCGANDiscriminator(base=2), images(size, size, channels))
    assert judged.keys() == {"logit", *(f"down_{up}" for up in ups[:-1])}


def test_the_small_players_have_as_many_weights_as_the_protocol_by_hand():
    z = jax.ShapeDtypeStruct((2, 256), jnp.float32)
    generator, statistics, fakes, _ = traced(UnrolledGenerator(), z)
    dense, biases = 256 * 4 * 4 * 64, 4 * 4 * 64 + 32 + 16 + 8 + 3
    kernels = 9 * (64 * 32 + 32 * 16 + 16 * 8 + 8 * 3)
    norms = 2 * (64 + 32 + 16 + 8)
    assert count(generator) == dense + biases + kernels + norms
    assert count(statistics) == norms
    assert fakes.shape == (2, 28, 28, 3)
    for base, widths in ((2, (2, 4, 8)), (4, (4, 8, 16))):  # 1/4 and 1/2 of G's 8, 16, 32
        kernels = 9 * sum(a * b for a, b in pairwise((3, *widths)))
        logit = 4 * 4 * widths[-1] + 1
        for norm in (False, True):
            params, _, logits, _ = traced(UnrolledDiscriminator(base, norm), fakes)
            assert count(params) == kernels + sum(widths) + logit + 2 * norm * sum(widths)
            assert logits.shape == (2,)


@given(z=latents())
def test_normal_latents_become_uniform_ones_by_their_distribution_function(z):
    uniform = np.asarray(TO_UNIFORM(z))
    assert np.abs(uniform).max() <= 1
    exact = np.vectorize(math.erf)(np.float64(z) / math.sqrt(2))
    np.testing.assert_allclose(uniform, exact, atol=1e-5)


TO_UNIFORM = quick_jit(to_uniform)


def test_uniform_latents_fill_every_tenth_of_their_range_alike():
    z = jax.random.normal(jax.random.key(0), (40_000,))
    counts, _ = np.histogram(to_uniform(z), bins=10, range=(-1, 1))
    assert np.abs(counts - 4000).max() < 5 * np.sqrt(4000)


def test_a_dcgan_with_hidden_layers_has_as_many_weights_as_counted_by_hand():
    z = jax.ShapeDtypeStruct((BATCH, 32), jnp.float32)
    generator = DCGANGenerator(28, base=8, hidden=(256, 256))
    params, statistics, fakes, _ = traced(generator, z)
    dense = 33 * 256 + 257 * 256 + 257 * 49 * 32
    maps = (16 * 32 * 16 + 16) + (16 * 16 * 8 + 8) + (25 * 8 * 1 + 1)
    norms = 2 * (256 + 256 + 32 + 16 + 8)
    assert count(params) == dense + maps + norms
    assert count(statistics) == norms
    names = {"hidden_0", "hidden_1", "project", "up_14", "up_28", "image"}
    normed = {"norm_hidden_0", "norm_hidden_1", "norm_7", "norm_14", "norm_28"}
    assert params.keys() == names | normed
    params, statistics, _, _ = traced(generator.clone(batch_norm=False), z)
    assert params.keys() == names
    assert (count(params), statistics) == (dense + maps, {})

    params, _, logits, _ = traced(DCGANDiscriminator(32, hidden=(256, 128)), fakes)
    maps = (16 * 1 * 32 + 32) + (16 * 32 * 64 + 64)
    assert count(params) == maps + (49 * 64 + 1) * 256 + 257 * 128 + 129
    assert params.keys() == {"down_14", "down_7", "hidden_0", "hidden_1", "logit"}
    assert logits.shape == (BATCH,)


@pytest.mark.parametrize("hidden", [(), (5,), (5, 3)])
def test_a_dcgan_without_hidden_layers_is_as_before(hidden):
    """The maps of both players, and their names, do not depend on the hidden layers between."""
    for plain, module, x in (
        (DCGANGenerator(8, base=2), DCGANGenerator(8, base=2, hidden=hidden), LATENTS),
        (DCGANDiscriminator(2), DCGANDiscriminator(2, hidden=hidden), images(8, 8, 1)),
    ):
        params, _, _, _ = traced(module, x)
        before, _, _, _ = traced(plain, x)
        shared = [name for name in before if name not in ("project", "logit") or not hidden]
        for name in shared:
            assert jax.tree.map(jnp.shape, params[name]) == jax.tree.map(jnp.shape, before[name])
        added = {name.removeprefix("norm_") for name in params.keys() - before.keys()}
        assert added == {f"hidden_{number}" for number in range(len(hidden))}


@pytest.mark.parametrize("hidden", [(), (6,)])
def test_only_hidden_layers_make_d_more_than_linear_in_its_last_maps(hidden):
    """Without biases in its convolutions the maps of an image t times as bright are t times as strong."""
    network = from_linen(DCGANDiscriminator(2, hidden=hidden))
    image = normal(0, 1, 8, 8, 1)
    params, _ = drawn_variables(network, image)
    params["down_4"]["bias"] = np.zeros_like(params["down_4"]["bias"])
    brightness = np.float32([0, 1, 2, 5]).reshape(-1, 1, 1, 1)
    logits, _ = quick_jit(partial(network.apply, train=True))(params, {}, brightness * image)
    rises = np.diff(logits) / np.float32([1, 1, 3])
    assert (np.ptp(rises) < 1e-4 * np.abs(rises).max()) == (hidden == ())


def test_gs_hidden_layers_are_dense_layers_before_the_first_map():
    network, z = (
        from_linen(DCGANGenerator(8, base=2, batch_norm=False, hidden=(5, 3))),
        normal(0, 2, 4),
    )
    params, _ = drawn_variables(network, z)
    x = np.float64(z)
    for layer in (as64(params[name]) for name in ("hidden_0", "hidden_1")):
        x = leaky(x @ layer["kernel"] + layer["bias"])
    plain = from_linen(DCGANGenerator(8, base=2, batch_norm=False))
    rest = {name: layer for name, layer in params.items() if not name.startswith("hidden")}
    expected, _ = plain.apply(rest, {}, np.float32(x), train=True)
    found, _ = quick_jit(partial(network.apply, train=True))(params, {}, z)
    assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [(1, 8), (2, 2), (4, 64), (8, 7), (9, 8), (27, 27)])
def test_a_dcgan_of_another_size_is_refused(size):
    height, width = size
    message = f"even height and width of at least 6 pixels, got {height}x{width}"
    with pytest.raises(ValueError, match=message):
        traced(DCGANGenerator(size), LATENTS)


@one_in(3)
@given(
    shape=st.sampled_from([(2,), (7,), (3, 5, 1), (4, 4, 3)]),
    hidden=st.lists(st.integers(1, 9), max_size=3).map(tuple),
    norm=st.booleans(),
    pieces=st.integers(1, 3),
)
def test_dense_players_take_and_make_samples_of_any_shape(shape, hidden, norm, pieces):
    _, model_state, fakes, _ = traced(MLPGenerator(shape, hidden, batch_norm=norm), LATENTS)
    assert fakes.shape == (BATCH, *shape)
    assert count(model_state) == (2 * sum(hidden) if norm else 0)
    params, _, logits, _ = traced(MLPDiscriminator(hidden, pieces), fakes)
    assert logits.shape == (BATCH,)
    widths = [int(np.prod(shape)), *hidden]
    dense = sum((a + 1) * b * pieces for a, b in pairwise(widths))
    assert count(params) == dense + widths[-1] + 1


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("train", [False, True])
def test_bfloat16_is_the_type_of_products_operands_and_of_nothing_that_is_kept(name, train):
    module, x = ALL[name]
    in_bfloat16 = module.clone(dtype=jnp.bfloat16)
    params, model_state, y, new_model_state = traced(in_bfloat16, x, train)
    kept = jax.tree.leaves((params, model_state, y, new_model_state))
    assert {leaf.dtype for leaf in kept} == {jnp.dtype(jnp.float32)}
    apply = partial(from_linen(in_bfloat16).apply, train=train, key=jax.random.key(0))
    products = products_of(apply, params, model_state, x)
    assert any(product.is_mixed for product in products)
    assert [p for p in products if not (p.is_mixed or p.stays_float32)] == []


# Coupling


@pytest.mark.parametrize("name", ALL)
def test_samples_influence_one_another_exactly_where_it_is_declared(name):
    module, x = ALL[name]
    network = from_linen(module)
    inputs = normal(0, *x.shape)

    params, model_state = drawn_variables(network, inputs)

    def first_output(inputs, key):
        y, _ = network.apply(params, model_state, inputs, train=True, key=key)
        return jnp.sum(jnp.sin(y[0]))

    slopes = quick_jit(jax.grad(first_output))(inputs, jax.random.key(1))
    own, *others = np.abs(slopes).reshape(BATCH, -1).sum(axis=1)
    assert own > 0
    assert any(other != 0 for other in others) == network.couples_batch


# Values


def leaky(x):
    return np.where(x > 0, x, 0.2 * x)


def as64(params):
    return jax.tree.map(np.float64, params)


def generate64(params, statistics, z, train):
    """The article's generator, told layer by layer from its Keras code; images, and its new statistics."""
    heard = {}

    def norm(x, name):
        layer, old = params[name], statistics["batch_stats"][name]
        new = {"mean": x.mean(axis=(0, 1, 2)), "var": x.var(axis=(0, 1, 2))} if train else old
        heard[name] = {key: 0.99 * old[key] + 0.01 * new[key] for key in old}
        return (x - new["mean"]) / np.sqrt(new["var"] + 1e-3) * layer["scale"] + layer["bias"]

    x = np.maximum(z @ params["project"]["kernel"] + params["project"]["bias"], 0)
    x = leaky(norm(x.reshape(len(z), 7, 7, -1), "norm_7"))
    x = leaky(adjoint64(x, params["up_14"]["kernel"], (2, 2), (14, 14)))
    x = leaky(norm(adjoint64(x, params["up_28"]["kernel"], (2, 2), (28, 28)), "norm_28"))
    return np.tanh(convolve64(x, params["image"]["kernel"], (1, 1))), {"batch_stats": heard}


def judge64(params, x):
    """The article's discriminator, told in the same way."""
    for name, strides in (("down_14", (2, 2)), ("down_7", (2, 2)), ("mix_7", (1, 1))):
        x = leaky(convolve64(x, params[name]["kernel"], strides) + params[name]["bias"])
    x = x.reshape(len(x), -1)
    return (x @ params["logit"]["kernel"] + params["logit"]["bias"])[:, 0]


def test_the_articles_networks_are_keras_layer_by_layer():
    generator = from_linen(ArticleGenerator(width=1 / 128))
    discriminator = from_linen(ArticleDiscriminator(width=1 / 128))
    z = normal(0, 2, 4)
    g_params, statistics = drawn_variables(generator, z)
    d_params, _ = drawn_variables(discriminator, images(28, 28, 1))

    def play(z):
        fakes, _ = generator.apply(g_params, statistics, z, train=False)
        logits, _ = discriminator.apply(d_params, {}, fakes, train=False)
        return fakes, logits, generator.apply(g_params, statistics, z, train=True)

    fakes, logits, in_training = quick_jit(play)(z)
    told = partial(generate64, as64(g_params), as64(statistics), np.float64(z))
    assert_close(fakes, told(train=False)[0], rtol=1e-3, atol=1e-4)
    assert_close(logits, judge64(as64(d_params), np.float64(fakes)), rtol=1e-4)
    assert_close(in_training, told(train=True), rtol=1e-3, atol=1e-3)


def test_only_training_drops_and_a_rate_of_zero_never_does():
    x = normal(0, BATCH, 28, 28, 1)

    def differences(key):
        results = []
        for rate in (0.3, 0.0):
            network = from_linen(ArticleDiscriminator(1 / 128, rate))
            params, _ = drawn_variables(network, x)
            trained, _ = network.apply(params, {}, x, train=True, key=jax.random.clone(key))
            results.append(trained - network.apply(params, {}, x, train=False)[0])
        return results

    dropped, kept = quick_jit(differences)(jax.random.key(0))
    assert np.asarray(dropped).all()
    assert not np.asarray(kept).any()


@pytest.mark.parametrize("name", ["article", "mlp", "mlp, batch norm", "dcgan", "unrolled"])
def test_images_lie_between_minus_one_and_one_and_points_need_not(name):
    network, z = from_linen(GENERATORS[name]), normal(0, 2, 4)
    params, model_state = drawn_variables(network, z)
    params = jax.tree.map(lambda p: 30 * p, params)
    outputs, _ = quick_jit(partial(network.apply, train=False))(params, model_state, z)
    assert (np.abs(outputs).max() <= 1) == (name != "mlp")


def maxout_logits(params, x):
    return MLPDiscriminator((3,), maxout_pieces=4).apply({"params": params}, x, train=True)


MAXOUT = quick_jit(maxout_logits)


@given(x=latents(dim=2), seed=st.integers(0, 99))
def test_a_maxout_unit_is_the_largest_of_its_pieces(x, seed):
    kernel, bias, last = normal(seed, 2, 12), normal(seed + 1, 12), normal(seed + 2, 3, 1)
    params = {
        "dense_0": {"kernel": kernel, "bias": bias},
        "logit": {"kernel": last, "bias": np.zeros(1, np.float32)},
    }
    pieces = (np.float64(x) @ kernel + bias).reshape(-1, 3, 4)
    expected = pieces.max(axis=-1) @ last
    np.testing.assert_allclose(MAXOUT(params, x), expected[:, 0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("bias_std", [0.0, 0.5, 3.0])
@pytest.mark.parametrize("kind", ["generator", "discriminator"])
def test_hidden_biases_start_as_wide_as_asked_and_nothing_else_changes(kind, bias_std):
    plain = {
        "generator": MLPGenerator((2,), (60, 60)),
        "discriminator": MLPDiscriminator((20, 20), maxout_pieces=3),
    }[kind]
    x = normal(0, BATCH, 2)

    def start(module):
        return quick_jit(lambda key: from_linen(module).init(key, x)[0])(jax.random.key(0))

    params, before = start(plain.clone(bias_std=bias_std)), start(plain)
    for name, layer in params.items():
        np.testing.assert_array_equal(layer["kernel"], before[name]["kernel"])
        hidden = name.startswith("dense_")
        spread = np.sqrt(np.mean(np.square(layer["bias"])))
        np.testing.assert_allclose(spread, bias_std if hidden else 0.0, rtol=0.35)
