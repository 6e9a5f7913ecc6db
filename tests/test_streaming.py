"""Where the data lie makes no difference: the samples that go to the device are those that it would have drawn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import ConvDiscriminator, ConvGenerator, assert_close, game

from gan_jax import rules
from gan_jax.networks import from_linen
from gan_jax.sampling import sample_real
from gan_jax.steps import init_state, make_chunk, step_keys
from gan_jax.streaming import drawn_indices, gather, make_streamed_chunk
from gan_jax.types import Batch

SIZE, NUM = 50, 6
PIXELS = np.random.default_rng(0).integers(0, 256, (SIZE, 4, 4, 1), np.uint8)
DATA = Batch(PIXELS, np.arange(SIZE, dtype=np.int32) % 3)


def indices(key, first: int, num_steps: int) -> np.ndarray:
    sizes = {"num_steps": num_steps, "num": NUM}
    return np.asarray(drawn_indices(key, jnp.int32(first), jnp.int32(SIZE), **sizes))


def test_the_samples_of_a_step_are_those_that_sample_real_draws_in_it():
    root = jax.random.key(3)
    batches = gather(DATA, indices(root, 7, 4))
    assert batches.images.shape == (4, NUM, 4, 4, 1) and batches.images.dtype == np.uint8
    for place in range(4):
        data_key, _ = step_keys(root, jnp.int32(7 + place))
        drawn = sample_real(data_key, DATA, NUM)
        np.testing.assert_array_equal(drawn.labels, batches.labels[place])
        np.testing.assert_allclose(drawn.images, batches.images[place] / 127.5 - 1, atol=1e-6)


def test_steps_may_be_cut_anywhere():
    whole = indices(jax.random.key(0), 5, 6)
    parts = [indices(jax.random.key(0), first, num) for first, num in ((5, 2), (7, 1), (8, 3))]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_samples_are_gathered_in_their_order_and_repeated():
    chosen = np.array([[4, 0, 4], [49, 1, 0]])
    found = gather(DATA, chosen)
    np.testing.assert_array_equal(found.images, PIXELS[chosen])
    np.testing.assert_array_equal(found.labels, chosen % 3)
    assert gather(Batch(PIXELS, None), chosen).labels is None


@pytest.mark.slow
@pytest.mark.parametrize("rule", ["alternating", "article"])
def test_a_chunk_is_the_same_wherever_its_data_lie(rule):
    gan = game(from_linen(ConvGenerator()), from_linen(ConvDiscriminator()))
    rule = rules.RULES[rule]
    key, num = jax.random.key(1), 4 * rule.batches(gan)
    data = Batch(PIXELS, None)

    def first():
        return init_state(gan, jax.random.key(0), sample_real(jax.random.key(2), data, 4))

    there = make_chunk(gan, rule, sample_real, batch_size=4, num_steps=3)(first(), data, key)
    drawn = drawn_indices(key, jnp.int32(0), jnp.int32(SIZE), num_steps=3, num=num)
    here = make_streamed_chunk(gan, rule, num_steps=3)(
        first(), gather(data, np.asarray(drawn)), key
    )
    assert_close(here, there, 0, 0)
