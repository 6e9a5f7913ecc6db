"""Laws of the layers, against Flax's own convolutions and against counting for dropout."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from hypothesis import given
from hypothesis import strategies as st
from strategies import float_dtypes, floats, seeds
from tiny import assert_close, bits, normal, one_in, quick_jit, shapes_of

from gan_jax.layers import Conv, ConvTranspose, Dropout

BOTH = pytest.mark.parametrize("layer", [Conv, ConvTranspose])
LOWERINGS = ("matmul", "lax")

# kernel, strides, size, inputs, features
GEOMETRIES = [
    ((5, 5), (2, 2), (6, 6), 1, 3),
    ((3, 3), (2, 2), (5, 7), 2, 2),
    ((4, 4), (2, 2), (3, 4), 2, 3),
    ((5, 5), (1, 1), (4, 5), 8, 1),
    ((4, 4), (1, 1), (3, 5), 1, 8),
    ((2, 3), (3, 1), (4, 3), 2, 2),
    ((1, 2), (3, 4), (3, 2), 2, 2),
]
every_geometry = pytest.mark.parametrize(
    ("kernel", "strides", "size", "inputs", "features"), GEOMETRIES
)


def drawn_params(seed, shape, features, bias=True):
    kernel = {"kernel": normal(seed, *shape)}
    return {"params": kernel | ({"bias": normal(seed + 1, features)} if bias else {})}


# Convolutions


@every_geometry
@pytest.mark.parametrize("lowering", LOWERINGS)
def test_conv_is_flaxs_with_the_same_params(kernel, strides, size, inputs, features, lowering):
    ours = Conv(features, kernel, strides, lowering=lowering)
    flaxs = nn.Conv(features, kernel, strides, padding="SAME")
    params = drawn_params(0, (*kernel, inputs, features), features)
    x = normal(2, 2, *size, inputs)
    expected = quick_jit(flaxs.apply)(params, x)
    assert_close(quick_jit(ours.apply)(params, x), expected, rtol=1e-4, atol=1e-4)


@every_geometry
@pytest.mark.parametrize("lowering", LOWERINGS)
def test_conv_transpose_is_flaxs_with_a_transposed_kernel_for_every_geometry(
    kernel, strides, size, inputs, features, lowering
):
    # In every case: Flax puts k - 1 - (k - s) // 2 zeros before the pixels if k >= s and k - 1 otherwise, as here.
    ours = ConvTranspose(features, kernel, strides, lowering=lowering)
    flaxs = nn.ConvTranspose(features, kernel, strides, padding="SAME", transpose_kernel=True)
    params = drawn_params(0, (*kernel, features, inputs), features)
    x = normal(2, 2, *size, inputs)
    expected = quick_jit(flaxs.apply)(params, x)
    assert_close(quick_jit(ours.apply)(params, x), expected, rtol=1e-4, atol=1e-4)


def adjoint_products(kernel, x, y):
    down = Conv(3, (4, 3), (2, 2), use_bias=False)
    up = ConvTranspose(2, (4, 3), (2, 2), use_bias=False)
    params = {"params": {"kernel": kernel}}
    return jnp.sum(down.apply(params, x) * y), jnp.sum(x * up.apply(params, y))


ADJOINT_PRODUCTS = quick_jit(adjoint_products)


@given(seed=seeds())
def test_conv_transpose_is_the_adjoint_of_conv_with_the_same_kernel(seed):
    kernel, x, y = (
        normal(seed, 4, 3, 2, 3),
        normal(seed + 1, 2, 6, 4, 2),
        normal(seed + 2, 2, 3, 2, 3),
    )
    np.testing.assert_allclose(*ADJOINT_PRODUCTS(kernel, x, y), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [(7, 7), (8, 8), (7, 8)])
@pytest.mark.parametrize("lowering", LOWERINGS)
def test_every_size_that_conv_maps_here_can_be_the_output(size, lowering):
    down = Conv(3, (3, 3), (2, 2), use_bias=False, lowering=lowering)
    up = ConvTranspose(2, (3, 3), (2, 2), use_bias=False, size=size, lowering=lowering)

    def products(kernel, x, y):
        params = {"params": {"kernel": kernel}}
        return jnp.sum(down.apply(params, x) * y), jnp.sum(x * up.apply(params, y))

    drawn = normal(0, 3, 3, 2, 3), normal(1, 2, *size, 2), normal(2, 2, 4, 4, 3)
    np.testing.assert_allclose(*quick_jit(products)(*drawn), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [(6, 7), (9, 9), (4, 4)])
def test_an_output_that_conv_would_not_map_here_is_refused(size):
    up = ConvTranspose(2, (3, 3), (2, 2), size=size)
    with pytest.raises(ValueError, match=r"to \(\d, \d\), not to \(4, 4\)"):
        jax.eval_shape(up.init, jax.random.key(0), jnp.zeros((1, 4, 4, 3)))


@BOTH
@pytest.mark.parametrize("lowering", LOWERINGS)
def test_with_the_batch_last_layers_have_the_same_params_and_values(layer, lowering):
    first, last = (
        layer(3, (3, 2), (2, 2), lowering=lowering, batch_last=batch_last)
        for batch_last in (False, True)
    )
    x = normal(0, 2, 5, 4, 6)
    params = drawn_params(1, (3, 2, 6, 3) if layer is Conv else (3, 2, 3, 6), 3)
    turned = x.transpose(3, 1, 2, 0)
    assert shapes_of(jax.eval_shape(last.init, jax.random.key(0), turned)) == shapes_of(params)
    found = quick_jit(last.apply)(params, turned).transpose(3, 1, 2, 0)
    assert_close(found, quick_jit(first.apply)(params, x), rtol=1e-4, atol=1e-4)


@BOTH
def test_params_do_not_depend_on_the_lowering(layer):
    x = jnp.ones((1, 4, 4, 2))
    drawn = [
        quick_jit(layer(3, (3, 2), (2, 2), lowering=lowering).init)(jax.random.key(0), x)
        for lowering in LOWERINGS
    ]
    assert bits(drawn[0]) == bits(drawn[1])
    assert shapes_of(drawn[0]) == shapes_of(drawn[1])


@BOTH
@pytest.mark.parametrize(
    ("lowering", "convolves"), [("matmul", False), ("lax", True), ("auto", False)]
)
def test_a_layer_is_lowered_as_asked_and_to_matrix_products_on_a_cpu_otherwise(
    layer, lowering, convolves
):
    module, x = layer(3, (3, 2), (2, 2), lowering=lowering), jnp.ones((1, 4, 4, 2))
    variables = jax.eval_shape(module.init, jax.random.key(0), x)
    traced = jax.jit(module.apply).trace(variables, x)
    program = traced.lower(lowering_platforms=("cpu",)).as_text()
    assert ("stablehlo.convolution" in program) == convolves


@BOTH
@pytest.mark.parametrize("use_bias", [True, False])
def test_params_are_named_and_laid_out_as_in_flax(layer, use_bias):
    x, key = jax.ShapeDtypeStruct((1, 4, 4, 2), jnp.float32), jax.random.key(0)
    theirs = {
        Conv: nn.Conv(3, (3, 2), (2, 2), use_bias=use_bias),
        ConvTranspose: nn.ConvTranspose(
            3, (3, 2), (2, 2), use_bias=use_bias, transpose_kernel=True
        ),
    }[layer]
    ours = layer(3, (3, 2), (2, 2), use_bias=use_bias)
    expected = shapes_of(jax.eval_shape(theirs.init, key, x))
    assert shapes_of(jax.eval_shape(ours.init, jax.random.clone(key), x)) == expected


@BOTH
def test_kernels_start_glorot_uniform_and_biases_at_zero(layer):
    x = jnp.ones((1, 2, 2, 40))
    params = quick_jit(layer(30, (5, 3)).init)(jax.random.key(0), x)["params"]
    limit = np.sqrt(6 / (15 * 40 + 15 * 30))
    kernel = np.asarray(params["kernel"])
    assert np.abs(kernel).max() <= limit
    np.testing.assert_allclose(kernel.std(), limit / np.sqrt(3), rtol=0.02)
    assert not np.asarray(params["bias"]).any()


@one_in(2)
@given(
    kernel=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    strides=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    size=st.tuples(st.integers(1, 50), st.integers(1, 50)),
    dtype=st.none() | float_dtypes(),
    input_dtype=float_dtypes(),
    lowering=st.sampled_from(["auto", *LOWERINGS]),
)
def test_any_size_has_the_documented_output_and_params_are_float32(
    kernel, strides, size, dtype, input_dtype, lowering
):
    x = jax.ShapeDtypeStruct((3, *size, 2), input_dtype)
    key = jax.random.key(0)
    down = Conv(5, kernel, strides, dtype=dtype, lowering=lowering)
    up = ConvTranspose(5, kernel, strides, dtype=dtype, lowering=lowering)
    smaller = tuple(-(-n // s) for n, s in zip(size, strides, strict=True))
    larger = tuple(n * s for n, s in zip(size, strides, strict=True))
    for layer, expected in ((down, smaller), (up, larger)):
        y, variables = jax.eval_shape(layer.init_with_output, jax.random.clone(key), x)
        assert y.shape == (3, *expected, 5)
        assert y.dtype == jnp.float32  # whatever its products are made of
        assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype(jnp.float32)}


@BOTH
def test_a_bias_is_added_to_its_own_channel(layer):
    module = layer(2, (3, 3), (2, 2))
    params = {"kernel": np.zeros((3, 3, 2, 2), np.float32), "bias": np.float32([1.0, -2.0])}
    y = np.asarray(quick_jit(module.apply)({"params": params}, normal(0, 1, 4, 4, 2)))
    assert set(y[..., 0].ravel()) == {1.0}
    assert set(y[..., 1].ravel()) == {-2.0}


@BOTH
def test_mapped_over_weights_is_looped_over_weights(layer):
    x, kernels = normal(0, 2, 5, 4, 3), normal(1, 4, 3, 3, 3, 3)

    def run(kernel):
        params = {"params": {"kernel": kernel}}
        return layer(3, (3, 3), (2, 2), use_bias=False).apply(params, x)

    looped = np.stack([quick_jit(run)(kernel) for kernel in kernels])
    assert_close(quick_jit(jax.vmap(run))(kernels), looped, atol=1e-5)


@BOTH
@pytest.mark.parametrize("shape", [(4, 4, 1), (2, 4), (1, 2, 3, 4, 5)])
def test_what_is_no_batch_of_images_is_refused_with_its_shape(layer, shape):
    with pytest.raises(ValueError, match="images") as raised:
        jax.eval_shape(layer(2, (3, 3)).init, jax.random.key(0), jnp.ones(shape))
    assert str(shape) in str(raised.value)


# Dropout

MANY = 1 << 15


def drop(rate, x, key):
    rngs = {"dropout": key}
    return Dropout(rate).apply({}, x, train=True, rngs=rngs)


DROP = quick_jit(drop, static_argnums=0)


@pytest.mark.parametrize("rate", [0.05, 0.3, 0.5, 0.9])
@one_in(5)
@given(seed=seeds())
def test_dropout_drops_the_stated_share_and_keeps_the_mean(rate, seed):
    y = np.asarray(DROP(rate, np.ones(MANY, np.float32), jax.random.key(seed)))
    deviation = np.sqrt(rate * (1 - rate) / MANY)
    assert abs(np.mean(y == 0) - rate) < 6 * deviation
    assert abs(y.mean() - 1) < 6 * deviation / (1 - rate)
    np.testing.assert_allclose(y[y != 0], 1 / (1 - rate), rtol=1e-4)


@one_in(5)
@given(seed=seeds())
def test_neighbouring_activations_are_dropped_independently(seed):
    # Two share a random word: the pairs inside a word and those across words are as likely as chance has it.
    kept = np.asarray(DROP(0.5, np.ones(MANY, np.float32), jax.random.key(seed))) != 0
    for distance in (1, 2, MANY // 2):
        both = np.mean(kept[:-distance] & kept[distance:])
        assert abs(both - 0.25) < 6 * np.sqrt(0.25 * 0.75 / (MANY - distance))
    inside = np.mean(kept[::2] & kept[1::2])
    assert abs(inside - 0.25) < 6 * np.sqrt(0.25 * 0.75 / (MANY // 2))


@given(seed=seeds(), scale=floats(0.5, 2.0))
def test_what_is_dropped_depends_on_the_key_and_not_on_the_values(seed, scale):
    x = np.arange(1, 106, dtype=np.float32).reshape(3, 5, 7)
    dropped = np.asarray(DROP(0.3, x, jax.random.key(seed))) == 0
    np.testing.assert_array_equal(
        np.asarray(DROP(0.3, -scale * x, jax.random.key(seed))) == 0, dropped
    )
    other = np.asarray(DROP(0.3, x, jax.random.key(seed ^ 1))) == 0
    assert (other != dropped).any()


@pytest.mark.parametrize("shape", [(1,), (3, 5, 7), (2, 4), (1, 1, 1, 3), (0, 4)])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_dropout_takes_any_shape_and_keeps_the_type(shape, dtype):
    x = jnp.ones(shape, dtype)
    y = jax.eval_shape(lambda x: drop(0.3, x, jax.random.key(0)), x)
    assert (y.shape, y.dtype) == (x.shape, x.dtype)


DROP_SLOPES = quick_jit(lambda x, key: jax.grad(lambda x: drop(0.3, x, key).sum())(x))


@given(seed=seeds())
def test_the_gradient_passes_where_the_activation_did(seed):
    x = normal(seed, 3, 5, 7)
    dropped = DROP(0.3, x, jax.random.key(seed))
    slopes = DROP_SLOPES(x, jax.random.key(seed))
    np.testing.assert_allclose(np.asarray(slopes) * x, dropped, rtol=1e-6)


@pytest.mark.parametrize(("rate", "train"), [(0.3, False), (0.0, True), (0.0, False)])
def test_dropout_is_the_identity_and_takes_no_key_when_nothing_is_to_be_dropped(rate, train):
    x = jnp.asarray(normal(0, 3, 5))
    assert Dropout(rate).apply({}, x, train=train) is x
