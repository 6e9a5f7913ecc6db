"""Players for waves: lengths, channels and weights as published; phase shuffle moves maps and mirrors their ends."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import assert_close, normal, quick_jit

from gan_jax.layers import Conv, ConvTranspose
from gan_jax.models.wave import WaveDiscriminator, WaveGenerator, shuffle_phase, stages
from gan_jax.networks import from_linen
from gan_jax.wave_layers import WaveConv, WaveConvTranspose


def kernels(module, x):
    params, _ = jax.eval_shape(from_linen(module).init, jax.random.key(0), x)
    return {name: layer["kernel"].shape for name, layer in params.items() if "kernel" in layer}


def test_lengths_are_divided_by_four_as_long_as_four_samples_are_left():
    assert stages(6144) == [6, 24, 96, 384, 1536, 6144]
    assert stages(16_384) == [4, 16, 64, 256, 1024, 4096, 16_384]
    assert stages(1200) == [75, 300, 1200] and stages(64) == [4, 16, 64]


def test_the_networks_are_the_published_ones():
    """Appendix D of the paper has them for 16,384 samples, d = 64, and a first map of 16; kernels are 25 long."""
    found = kernels(WaveGenerator(6144, batch_norm=False), jnp.zeros((2, 100)))
    assert found == {
        "project": (100, 6 * 1024),
        "up_24": (1, 25, 512, 1024),
        "up_96": (1, 25, 256, 512),
        "up_384": (1, 25, 128, 256),
        "up_1536": (1, 25, 64, 128),
        "wave": (1, 25, 1, 64),
    }
    found = kernels(WaveDiscriminator(phase_shuffle=2), jnp.zeros((2, 1, 6144, 1)))
    assert found == {
        "down_1536": (1, 25, 1, 64),
        "down_384": (1, 25, 64, 128),
        "down_96": (1, 25, 128, 256),
        "down_24": (1, 25, 256, 512),
        "down_6": (1, 25, 512, 1024),
        "logit": (6 * 1024, 1),
    }


@pytest.mark.parametrize(
    ("ours", "other"),
    [
        (WaveConv(5), Conv(5, (1, 25), (1, 4))),
        (WaveConvTranspose(2), ConvTranspose(2, (1, 25), (1, 4))),
    ],
)
def test_blocks_of_four_give_what_strides_of_four_give(ours, other):
    x = jnp.asarray(normal(0, 2, 1, 32, 3))
    both = [quick_jit(layer.init)(jax.random.key(0), x) for layer in (ours, other)]
    jax.tree.map(np.testing.assert_array_equal, *both)  # the same weights by the same names
    params = jax.tree.map(lambda leaf: leaf + 0.1, both[0])
    found, expected = (quick_jit(layer.apply)(params, x) for layer in (ours, other))
    assert_close(found, expected, atol=1e-5)


def test_a_map_is_moved_by_as_much_as_it_may_be_and_mirrored_at_its_ends():
    x = jnp.tile(jnp.arange(6.0), (200, 1))[:, None, :, None]
    found = np.asarray(shuffle_phase(jax.random.key(0), x, 2))[:, 0, :, 0]
    mirrored = [2, 1, *range(6), 4, 3]
    expected = [mirrored[i : i + 6] for i in range(5)]
    assert {tuple(row) for row in found.tolist()} == {tuple(map(float, row)) for row in expected}
    counts = np.bincount(found[:, 0].astype(int) + 10 * (found[:, 1] < found[:, 0]), minlength=13)
    assert counts[[12, 11, 0, 1, 2]].min() > 200 / 5 / 2  # each shift is as likely
    for wrong in (0, 6):
        with pytest.raises(ValueError, match=f"phase shuffle by {wrong} needs maps longer"):
            shuffle_phase(jax.random.key(0), x, wrong)


def test_d_shuffles_in_training_alone_and_each_time_as_its_key_says():
    network = from_linen(WaveDiscriminator(base=1, phase_shuffle=2))
    waves = jnp.asarray(normal(0, 3, 1, 64, 1))
    params, state = quick_jit(network.init)(jax.random.key(0), waves)
    plain = from_linen(WaveDiscriminator(base=1))
    judge = quick_jit(partial(network.apply, train=True))
    keys = [jax.random.key(i) for i in (1, 1, 2)]
    first, again, other = (np.asarray(judge(params, state, waves, key=key)[0]) for key in keys)
    resting, expected = (
        np.asarray(quick_jit(partial(each.apply, train=False))(params, state, waves)[0])
        for each in (network, plain)
    )
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(resting, expected)
    assert (first != other).any() and (first != resting).any()
