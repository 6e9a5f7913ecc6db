"""Laws of the update rules where a game rotates: the rates of theory on the Dirac-GAN, in float64."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tiny import (
    BatchNormDiscriminator,
    BatchNormGenerator,
    assert_close,
    bits,
    game,
    normal,
    paying,
    quick_jit,
)

from gan_jax import losses, rules
from gan_jax.dynamics import update_map
from gan_jax.dynamics.dirac import PULLS, dirac_data, dirac_eigenvalues, dirac_game, dirac_state
from gan_jax.gradients import both_gradients
from gan_jax.networks import from_linen
from gan_jax.rules.memory import recall
from gan_jax.sampling import sample_real
from gan_jax.steps import init_state, make_chunk
from gan_jax.types import Batch, Network, Players

H = 0.2  # rate
AT_ONCE = ("simultaneous", "extragradient", "extrapolation_from_the_past", "consensus")
AT_ONCE += ("symplectic_gradient_adjustment",)


@pytest.fixture
def float64():
    with jax.enable_x64(True):
        yield


def spiral(rule, loss="wasserstein", num_steps=100, tx=None, start=(0.6, 0.8), **weights):
    """Play a Dirac-GAN; return (theta, psi) before each step and after the last, [num_steps + 1, 2]."""
    tx = optax.sgd(H) if tx is None else tx
    gan = rule.equip(dirac_game(losses.LOSSES[loss](), paying(**weights), tx))
    num = rule.batches(gan)
    real = dirac_data(num)

    def step(state, key):
        new, _ = rule.step(gan, state, real, key=key)
        return new, jnp.stack([new.generator.params, new.discriminator.params])

    state = dirac_state(gan, *start, jax.random.key(0))
    keys = jax.random.split(jax.random.key(1), num_steps)
    _, path = quick_jit(partial(jax.lax.scan, step))(state, keys)
    return np.concatenate([[start], path])


def update_matrix(rule, steps=1):
    """The matrix of some steps of a rule around the equilibrium of the bilinear game, memory included."""
    gan = rule.equip(dirac_game(losses.wasserstein(), tx=optax.sgd(H)))
    real = dirac_data(rule.batches(gan))
    start = dirac_state(gan, 0.0, 0.0, jax.random.key(0))
    floats, put_back = jax.flatten_util.ravel_pytree(
        start._replace(step=jnp.zeros(()), ema_params=())
    )

    def some_steps(vector):
        state = put_back(vector)._replace(step=start.step, ema_params=start.ema_params)
        for number in range(steps):
            state, _ = rule.step(gan, state, real, key=jax.random.key(number))
        return jax.flatten_util.ravel_pytree(state._replace(step=jnp.zeros(()), ema_params=()))[0]

    return quick_jit(jax.jacfwd(some_steps))(floats)[1:, 1:]


def assert_contains(jacobian, expected):
    found = list(np.linalg.eigvals(jacobian))
    for value in expected:
        nearest = min(found, key=lambda each, v=value: abs(each - v))
        assert abs(nearest - value) < 1e-10, (value, found)
        found.remove(nearest)


# The rates of theory


LAM = 1j  # of the bilinear game x' = psi, psi' = -theta
ALTERNATING = update_map.alternating_factors(1.0, 1.0, H)


@pytest.mark.parametrize(
    ("rule", "steps", "expected"),
    [
        (rules.simultaneous, 1, [update_map.simultaneous_factor(LAM, H)]),
        (rules.one_stage, 1, [update_map.simultaneous_factor(LAM, H)]),
        (rules.alternating, 1, ALTERNATING[:1]),
        (rules.extragradient, 1, [update_map.extragradient_factor(LAM, H)]),
        (rules.extrapolation_from_the_past, 1, update_map.past_factors(LAM, H)),
        (rules.consensus_by(0.7), 1, [update_map.consensus_factor(LAM, H, 0.7)]),
        (rules.symplectic_by(0.7), 1, [update_map.symplectic_factor(LAM, H, 0.7)]),
        (
            rules.lookahead_by(0.3, steps=4),
            4,
            [update_map.lookahead_factor(ALTERNATING[0], 0.3, 4)],
        ),
    ],
)
def test_a_step_near_the_equilibrium_has_the_eigenvalues_of_theory(float64, rule, steps, expected):
    expected = [*expected, *np.conj(expected)]
    assert_contains(update_matrix(rule, steps), expected)


@pytest.mark.parametrize(
    ("longest", "bound"),
    [
        (lambda a, h: abs(update_map.extragradient_factor(1j * a, h)), lambda a: 1 / a),
        (lambda a, h: max(map(abs, update_map.past_factors(1j * a, h))), lambda a: 3**-0.5 / a),
        (
            lambda a, h: abs(update_map.consensus_factor(1j * a, h, 0.7)),
            lambda a: 1.4 / (1 + 0.49 * a**2),
        ),
        (
            lambda a, h: abs(update_map.symplectic_factor(1j * a, h, 0.7)),
            lambda a: 1.4 / (1 + 0.49 * a**2),
        ),
    ],
)
def test_the_cures_come_in_up_to_the_rate_of_theory_and_no_further(longest, bound):
    for a in (0.5, 1.0, 3.0):
        assert all(longest(a, share * bound(a)) < 1 for share in (0.01, 0.5, 0.999))
        assert longest(a, 1.001 * bound(a)) > 1


@pytest.mark.parametrize(
    ("name", "squared_factor"),
    [
        ("simultaneous", 1 + H**2),
        ("one_stage", 1 + H**2),
        ("extragradient", 1 - H**2 + H**4),
        ("consensus", (1 - H) ** 2 + H**2),
        ("symplectic_gradient_adjustment", (1 - H) ** 2 + H**2),
    ],
)
def test_the_distance_changes_in_every_step_by_the_factor_of_theory(float64, name, squared_factor):
    squared = np.sum(spiral(rules.RULES[name], num_steps=30) ** 2, axis=1)
    np.testing.assert_allclose(squared[1:] / squared[:-1], squared_factor, rtol=1e-12)


@pytest.mark.parametrize(
    ("name", "comes_in"),
    [
        ("simultaneous", False),
        ("extragradient", True),
        ("extrapolation_from_the_past", True),
        ("consensus", True),
        ("symplectic_gradient_adjustment", True),
        ("lookahead_minimax", True),
    ],
)
@pytest.mark.parametrize("loss", ["wasserstein", "minimax"])
def test_gradient_descent_spirals_out_and_its_cures_in(float64, name, comes_in, loss):
    distance = np.linalg.norm(spiral(rules.RULES[name], loss, num_steps=300), axis=1)
    assert distance[0] == pytest.approx(1.0)
    assert distance[-1] < 0.85 if comes_in else distance[-1] > 1.2


def test_the_non_saturating_loss_draws_in_where_the_classic_one_goes_around(float64):
    # d/dt 1/2 (theta^2 + psi^2) = -t tanh(t / 2), t = theta psi: of fourth order, which no eigenvalue shows.
    theta, psi = spiral(rules.simultaneous, "non_saturating", 1, optax.sgd(1e-6)).T
    t = theta[0] * psi[0]
    rate = (0.5 * (theta**2 + psi**2))[1] - 0.5
    assert rate / 1e-6 == pytest.approx(-t * np.tanh(t / 2), rel=1e-4)


def test_the_alternating_rule_goes_around_for_ever(float64):
    # theta^2 + psi^2 - h theta psi is kept: D moves first, then G against the new D.
    theta, psi = spiral(rules.alternating, num_steps=500).T
    kept = theta**2 + psi**2 - H * theta * psi
    np.testing.assert_allclose(kept, kept[0], rtol=1e-12)


@pytest.mark.parametrize("loss", PULLS)
@pytest.mark.parametrize("gamma", [None, 0.3, 3.0])
def test_the_field_has_the_eigenvalues_of_mescheder_and_others(float64, loss, gamma):
    weights = {} if gamma is None else {"r1_gamma": 0.25 * gamma, "r2_gamma": 0.75 * gamma}
    gan = dirac_game(losses.LOSSES[loss](), paying(**weights))
    batch = dirac_data(1 + gan.loss.needs_real)

    def field(point):
        state = dirac_state(gan, *point, jax.random.key(0))
        grads, _, _ = both_gradients(gan, state, batch, key=jax.random.key(1))
        return -jnp.stack([grads.generator, grads.discriminator])

    jacobian = quick_jit(jax.jacrev(field))(jnp.zeros(2))
    assert_contains(jacobian, dirac_eigenvalues(loss, gamma or 0.0))


def test_the_classic_loss_by_hand():
    # f(t) = -log(1 + exp(-t)), f'(0) = 1/2; R1 of weight 1 makes both eigenvalues -1/2 (Mescheder et al. 2018)
    assert dirac_eigenvalues("non_saturating") == (0.5j, -0.5j)
    assert dirac_eigenvalues("non_saturating", 1.0) == (-0.5, -0.5)
    assert dirac_eigenvalues("wasserstein", 2.5) == (-0.5, -2.0)


# Extragradient in NumPy


def in_numpy(num_steps, rate, b1, b2, eps, from_the_past):
    """ExtraAdam on the classic Dirac-GAN, written from algorithm 4 of Gidel et al. 2019."""

    def field(w):
        theta, psi = w
        return np.array([-psi / (1 + np.exp(psi * theta)), theta / (1 + np.exp(-psi * theta))])

    w, m, v, t = np.array([0.6, 0.8]), np.zeros(2), np.zeros(2), 0
    half, path, past = w, [w], np.zeros(2)
    for _ in range(num_steps):
        for look in (True, False):
            g = past if look and from_the_past else field(w if look else half)
            t, m, v = t + 1, b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
            move = -rate * (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps)
            half, past = w + move, g
        w = half
        path.append(w)
    return np.stack(path)


@pytest.mark.parametrize("from_the_past", [False, True])
def test_extragradient_with_adam_is_its_retelling_in_numpy(float64, from_the_past):
    rule = rules.extrapolation_from_the_past if from_the_past else rules.extragradient
    options = {"b1": 0.5, "b2": 0.9, "eps": 1e-8}
    path = spiral(rule, "non_saturating", 12, optax.adam(0.05, **options))
    expected = in_numpy(12, 0.05, **options, from_the_past=from_the_past)
    np.testing.assert_allclose(path, expected, rtol=1e-10)


# Against a dense Jacobian


SGD = optax.sgd(1.0)
POINTS = Batch(jnp.asarray(normal(3, 4, 1)))
NOISY = Network(
    lambda key, x, labels=None: (jnp.ones(2), {}),
    lambda params, state, x, labels=None, *, train, key=None: (params[0] * x + params[1], state),
)
TINY = dirac_game(losses.non_saturating(), tx=SGD)._replace(generator=NOISY)


@pytest.mark.parametrize("name", ["consensus", "symplectic_gradient_adjustment"])
def test_adjusted_gradients_are_those_of_the_dense_jacobian(name):
    def both(key):
        state = init_state(TINY, jax.random.key(0), POINTS)
        at = Players(state.generator.params, state.discriminator.params)
        flat, back = jax.flatten_util.ravel_pytree(at)

        def gradients(vector):
            players = back(vector)
            moved = state._replace(
                generator=state.generator._replace(params=players.generator),
                discriminator=state.discriminator._replace(params=players.discriminator),
            )
            grads, _, _ = both_gradients(TINY, moved, POINTS, key=jax.random.clone(key))
            return jax.flatten_util.ravel_pytree(grads)[0]

        new, _ = rules.RULES[name].step(TINY, state, POINTS, key=jax.random.clone(key))
        after = Players(new.generator.params, new.discriminator.params)
        moved = flat - jax.flatten_util.ravel_pytree(after)[0]
        return moved, gradients(flat), jax.jacrev(gradients)(flat)

    moved, g, hessian = (np.float64(each) for each in quick_jit(both)(jax.random.key(5)))
    uphill = hessian.T @ g
    if name == "consensus":
        expected = g + uphill
    else:
        turned = 0.5 * (hessian.T - hessian) @ g
        sign = np.sign(g @ uphill * (turned @ uphill) / len(g) + 0.1)
        expected = g + sign * turned
    np.testing.assert_allclose(moved, expected, rtol=1e-3, atol=1e-5)
    assert np.abs(expected - g).max() > 1e-2  # something was adjusted


@pytest.mark.parametrize("sign", [1, -1])
def test_the_adjustment_lengthens_or_lessens_the_gradients_as_they_themselves_do(float64, sign):
    # <g, H^T g> tells whether |g| shrinks or grows along w' = -g; A^T g, left alone, would do the opposite here.
    theta, psi, k = 0.5, 1.0, 60.0 * sign
    loss = losses.AdversarialLoss(
        lambda real, fake: jnp.mean(fake) + 0.5 * k * jnp.mean(fake) ** 2,
        lambda real, fake: -jnp.mean(fake) + 0.5 * k * jnp.mean(fake) ** 2,
    )
    gan = dirac_game(loss, tx=SGD)
    state = dirac_state(gan, theta, psi, jax.random.key(0))
    step = quick_jit(partial(rules.symplectic_gradient_adjustment.step, gan))
    new, _ = step(state, dirac_data(), key=jax.random.key(1))
    moved = np.array([theta - new.generator.params, psi - new.discriminator.params])
    g = np.array([-psi + k * theta * psi**2, theta + k * psi * theta**2])
    mixed = 2 * k * theta * psi
    hessian = np.array([[k * psi**2, mixed - 1], [mixed + 1, k * theta**2]])
    uphill, turned = hessian.T @ g, 0.5 * (hessian.T - hessian) @ g
    assert np.sign(g @ uphill) == sign and np.sign(turned @ uphill) == -sign
    np.testing.assert_allclose(moved, g - turned, rtol=1e-12)


# Who moves, and by what


def one_step(rule, gan, batch, key=7):
    gan = rule.equip(gan)
    state = quick_jit(partial(init_state, gan))(jax.random.key(0), batch)
    real = Batch(jnp.tile(batch.images, (rule.batches(gan), 1)))
    return quick_jit(partial(rule.step, gan))(state, real, key=jax.random.key(key))[0]


def test_simultaneous_moves_d_as_alternating_does_and_g_against_the_old_d():
    at_once = one_step(rules.simultaneous, TINY, POINTS)
    in_turn = one_step(rules.alternating, TINY, POINTS)
    against_the_old = one_step(rules.alternating, TINY._replace(d_tx=optax.sgd(0.0)), POINTS)
    assert_close(at_once.discriminator.params, in_turn.discriminator.params)
    assert_close(at_once.generator.params, against_the_old.generator.params)
    assert np.abs(at_once.generator.params - in_turn.generator.params).max() > 1e-2


def test_the_first_look_into_the_past_leads_nowhere():
    past = one_step(rules.extrapolation_from_the_past, TINY, POINTS)
    at_once = one_step(rules.simultaneous, TINY, POINTS)
    assert_close(past.generator.params, at_once.generator.params)
    assert_close(past.discriminator.params, at_once.discriminator.params)


@pytest.mark.parametrize("name", ["extragradient", "consensus"])
def test_statistics_and_the_average_follow_in_every_rule_that_moves_at_once(name):
    real = Batch(jnp.asarray(normal(3, 4, 2)))
    players = from_linen(BatchNormGenerator()), from_linen(BatchNormDiscriminator())
    gan = game(*players, ema_half_life_images=4.0)
    state = quick_jit(partial(init_state, gan))(jax.random.key(0), real)
    new = one_step(rules.RULES[name], gan, real)
    assert int(new.step) == 1
    for player in ("generator", "discriminator"):
        before, after = getattr(state, player), getattr(new, player)
        assert all(
            a != b for a, b in zip(bits(after.model_state), bits(before.model_state), strict=True)
        )
    middle = jax.tree.map(lambda a, b: 0.5 * (a + b), state.ema_params, new.generator.params)
    assert_close(new.ema_params, middle, rtol=1e-4, atol=1e-5)


# What a rule remembers


def chunks(rule, gan, *numbers):
    """Compile chunks of so many steps, and the first state."""
    gan = rule.equip(gan)
    sizes = {"batch_size": 4}
    made = [make_chunk(gan, rule, sample_real, num_steps=num, **sizes) for num in numbers]
    return quick_jit(partial(init_state, gan)), *made


def test_lookahead_alternates_until_it_pulls_both_players_part_of_the_way_back():
    gan, key = TINY._replace(ema_half_life_images=4.0), jax.random.key(2)
    start_slow, slow_chunk = chunks(rules.lookahead_by(0.25, steps=2), gan, 1)
    start_fast, fast_chunk = chunks(rules.alternating, gan, 1)
    slow, fast = (start(jax.random.key(0), POINTS) for start in (start_slow, start_fast))
    first = np.asarray(fast.generator.params)
    (slow, _), (fast, _) = slow_chunk(slow, POINTS, key), fast_chunk(fast, POINTS, key)
    assert_close(slow.discriminator.params, fast.discriminator.params)
    assert_close(slow.generator.params, fast.generator.params)
    average = np.asarray(slow.ema_params)
    (slow, _), (fast, _) = slow_chunk(slow, POINTS, key), fast_chunk(fast, POINTS, key)
    pulled = 0.75 * first + 0.25 * np.asarray(fast.generator.params)
    assert_close(slow.generator.params, pulled)
    assert_close(slow.discriminator.params, 0.75 + 0.25 * fast.discriminator.params)
    assert_close(recall(slow, "").generator, pulled)
    assert_close(slow.ema_params, 0.5 * (average + pulled))


@pytest.mark.parametrize("name", ["extrapolation_from_the_past", "lookahead_minimax"])
def test_what_a_rule_remembers_goes_from_chunk_to_chunk(name):
    start, three, four, seven = chunks(rules.RULES[name], TINY, 3, 4, 7)
    key = jax.random.key
    cut = four(three(start(key(0), POINTS), POINTS, key(3))[0], POINTS, key(3))[0]
    whole = seven(start(key(0), POINTS), POINTS, key(3))[0]
    assert bits(cut) == bits(whole)
    assert all(np.asarray(leaf).all() for leaf in jax.tree.leaves(recall(cut, name)))


# Refusals


@pytest.mark.parametrize("name", AT_ONCE)
def test_several_turns_of_d_are_refused_where_both_move_at_once(name):
    with pytest.raises(ValueError, match="n_dis = 1, got 3"):
        rules.RULES[name].step(game(n_dis=3), None, POINTS, key=jax.random.key(0))


@pytest.mark.parametrize("name", ["extrapolation_from_the_past", "lookahead_minimax"])
def test_a_game_that_cannot_remember_is_refused(name):
    state = init_state(TINY, jax.random.key(0), POINTS)
    with pytest.raises(ValueError, match=rf"draw the state from, and play, {name}\.equip"):
        rules.RULES[name].step(TINY, state, POINTS, key=jax.random.key(0))


def test_lookahead_needs_a_step():
    with pytest.raises(ValueError, match="1 step or more, got 0"):
        rules.lookahead_by(steps=0)
