"""Laws of mixed precision: products of bfloat16 operands with float32 results, and nothing else that is rounded."""

from functools import cache, partial
from itertools import count

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from products import equations, products_in
from tiny import drawn_variables, normal, paying, quick_jit

from gan_jax import losses, rules
from gan_jax.convolution import Geometry, convolve
from gan_jax.layers import Conv, ConvTranspose, Dense
from gan_jax.layers.dense import multiply
from gan_jax.models.dcgan import DCGANDiscriminator, DCGANGenerator
from gan_jax.networks import from_linen
from gan_jax.precision import dot
from gan_jax.steps import init_state
from gan_jax.types import GAN, Batch
from gan_jax.wave_layers import WaveConv, WaveConvTranspose

BFLOAT16 = jnp.dtype(jnp.bfloat16)
ROUNDING = 2.0**-8  # of bfloat16, at most
# Layer, and the shape of its input. Between them they take every path through gan_jax.convolution and layers.dense.
LAYERS = {
    "conv": (partial(Conv, 6, (3, 3), (2, 2)), (4, 8, 8, 5)),
    "conv, few channels in": (partial(Conv, 6, (4, 4), (2, 2)), (4, 8, 8, 1)),
    "conv, few channels out": (partial(Conv, 1, (5, 5)), (4, 8, 8, 5)),
    "conv, fewer channels out": (partial(Conv, 5, (3, 3)), (2, 5, 5, 20)),
    "conv, lax": (partial(Conv, 6, (3, 3), (2, 2), lowering="lax"), (4, 7, 8, 5)),
    "conv, batch last": (partial(Conv, 6, (3, 3), (2, 2), batch_last=True), (5, 8, 8, 4)),
    "transposed": (partial(ConvTranspose, 6, (4, 4), (2, 2)), (4, 4, 4, 5)),
    "transposed, lax": (partial(ConvTranspose, 6, (4, 4), (2, 2), lowering="lax"), (4, 4, 4, 5)),
    "transposed, batch last": (partial(ConvTranspose, 2, (3, 3), batch_last=True), (5, 6, 6, 4)),
    "wave": (partial(WaveConv, 3), (4, 1, 64, 2)),
    "wave, transposed": (partial(WaveConvTranspose, 3), (4, 1, 16, 2)),
    "dense": (partial(Dense, 3), (200, 6)),
    "dense, the batch turned": (partial(Dense, 90), (4, 90)),
}
INPUT = 9  # the seed of what goes into a layer
every_layer = pytest.mark.parametrize("name", LAYERS)


def whole_numbers(seed, *shape):
    """Zeros and ones, and up to 31 for a layer's input."""
    high = 31 if seed == INPUT else 1
    return np.random.default_rng(seed).integers(0, high + 1, shape).astype(np.float32)


def derivatives(layer, params, x, weights):
    """Values; gradients of their weighted sum; and those of half its slopes' squared norm, as R1 has them."""

    def loss(params, x):
        return jnp.sum(weights * layer.apply({"params": params}, x))

    def steepness(params, x, by):
        slopes = jax.tree.leaves(jax.grad(loss, by)(params, x))
        return 0.5 * sum(jnp.sum(slope**2) for slope in slopes)

    y, first = layer.apply({"params": params}, x), jax.grad(loss, (0, 1))(params, x)
    return y, first, jax.grad(steepness)(params, x, 1), jax.grad(steepness, 1)(params, x, 0)


@cache
def compiled(name):
    """Compile a layer's derivatives, in float32 and with rounded operands."""
    make, _ = LAYERS[name]
    both = [partial(derivatives, make(dtype=dtype)) for dtype in (jnp.float32, jnp.bfloat16)]
    return quick_jit(lambda *args: [function(*args) for function in both])


def both_precisions(name, draw):
    """Compute a layer's derivatives at arrays that `draw(seed, *shape)` gives."""
    make, shape = LAYERS[name]
    seeds = count()
    y, variables = jax.eval_shape(make().init_with_output, jax.random.key(0), draw(INPUT, *shape))
    args = jax.tree.map(lambda leaf: draw(next(seeds), *leaf.shape), (variables["params"], y))
    return compiled(name)(args[0], draw(INPUT, *shape), args[1])


@every_layer
def test_whole_numbers_lose_nothing_though_bfloat16_cannot_hold_their_sums(name):
    # Left out is what multiplies sums over a batch once more: bfloat16 holds whole numbers to 256.
    exact, mixed = (found[:3] for found in both_precisions(name, whole_numbers))
    jax.tree.map(np.testing.assert_array_equal, mixed, exact)
    kept = [np.float32(np.asarray(leaf).astype(BFLOAT16)) for leaf in jax.tree.leaves(exact)]
    lost = [(a != b).any() for a, b in zip(kept, jax.tree.leaves(exact), strict=True)]
    assert any(lost)


@pytest.mark.parametrize("axes", [((1,), (0,)), ((0,), (0,)), ((1,), (1,)), ((0,), (1,))])
def test_a_products_result_may_be_turned(axes):
    # XLA:CPU would turn the product itself, to a form that it cannot compute.
    a, b = np.ones((16, 16), np.float32), np.arange(256, dtype=np.float32).reshape(16, 16)
    turned = jax.jit(lambda a, b: dot(a.astype(BFLOAT16), b.astype(BFLOAT16), axes).T)(a, b)
    np.testing.assert_array_equal(turned, np.tensordot(a, b, axes).T)


@pytest.mark.parametrize("lowering", ["matmul", "lax"])
def test_a_kernels_gradient_is_not_rounded_to_bfloat16(lowering):
    x, dy = np.ones((3, 11, 11, 5), np.float32), np.ones((3, 11, 11, 6), np.float32)
    geometry = Geometry((1, 1), (1, 1), (11, 11), lowering, operands=BFLOAT16)
    k = np.ones((1, 1, 5, 6), np.float32)
    (gradient,) = jax.vjp(partial(convolve, geometry, x), k)[1](dy)
    np.testing.assert_array_equal(gradient, np.full(k.shape, 363.0))  # bfloat16 has 362 and 364
    flat = x.reshape(363, 5), dy.reshape(363, 6)
    (gradient,) = jax.vjp(lambda k: multiply(flat[0], k, BFLOAT16), k[0, 0])[1](flat[1])
    np.testing.assert_array_equal(gradient, np.full((5, 6), 363.0))


@every_layer
def test_values_and_gradients_are_those_of_float32_but_for_the_operands_rounding(name):
    exact, mixed = both_precisions(name, normal)
    for wanted, found in zip(*map(jax.tree.leaves, (exact, mixed)), strict=True):
        error = np.linalg.norm(found - wanted)
        # A sum of products of two rounded numbers; a penalty's gradient rounds what comes back, once more.
        assert error <= 2 * ROUNDING * np.linalg.norm(wanted)
    assert any((np.asarray(f) != w).any() for w, f in zip(exact[0], mixed[0], strict=True))


def test_images_are_rounded_before_their_patches_are_gathered():
    geometry = Geometry((3, 3), (1, 1), (8, 8), "matmul", operands=BFLOAT16)
    x, k = np.ones((2, 8, 8, 5), np.float32), np.ones((3, 3, 5, 6), np.float32)
    program = jax.make_jaxpr(partial(convolve, geometry))(x, k).jaxpr
    gathered = [e.outvars[0].aval for e in equations(program) if e.primitive.name == "concatenate"]
    assert [(a.shape, a.dtype) for a in gathered] == [((2, 8, 8, 45), BFLOAT16)]


# A whole step


def test_a_step_is_mixed_in_its_products_and_float32_in_all_that_it_keeps_and_tells():
    batch = Batch(jax.ShapeDtypeStruct((3, 8, 8, 1), jnp.float32), None)
    players = (
        DCGANGenerator(8, base=2, dtype=BFLOAT16, hidden=(5,)),
        DCGANDiscriminator(2, BFLOAT16, (5,)),
    )
    adam = optax.adam(1e-3, b1=0.5)
    loss, penalties = losses.non_saturating(), paying(r1_gamma=1.0)
    gan = GAN(*map(from_linen, players), adam, adam, loss, 4, penalties=penalties)
    state = jax.eval_shape(partial(init_state, gan), jax.random.key(0), batch)
    step = partial(rules.alternating.step, gan, key=jax.random.key(1))
    program, kept = jax.make_jaxpr(step, return_shape=True)(state, batch)
    found = products_in(program)
    assert [p for p in found if not (p.is_mixed or p.stays_float32)] == []
    assert sum(p.is_mixed for p in found) > 60
    floats = {x.dtype for x in jax.tree.leaves(kept) if jnp.issubdtype(x.dtype, jnp.floating)}
    assert floats == {jnp.dtype(jnp.float32)}


def test_a_players_loss_and_penalty_have_nearly_the_gradient_of_float32():
    x = normal(0, 6, 8, 8, 1)
    networks = [from_linen(DCGANDiscriminator(4, dtype)) for dtype in (jnp.float32, jnp.bfloat16)]
    params, _ = drawn_variables(networks[0], x)

    def gradient(network, params):
        def logits(params, x):
            return network.apply(params, {}, x, train=True)[0].sum()

        def judged(params):
            return logits(params, x) + 0.5 * jnp.sum(jax.grad(logits, 1)(params, x) ** 2)

        return jax.flatten_util.ravel_pytree(jax.grad(judged)(params))[0]

    exact, mixed = (quick_jit(partial(gradient, network))(params) for network in networks)
    lengths = np.linalg.norm(exact), np.linalg.norm(mixed)
    assert np.dot(exact, mixed) > 0.9995 * np.prod(lengths)
    np.testing.assert_allclose(*lengths, rtol=0.02)
