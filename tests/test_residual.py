"""Laws of the residual players: sizes, a start at which no block does anything, and how signals grow with depth."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import assert_close, normal, one_in, quick_jit

from gan_jax.models.residual import ResidualDiscriminator, ResidualGenerator
from gan_jax.networks import from_linen

Z = jax.ShapeDtypeStruct((2, 4), jnp.float32)


def shapes(module, x):
    network = from_linen(module)
    params, state = jax.eval_shape(network.init, jax.random.key(0), x)
    y, _ = jax.eval_shape(partial(network.apply, train=True), params, state, x)
    assert state == {}
    return params, y.shape


@one_in(4)
@given(
    size=st.sampled_from([(28, 28), (32, 32), (64, 48), (6, 10)]),
    channels=st.sampled_from([1, 3]),
    blocks=st.integers(1, 2),
)
def test_images_of_every_even_size_are_made_and_judged(size, channels, blocks):
    _, made = shapes(ResidualGenerator(size, channels, base=1, blocks=blocks), Z)
    assert made == (2, *size, channels)
    fakes = jax.ShapeDtypeStruct(made, jnp.float32)
    assert shapes(ResidualDiscriminator(base=1, blocks=blocks), fakes)[1] == (2,)


def test_channels_double_with_each_halving_up_to_sixteen_times():
    params, _ = shapes(ResidualGenerator((128, 128), 3, base=2), Z)
    widths = [params[f"block_{place}_0_conv_2"]["kernel"].shape for place in range(6)]
    assert widths == [(3, 3, width, width) for width in (32, 32, 16, 8, 4, 2)]
    assert params["maps"].shape == (4, 4, 32)
    judged, _ = shapes(ResidualDiscriminator(base=2), jax.ShapeDtypeStruct((2, 128, 128, 3), "f4"))
    widths = [judged[f"block_{place}_0_conv_2"]["kernel"].shape[3] for place in range(6)]
    assert widths == [2, 4, 8, 16, 32, 32]


PLAYERS = [
    (ResidualGenerator((8, 8), 1, base=3, blocks=2), normal(0, 2, 4)),
    (ResidualDiscriminator(base=3, blocks=2), normal(0, 2, 8, 8, 1)),
]


@pytest.mark.parametrize(("module", "x"), PLAYERS)
def test_at_the_start_every_block_is_the_identity_and_each_can_learn(module, x):
    network = from_linen(module)
    params, _ = quick_jit(network.init)(jax.random.key(0), x)

    def mean_square(params):
        return jnp.mean(jnp.square(network.apply(params, {}, x, train=True)[0]))

    value, slopes = quick_jit(jax.value_and_grad(mean_square))(params)
    without = {
        name: jax.tree.map(lambda leaf: 3 * leaf + 1, layer) if "_conv_1" in name else layer
        for name, layer in params.items()
    }
    assert_close(quick_jit(mean_square)(without), value)  # what goes into a block does not come out
    for place in range(2):
        for number in range(2):
            last = f"block_{place}_{number}_conv_3"
            assert not np.any(params[last]["kernel"]) and "bias" not in params[last]
            assert np.abs(slopes[last]["kernel"]).max() > 0


@pytest.mark.parametrize("blocks", [1, 4])
def test_first_kernels_start_smaller_the_more_blocks_there_are(blocks):
    module = ResidualGenerator((8, 8), 1, base=32, blocks=blocks)
    params, _ = quick_jit(from_linen(module).init)(jax.random.key(0), normal(0, 1, 4))
    for number, taps in ((1, 1), (2, 9)):
        kernel = params[f"block_0_0_conv_{number}"]["kernel"]
        fan_in, total = taps * 64, 2 * blocks
        expected = np.sqrt(2 / 1.04 / fan_in) * total**-0.25
        np.testing.assert_allclose(np.std(kernel), expected, rtol=0.1)


def test_each_channel_of_the_first_map_is_turned_up_and_down_by_the_latents():
    module = ResidualGenerator((8, 8), 2, base=3)
    network, z = from_linen(module), normal(0, 2, 4)
    params, _ = quick_jit(network.init)(jax.random.key(0), z)
    weights = jax.tree.map(np.float64, params)
    x = z @ weights["project"]["kernel"] + weights["project"]["bias"]
    x = x[:, None, None] * weights["maps"] @ weights["width_1"]["kernel"][0, 0]
    x = np.asarray(jax.image.resize(np.float32(x), (2, 8, 8, 3), "bilinear"))
    expected = np.tanh(x @ weights["image"]["kernel"][0, 0] + weights["image"]["bias"])
    found, _ = quick_jit(partial(network.apply, train=False))(params, {}, z)
    assert_close(found, expected, rtol=1e-3, atol=1e-4)
