"""Laws of the convolutions, against their definition pixel by pixel in float64 NumPy and against plain `lax`."""

from functools import cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax import lax
from strategies import float_dtypes, seeds
from tiny import adjoint64, assert_close, convolve64, kernel64, normal, one_in, quick_jit

from gan_jax.convolution import Geometry, convolve, convolve_adjoint, convolve_kernel
from gan_jax.convolution.patches import gather_patches, padding_before, scatter_patches

BATCH = 2
LOWERINGS = ("matmul", "lax")


class Case(NamedTuple):
    """A geometry and its channels."""

    kernel: tuple[int, int]
    strides: tuple[int, int]
    size: tuple[int, int]
    inputs: int
    outputs: int

    @property
    def outputs_size(self) -> tuple[int, int]:
        return tuple(-(-n // s) for n, s in zip(self.size, self.strides, strict=True))

    def geometry(self, lowering: str) -> Geometry:
        return Geometry(self.kernel, self.strides, self.size, lowering)

    def draw(self, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Draw x, k and y."""
        x = normal(seed, BATCH, *self.size, self.inputs)
        k = normal(seed + 1, *self.kernel, self.inputs, self.outputs)
        y = normal(seed + 2, BATCH, *self.outputs_size, self.outputs)
        return x, k / np.sqrt(np.float32(k[..., 0].size)), y


CASES = {
    "odd kernel, stride one": Case((3, 3), (1, 1), (5, 4), 2, 3),
    "odd kernel, odd size, stride two": Case((3, 3), (2, 2), (7, 5), 3, 2),
    "the article's upsampling": Case((4, 4), (2, 2), (6, 6), 3, 2),
    "even kernel, odd size": Case((4, 4), (2, 2), (7, 6), 2, 2),
    "few outputs": Case((5, 5), (1, 1), (4, 6), 8, 1),
    "few outputs, even kernel": Case((4, 2), (1, 1), (5, 3), 8, 2),
    "few outputs, kernel beyond the image": Case((5, 4), (1, 1), (2, 3), 4, 1),
    "few outputs, stride two": Case((3, 4), (2, 2), (5, 4), 8, 1),
    "kernel smaller than stride": Case((1, 2), (2, 3), (5, 7), 2, 2),
    "kernel smaller than half the stride": Case((1, 1), (3, 4), (7, 9), 2, 3),
    "oblong": Case((2, 5), (3, 1), (7, 4), 2, 2),
    "stride along one axis": Case((3, 2), (1, 2), (4, 5), 8, 1),
    "one pixel": Case((3, 3), (2, 2), (1, 1), 2, 2),
}
every_case = pytest.mark.parametrize("name", CASES)
both_lowerings = pytest.mark.parametrize("lowering", LOWERINGS)


@cache
def compiled(name, lowering):
    """Compile all three maps, their six gradients, and the gradient of a penalty, for one case."""
    geometry = CASES[name].geometry(lowering)

    def everything(x, k, y):
        dx, dk = jax.grad(lambda x, k: jnp.vdot(convolve(geometry, x, k), y), (0, 1))(x, k)
        by_adjoint = jax.grad(lambda y, k: jnp.vdot(x, convolve_adjoint(geometry, y, k)), (0, 1))
        by_kernel = jax.grad(lambda x, y: jnp.vdot(k, convolve_kernel(geometry, x, y)), (0, 1))
        values = {
            "convolve": convolve(geometry, x, k),
            "adjoint": convolve_adjoint(geometry, y, k),
            "kernel": convolve_kernel(geometry, x, y),
        }
        gradients = {
            "convolve": (dx, dk),
            "adjoint": by_adjoint(y, k),
            "kernel": by_kernel(x, y),
        }
        return values, gradients, penalty_gradients(partial(convolve, geometry), x, k)

    return quick_jit(everything)


@cache
def compiled_batch_last(name, lowering):
    """Compile the three maps and the gradient of a penalty on images [C, H, W, B]."""
    geometry = CASES[name].geometry(lowering)._replace(batch_last=True)

    def everything(x, k, y):
        x, y = (images.transpose(3, 1, 2, 0) for images in (x, y))
        values = {
            "convolve": convolve(geometry, x, k).transpose(3, 1, 2, 0),
            "adjoint": convolve_adjoint(geometry, y, k).transpose(3, 1, 2, 0),
            "kernel": convolve_kernel(geometry, x, y),
        }
        dx, dk = penalty_gradients(partial(convolve, geometry), x, k)
        return values, (dx.transpose(3, 1, 2, 0), dk)

    return quick_jit(everything)


@every_case
@both_lowerings
def test_with_the_batch_last_all_is_the_same(name, lowering):
    drawn = CASES[name].draw(0)
    values, _, penalty = textbook(CASES[name], *drawn)
    found = compiled_batch_last(name, lowering)(*drawn)
    assert_close(found, (values, penalty), rtol=1e-4, atol=1e-4)


def penalty_gradients(function, x, k):
    """Differentiate |d/dx sum(sin f(x, k))|^2 by x and k."""

    def penalty(x, k):
        return jnp.sum(jax.grad(lambda x: jnp.sum(jnp.sin(function(x, k))))(x) ** 2)

    return jax.grad(penalty, (0, 1))(x, k)


def textbook(case, x, k, y):
    """Compute the same, by the product rule and from the definition."""
    forward = partial(convolve64, strides=case.strides)
    adjoint = partial(adjoint64, strides=case.strides, size=case.size)
    correlate = partial(kernel64, kernel=case.kernel, strides=case.strides)
    u, dx, dk = forward(x, k), adjoint(y, k), correlate(x, y)
    values = {"convolve": u, "adjoint": dx, "kernel": dk}
    gradients = {"convolve": (dx, dk), "adjoint": (u, dk), "kernel": (dx, u)}
    slopes = adjoint(np.cos(u), k)
    du = -np.sin(u) * forward(slopes, k)
    return (
        values,
        gradients,
        (2 * adjoint(du, k), 2 * (correlate(x, du) + correlate(slopes, np.cos(u)))),
    )


@every_case
@both_lowerings
@one_in(8)
@given(seed=seeds())
def test_values_gradients_and_penalty_gradients_are_the_textbooks(name, lowering, seed):
    drawn = CASES[name].draw(seed)
    expected = textbook(CASES[name], *drawn)
    assert_close(compiled(name, lowering)(*drawn), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["even kernel, odd size", "few outputs", "oblong"])
def test_gradients_up_to_the_second_order_are_those_of_plain_lax(name):
    case = CASES[name]
    x, k, _ = case.draw(0)

    def plain(x, k):
        numbers = ("NHWC", "HWIO", "NHWC")
        return lax.conv_general_dilated(x, k, case.strides, "SAME", dimension_numbers=numbers)

    expected = quick_jit(partial(penalty_gradients, plain))(x, k)
    for lowering in LOWERINGS:
        assert_close(compiled(name, lowering)(*case.draw(0))[2], expected, rtol=1e-4, atol=1e-4)


@every_case
@both_lowerings
@one_in(5)
@given(seed=seeds())
def test_one_inner_product_can_be_taken_on_any_of_the_three_sides(name, lowering, seed):
    x, k, y = CASES[name].draw(seed)
    values, _, _ = compiled(name, lowering)(x, k, y)
    scale = np.linalg.norm(x) * np.linalg.norm(k) * np.linalg.norm(y)
    products = [
        np.vdot(values["convolve"], y),
        np.vdot(x, values["adjoint"]),
        np.vdot(k, values["kernel"]),
    ]
    np.testing.assert_allclose(products, products[0], rtol=0, atol=1e-6 * scale)


@both_lowerings
@pytest.mark.parametrize("name", ["the article's upsampling", "few outputs"])
def test_mapped_over_weights_is_looped_over_weights(name, lowering):
    case = CASES[name]
    x, _, y = case.draw(0)
    kernels = np.stack([case.draw(seed)[1] for seed in range(3)])
    geometry = case.geometry(lowering)

    def value_and_gradients(k):
        value, pull_back = jax.vjp(partial(convolve, geometry), x, k)
        up, pull_back_up = jax.vjp(partial(convolve_adjoint, geometry), y, k)
        return value, pull_back(y), up, pull_back_up(x)

    one = quick_jit(value_and_gradients)
    looped = jax.tree.map(lambda *leaves: np.stack(leaves), *[one(k) for k in kernels])
    assert_close(quick_jit(jax.vmap(value_and_gradients))(kernels), looped, atol=1e-5)


@one_in(2)
@given(
    kernel=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    strides=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    inputs=st.integers(1, 9),
    outputs=st.integers(1, 9),
    dtype=float_dtypes(),
    lowering=st.sampled_from(LOWERINGS),
)
def test_every_geometry_has_the_documented_shapes_and_keeps_the_type(
    kernel, strides, size, inputs, outputs, dtype, lowering
):
    case = Case(kernel, strides, size, inputs, outputs)
    geometry = case.geometry(lowering)
    x = jax.ShapeDtypeStruct((BATCH, *size, inputs), dtype)
    k = jax.ShapeDtypeStruct((*kernel, inputs, outputs), dtype)
    y = jax.ShapeDtypeStruct((BATCH, *case.outputs_size, outputs), dtype)

    def maps(x, k, y):
        return (
            convolve_adjoint(geometry, y, k),
            convolve_kernel(geometry, x, y),
            convolve(geometry, x, k),
        )

    def gradients(x, k, y):
        return jax.vjp(maps, x, k, y)[1](maps(x, k, y))

    shaped = [(a.shape, a.dtype) for a in (x, k, y)]
    assert [(a.shape, a.dtype) for a in jax.eval_shape(maps, x, k, y)] == shaped
    assert [(a.shape, a.dtype) for a in jax.eval_shape(gradients, x, k, y)] == shaped


@both_lowerings
def test_bfloat16_loses_digits_and_no_more(lowering):
    case = CASES["the article's upsampling"]
    drawn = case.draw(0)
    rounded = [jnp.asarray(a, jnp.bfloat16) for a in drawn]
    values, gradients, _ = compiled("the article's upsampling", lowering)(*rounded)
    expected, expected_gradients, _ = textbook(case, *map(np.float64, rounded))
    assert {a.dtype for a in jax.tree.leaves((values, gradients))} == {jnp.dtype(jnp.bfloat16)}
    assert_close((values, gradients), (expected, expected_gradients), rtol=0.02, atol=0.1)


def third_order_program(case, lowering, platform):
    """Lower a loop over third derivatives, and return the program's text."""
    x, k, _ = case.draw(0)

    def step(k, _):
        function = partial(convolve, case.geometry(lowering))
        return jax.grad(lambda k: jnp.sum(penalty_gradients(function, x, k)[1] ** 2))(k), None

    traced = jax.jit(lambda k: lax.scan(step, k, length=2)).trace(k)
    return traced.lower(lowering_platforms=(platform,)).as_text()


@pytest.mark.parametrize("name", ["the article's upsampling", "few outputs"])
@pytest.mark.parametrize(
    ("lowering", "platform", "operation", "other"),
    [
        ("auto", "cpu", "dot_general", "convolution"),
        ("matmul", "tpu", "dot_general", "convolution"),
        ("auto", "tpu", "convolution", "dot_general"),
        ("lax", "cpu", "convolution", "dot_general"),
    ],
)
def test_a_lowering_is_kept_in_gradients_of_any_order(name, lowering, platform, operation, other):
    program = third_order_program(CASES[name], lowering, platform)
    assert f"stablehlo.{operation}" in program
    assert f"stablehlo.{other}" not in program


def test_forward_mode_is_refused():
    case = CASES["few outputs"]
    x, k, _ = case.draw(0)
    with pytest.raises(TypeError, match="custom_vjp"):
        jax.jvp(lambda x: convolve(case.geometry("lax"), x, k), (x,), (x,))


# Patches


@every_case
def test_scattering_patches_is_the_adjoint_of_gathering_them(name):
    case = CASES[name]
    x = normal(0, BATCH, *case.size, 2)
    taps = case.kernel[0] * case.kernel[1]
    p = normal(1, BATCH, *case.outputs_size, taps * 2)
    for mirrored in (False, True) if case.strides == (1, 1) else (False,):

        def products(x, p, mirrored=mirrored):
            gathered = gather_patches(x, case.kernel, case.strides, mirrored=mirrored)
            scattered = scatter_patches(p, case.kernel, case.strides, case.size, mirrored=mirrored)
            return jnp.vdot(gathered, p), jnp.vdot(x, scattered)

        np.testing.assert_allclose(*quick_jit(products)(x, p), rtol=1e-4, atol=1e-4)


@given(size=st.integers(1, 50), kernel=st.integers(1, 9), stride=st.integers(1, 9))
def test_padding_is_that_of_lax(size, kernel, stride):
    ((before, after),) = lax.padtype_to_pads((size,), (kernel,), (stride,), "SAME")
    assert padding_before(size, kernel, stride) == before
    assert after - before in (0, 1)
