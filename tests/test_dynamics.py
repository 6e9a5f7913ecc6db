"""Laws of the game's dynamics: fields, products with their Jacobian, eigenvalues, paths and gaps, in float64."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tiny import game, normal, paying, quick_jit, stateless

from gan_jax import losses
from gan_jax.dynamics import blocks, gap, path, spectrum
from gan_jax.dynamics.dirac import dirac_data, dirac_eigenvalues, dirac_game, dirac_state, fate
from gan_jax.dynamics.field import adam_multipliers, game_field, weights_of
from gan_jax.dynamics.overfitting import overfitting
from gan_jax.dynamics.rotation import rotation
from gan_jax.gradients import both_gradients
from gan_jax.jacobian import Jacobian, linearise
from gan_jax.sampling import sample_real
from gan_jax.steps import init_state
from gan_jax.types import Batch, Players


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def of_matrix(matrix):
    return Jacobian(lambda u: matrix @ u, lambda w: matrix.T @ w)


# The field and its Jacobian

SMOOTH = game(
    stateless(lambda key, z: jnp.ones((2, 2)), lambda w, z: jnp.tanh(z @ w)),
    stateless(lambda key, x: jnp.array([0.5, -1.0, 2.0]), lambda w, x: jnp.tanh(x @ w[:2]) * w[2]),
    penalties=paying(r1_gamma=1.0),
)
REAL = Batch(np.float64(normal(0, 4, 2)))


@pytest.fixture
def tiny_field():
    state = init_state(SMOOTH, jax.random.key(0), REAL)
    return game_field(SMOOTH, state, REAL, key=jax.random.key(1)), weights_of(state)


def test_the_field_goes_down_both_gradients_of_the_training(tiny_field):
    field, at = tiny_field
    state = init_state(SMOOTH, jax.random.key(0), REAL)
    grads, _, _ = both_gradients(SMOOTH, state, REAL, key=jax.random.key(1))
    for v, g in zip(jax.tree.leaves(field(at)), jax.tree.leaves(grads), strict=True):
        np.testing.assert_array_equal(v, -g)


def test_products_with_the_jacobian_are_those_of_the_dense_one(tiny_field):
    field, at = tiny_field
    flat, back = jax.flatten_util.ravel_pytree(at)

    def flat_field(w):
        return jax.flatten_util.ravel_pytree(field(back(w)))[0]

    dense = quick_jit(jax.jacrev(flat_field))(flat)
    u = np.random.default_rng(0).normal(size=flat.size)

    def products(w):
        _, jacobian, _ = linearise(lambda w: (flat_field(w), None), w)
        return jacobian.times(u), jacobian.transposed(u)

    times, transposed = quick_jit(products)(flat)
    np.testing.assert_allclose(times, dense @ u, rtol=1e-10)
    np.testing.assert_allclose(transposed, dense.T @ u, rtol=1e-10)
    assert np.abs(dense - dense.T).max() > 0.01

    def players_blocks(w):
        _, jacobian, _ = linearise(lambda p: (field(p), None), back(w))
        of_g, of_d = blocks.hessian_products(jacobian, back(w))
        moved = Players(of_g(back(u).generator), of_d(back(u).discriminator))
        return jax.flatten_util.ravel_pytree(moved)[0]

    num_g = at.generator.size
    own = np.zeros_like(dense)
    own[:num_g, :num_g], own[num_g:, num_g:] = dense[:num_g, :num_g], dense[num_g:, num_g:]
    np.testing.assert_allclose(quick_jit(players_blocks)(flat), -own @ u, rtol=1e-10)
    np.testing.assert_allclose(own, own.T, atol=1e-12)


def test_adams_field_is_what_adam_follows_without_momentum():
    tx = optax.adam(lambda count: 0.1 / (count + 1), b1=0.0, b2=0.9, eps=1e-3)
    grads = {"w": jnp.array([1.0, -2.0, 0.5])}
    _, state = tx.update({"w": jnp.array([3.0, 1.0, 0.0])}, tx.init(grads))
    updates, state = tx.update(grads, state)
    multipliers = adam_multipliers(state, 0.05, b2=0.9, eps=1e-3)
    np.testing.assert_allclose(updates["w"], -multipliers["w"] * grads["w"], rtol=1e-6)
    with pytest.raises(ValueError, match="holds 0 states of Adam"):
        adam_multipliers(optax.sgd(1.0).init(grads), 0.1, b2=0.9, eps=1e-3)


# Eigenvalues


def normal_start(like):
    like = jnp.zeros(like) if isinstance(like, int) else like
    return spectrum.random_direction(jax.random.key(3), like)


def test_arnoldi_and_lanczos_find_the_eigenvalues_of_small_matrices():
    matrix = np.random.default_rng(1).normal(size=(9, 9))
    for symmetric, project in ((False, spectrum.arnoldi), (True, spectrum.lanczos)):
        a = matrix + matrix.T if symmetric else matrix
        krylov = project(lambda u, a=a: a @ u, normal_start(9), 40)
        found = spectrum.eigenvalues(krylov, 4, symmetric=symmetric)
        expected = np.linalg.eigvals(a)
        largest = np.sort(np.abs(expected))[::-1][:4]
        np.testing.assert_allclose(np.abs(found.values), largest, rtol=1e-9)
        for value in found.values:
            assert np.abs(expected - value).min() < 1e-9
        assert found.residuals.max() < 1e-9


def test_an_eigenvalue_that_a_shallow_space_shows_is_within_its_residual():
    values = np.concatenate([[50.0, -40.0], np.linspace(-1, 1, 60)])
    krylov = spectrum.lanczos(lambda u: values * u, normal_start(62), 8)
    found = spectrum.eigenvalues(krylov, 2, symmetric=True)
    assert np.all(np.abs(found.values - [50.0, -40.0]) <= found.residuals + 1e-9)
    assert 0 < found.residuals.max() < 1e-2


@pytest.mark.parametrize(
    ("loss", "gamma"), [("non_saturating", 0.0), ("hinge", 0.3), ("minimax", 3.0)]
)
def test_arnoldi_finds_the_closed_forms_of_the_dirac_gan(loss, gamma):
    gan = dirac_game(losses.LOSSES[loss](), paying(r1_gamma=gamma))
    state = dirac_state(gan, 0.0, 0.0, jax.random.key(0))
    field = game_field(gan, state, dirac_data(), key=jax.random.key(1))
    _, jacobian, _ = linearise(lambda w: (field(w), None), weights_of(state))
    krylov = spectrum.arnoldi(jacobian.times, normal_start(weights_of(state)), 5)
    found = spectrum.eigenvalues(krylov, 2).values
    for value in dirac_eigenvalues(loss, gamma):
        assert np.abs(found - value).min() < 1e-10


# Rotation


def test_rotation_by_hand():
    u = jnp.array([0.3, -2.0])
    swirl = of_matrix(jnp.array([[3.0, -4.0], [4.0, 3.0]]))  # 3 I + 4 R: 8 |u| against 6 |u|
    assert float(rotation(swirl, u)) == pytest.approx(4 / 3)
    assert float(rotation(of_matrix(jnp.array([[1.0, 2.0], [2.0, -5.0]])), u)) == 0
    assert float(rotation(of_matrix(jnp.array([[0.0, 1.0], [-1.0, 0.0]])), u)) == np.inf


# Paths

ALPHAS = jnp.linspace(0.0, 2.0, 101)
START, END = jnp.array([3.0, 0.0]), jnp.zeros(2)


def test_on_the_way_to_a_point_that_draws_in_the_cosine_jumps_from_1_to_minus_1():
    found = path.path(lambda w: -w, START, END, ALPHAS)
    np.testing.assert_allclose(found.cosine[:50], 1.0)
    np.testing.assert_allclose(found.cosine[51:], -1.0)
    np.testing.assert_allclose(found.norm, 3.0 * np.abs(1.0 - ALPHAS), atol=1e-12)
    cosine = np.where(np.isnan(found.cosine), 0.0, found.cosine)
    assert path.sign_changes(np.asarray(ALPHAS), cosine) == [pytest.approx(1.0)]


def test_around_a_point_that_only_turns_the_cosine_is_zero_and_a_bump_without_a_change_of_sign_beside_it():
    def turn(w):
        return jnp.array([w[1], -w[0]])

    through = path.path(turn, START, END + 1e-9, ALPHAS)
    np.testing.assert_allclose(np.delete(through.cosine, 50), 0.0, atol=1e-6)
    beside = path.path(turn, START - jnp.array([0.0, 0.5]), END - jnp.array([0.0, 0.5]), ALPHAS)
    assert np.asarray(beside.cosine).argmax() == 50
    assert np.asarray(beside.cosine).min() > 0.1
    assert path.sign_changes(np.asarray(ALPHAS), np.asarray(beside.cosine)) == []


def test_where_a_sign_changes_is_found_between_two_points():
    assert path.sign_changes(np.array([0.0, 1.0, 2.0]), np.array([1.0, -3.0, 2.0])) == [0.25]


# The duality gap

SCISSORS = jnp.array([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]])


@pytest.mark.parametrize(
    ("p", "q", "expected"),
    [
        ((0, 0, 0), (0, 0, 0), 0.0),  # both even: solved
        ((9, 0, 0), (9, 0, 0), 2.0),  # both stone: each could win every time
        ((0, 0, 0), (9, 0, 0), 1.0),  # one is even, the other can be beaten
    ],
)
def test_the_gap_of_a_matrix_game_is_what_both_could_win(p, q, expected):
    # G plays softmax(p), D softmax(q); D wins p . A q. Its logit of G's play is -p . A q, of the data, which are 0, 0.
    generator = stateless(
        lambda key, z: jnp.array(p, float),
        lambda w, z: jnp.broadcast_to(jax.nn.softmax(w), (z.shape[0], 3)),
    )
    discriminator = stateless(
        lambda key, x: jnp.array(q, float), lambda w, x: -x @ (SCISSORS @ jax.nn.softmax(w))
    )
    tx = optax.adam(0.3)
    gan = game(generator, discriminator, losses.wasserstein(), g_tx=tx, d_tx=tx)
    data = Batch(jnp.zeros((2, 3)))
    sizes = {"batch_size": 1, "num_steps": 200, "num_samples": 2}
    measure = partial(gap.duality_gap, gan, draw=sample_real, data=data, **sizes)
    state = init_state(gan, jax.random.key(0), data)
    found = quick_jit(measure)(state, key=jax.random.key(1))
    assert float(found.gap) == pytest.approx(expected, abs=0.01)
    assert float(found.value) == pytest.approx(0.0, abs=1e-12)


# Overfitting


def test_overfitting_by_hand():
    found = overfitting(jnp.array([2.0, 1.0, -3.0, 4.0]), jnp.array([0.5, -0.5]))
    assert (float(found.sure), float(found.gap)) == (0.5, 1.0)


# What becomes of a game


@pytest.mark.parametrize(
    ("distance", "said"),
    [
        (lambda t: np.exp(-t / 30), "comes in"),
        (lambda t: np.exp(t / 30), "leaves"),
        (lambda t: np.ones_like(t), "goes around"),
        (lambda t: np.where(t < 90, 1.0, np.inf), "leaves"),
        (lambda t: np.full_like(t, np.nan), "refused"),
    ],
)
def test_what_becomes_of_a_game_is_told_by_the_distance(distance, said):
    t = np.arange(100.0)
    way = distance(t)[:, None] * np.stack([np.cos(t / 3 + 0.1), np.sin(t / 3 + 0.1)], axis=1)
    assert fate(way) == said


def test_a_game_that_stands_still_away_from_the_equilibrium_has_stopped():
    assert fate(np.full((100, 2), 0.7)) == "stops elsewhere"
