"""Laws of the adversarial losses, against the textbook formulas in float64 probabilities and logarithms."""

import inspect
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import (
    BATCH,
    batch_sizes,
    float_dtypes,
    floats,
    labels,
    logits,
    not_a_batch_of_logits,
    permutations,
    probabilities,
)

from gan_jax import losses
from gan_jax.types import AdversarialLoss

REAL_BATCH = BATCH + 2  # where the two batches may differ in length, they do


# The textbook: probabilities and logarithms, in float64.


def sigmoid(logit):
    return 1 / (1 + np.exp(-np.asarray(logit, np.float64)))


def cross_entropy(logit, label):
    p = sigmoid(logit)
    return np.mean(-label * np.log(p) - (1 - label) * np.log(1 - p))


def entropy_discriminator(real_label, fake_label):
    return lambda real, fake: cross_entropy(real, real_label) + cross_entropy(fake, fake_label)


class Case(NamedTuple):
    """A loss, and what it should be."""

    loss: AdversarialLoss
    discriminator: Callable[[np.ndarray, np.ndarray], float]
    generator: Callable[[np.ndarray, np.ndarray], float]


def non_saturating_case(real_label, fake_label):
    return Case(
        losses.non_saturating(real_label=real_label, fake_label=fake_label),
        entropy_discriminator(real_label, fake_label),
        lambda real, fake: cross_entropy(fake, real_label),
    )


def minimax_case(real_label, fake_label):
    return Case(
        losses.minimax(real_label=real_label, fake_label=fake_label),
        entropy_discriminator(real_label, fake_label),
        lambda real, fake: -cross_entropy(fake, fake_label),
    )


LABELS = {"non_saturating-smooth": (0.9, 0.1), "minimax-smooth": (0.9, 0.2)}
CASES = {
    "non_saturating": non_saturating_case(1.0, 0.0),
    "non_saturating-smooth": non_saturating_case(*LABELS["non_saturating-smooth"]),
    "minimax": minimax_case(1.0, 0.0),
    "minimax-smooth": minimax_case(*LABELS["minimax-smooth"]),
    "least_squares": Case(
        losses.least_squares(),
        lambda real, fake: np.mean((real - 1) ** 2) / 2 + np.mean(fake**2) / 2,
        lambda real, fake: np.mean((fake - 1) ** 2) / 2,
    ),
    "hinge": Case(
        losses.hinge(),
        lambda real, fake: np.mean(np.maximum(0, 1 - real)) + np.mean(np.maximum(0, 1 + fake)),
        lambda real, fake: -np.mean(fake),
    ),
    "wasserstein": Case(
        losses.wasserstein(),
        lambda real, fake: np.mean(fake) - np.mean(real),
        lambda real, fake: -np.mean(fake),
    ),
    "relativistic": Case(
        losses.relativistic(),
        lambda real, fake: np.mean(-np.log(sigmoid(real - fake))),
        lambda real, fake: np.mean(-np.log(sigmoid(fake - real))),
    ),
}
LOSSES = [name for name in CASES if not name.endswith("smooth")]
UNPAIRED = [name for name in LOSSES if name != "relativistic"]
every_case = pytest.mark.parametrize("name", CASES)
every_loss = pytest.mark.parametrize("name", LOSSES)
every_unpaired_loss = pytest.mark.parametrize("name", UNPAIRED)


# Jitted once; the values are drawn.

D = {name: jax.jit(case.loss.discriminator) for name, case in CASES.items()}
G = {name: jax.jit(case.loss.generator) for name, case in CASES.items()}
D_SLOPES = {
    name: jax.jit(jax.grad(case.loss.discriminator, argnums=(0, 1))) for name, case in CASES.items()
}
G_SLOPES = {name: jax.jit(jax.grad(case.loss.generator, argnums=1)) for name, case in CASES.items()}


def seen_by_generator(name, real):
    return real if CASES[name].loss.needs_real else None


def close(actual, desired, atol=1e-5):
    np.testing.assert_allclose(np.asarray(actual, np.float64), desired, rtol=2e-5, atol=atol)


def test_the_table_names_every_loss_and_which_of_them_smooth_their_labels():
    assert {name: factory.__name__ for name, factory in losses.LOSSES.items()} == {
        name: name for name in LOSSES
    }
    takes_labels = [n for n, f in losses.LOSSES.items() if inspect.signature(f).parameters]
    assert tuple(takes_labels) == losses.CROSS_ENTROPIES


def test_only_the_relativistic_generator_needs_real_logits():
    assert [name for name, case in CASES.items() if case.loss.needs_real] == ["relativistic"]


def test_labels_default_to_one_for_real_and_zero_for_fake():
    real, fake = jnp.array([0.3, -2.0]), jnp.array([1.5, -0.7])
    for name, default in [
        ("non_saturating", losses.non_saturating()),
        ("minimax", losses.minimax()),
    ]:
        assert default.discriminator(real, fake) == CASES[name].loss.discriminator(real, fake)
        assert default.generator(None, fake) == CASES[name].loss.generator(None, fake)


# Closed forms


@every_case
@given(real=logits(), fake=logits())
def test_both_players_losses_are_the_textbook_formulas(name, real, fake):
    wide = real.astype(np.float64), fake.astype(np.float64)
    close(D[name](real, fake), CASES[name].discriminator(*wide))
    close(G[name](seen_by_generator(name, real), fake), CASES[name].generator(*wide))


@given(real=logits(), fake=logits(), real_label=labels(), fake_label=labels())
def test_any_label_smoothing_is_the_textbook_formula(real, fake, real_label, fake_label):
    for case in [non_saturating_case, minimax_case]:
        drawn = case(real_label, fake_label)
        close(drawn.loss.discriminator(real, fake), drawn.discriminator(real, fake))
        close(drawn.loss.generator(None, fake), drawn.generator(real, fake))


@every_unpaired_loss
@given(real=logits(REAL_BATCH), fake=logits())
def test_each_batch_has_its_own_mean(name, real, fake):
    wide = real.astype(np.float64), fake.astype(np.float64)
    close(D[name](real, fake), CASES[name].discriminator(*wide))


LOG3 = math.log(3)  # the logit of 3/4


@pytest.mark.parametrize(
    ("name", "real", "fake", "d_loss", "g_loss"),
    [
        # D says 3/4, 1/2 and 1/4, 1/2: (2 log 4/3 + 2 log 2) / 2, (log 4 + log 2) / 2, -(log 4/3 + log 2) / 2
        ("non_saturating", [LOG3, 0.0], [-LOG3, 0.0], 0.98082925, 1.03972077),
        ("minimax", [LOG3, 0.0], [-LOG3, 0.0], 0.98082925, -0.49041463),
        # 0.9 log 4/3 + 0.1 log 4 = 0.39754330 twice; 0.9 log 4 + 0.1 log 4/3
        ("non_saturating-smooth", [LOG3], [-LOG3], 0.79508661, 1.27643313),
        # real as above; 0.8 log 4/3 + 0.2 log 4 = 0.50740453
        ("minimax-smooth", [LOG3], [-LOG3], 0.90494783, -0.50740453),
        ("least_squares", [3.0, 0.0], [2.0, -1.0], 2.5, 1.25),
        ("hinge", [2.0, 0.5], [-2.0, 0.5], 1.0, 0.75),
        ("wasserstein", [1.0, 3.0], [0.0, -1.0], -2.5, 0.5),
        # D: (log 4/3 + log 2) / 2, G: (log 4 + log 2) / 2
        ("relativistic", [LOG3, 1.0], [0.0, 1.0], 0.49041463, 1.03972077),
    ],
)
def test_hand_computed_numbers(name, real, fake, d_loss, g_loss):
    real, fake = jnp.array(real), jnp.array(fake)
    loss = CASES[name].loss
    assert loss.discriminator(real, fake) == pytest.approx(d_loss, rel=1e-6)
    assert loss.generator(seen_by_generator(name, real), fake) == pytest.approx(g_loss, rel=1e-6)


# Laws of the game


@given(real=logits(), fake=logits())
def test_minimax_and_non_saturating_share_the_discriminators_loss(real, fake):
    assert D["minimax"](real, fake) == D["non_saturating"](real, fake)


@given(fake=logits(limit=100.0))
def test_the_non_saturating_slope_lies_between_minus_one_and_zero(fake):
    slopes = BATCH * np.asarray(G_SLOPES["non_saturating"](None, fake))
    assert np.all((slopes >= -1) & (slopes <= 0))
    close(slopes, sigmoid(fake) - 1)


@given(fake=st.lists(floats(-1e4, -20.0), min_size=BATCH, max_size=BATCH))
def test_where_the_fake_is_sure_only_minimax_stops_learning(fake):
    fake = np.array(fake, np.float32)
    non_saturating = BATCH * np.asarray(G_SLOPES["non_saturating"](None, fake))
    minimax = BATCH * np.asarray(G_SLOPES["minimax"](None, fake))
    assert np.all(np.abs(non_saturating + 1) < 1e-6)
    assert np.all((minimax <= 0) & (minimax > -1e-8))


# least squares pulls the logit to 1 from both sides, smoothed labels to theirs
DECREASING = {
    "non_saturating": (-10, 10),
    "minimax": (-10, 10),
    "least_squares": (-10, 0.99),
    "hinge": (-10, 10),
    "wasserstein": (-10, 10),
    "relativistic": (-10, 10),
    "non_saturating-smooth": (-10, 2.1),  # the logit of 0.9 is 2.197
}


@pytest.mark.parametrize("name", DECREASING)
@given(data=st.data(), real=logits(limit=5.0))
def test_a_more_convincing_fake_costs_the_generator_less(name, data, real):
    low, high = DECREASING[name]
    fake, other = (
        np.array(data.draw(st.lists(floats(low, high), min_size=BATCH, max_size=BATCH)), np.float32)
        for _ in range(2)
    )
    seen = seen_by_generator(name, real)
    assert np.all(np.asarray(G_SLOPES[name](seen, fake)) < 0)
    worse, better = G[name](seen, np.minimum(fake, other)), G[name](seen, np.maximum(fake, other))
    assert better <= worse + 1e-6 * abs(worse)


@given(fake=logits())
def test_minimax_is_zero_sum(fake):
    sure = jnp.full([BATCH], 1e4)  # costs D nothing, so only the fake part is left
    close(G["minimax"](None, fake) + D["minimax"](sure, fake), 0.0)


@pytest.mark.parametrize("name", ["minimax", "minimax-smooth", "wasserstein"])
@given(real=logits(), fake=logits())
def test_zero_sum_players_pull_a_fake_equally_hard_in_opposite_ways(name, real, fake):
    _, d_slopes = D_SLOPES[name](real, fake)
    close(G_SLOPES[name](None, fake), -np.asarray(d_slopes), atol=1e-7)


@given(real_label=probabilities(), fake_label=probabilities())
def test_the_discriminator_rests_where_its_probabilities_are_the_labels(real_label, fake_label):
    real = jnp.full([BATCH], math.log(real_label / (1 - real_label)))
    fake = jnp.full([BATCH], math.log(fake_label / (1 - fake_label)))
    for loss in [
        losses.non_saturating(real_label=real_label, fake_label=fake_label),
        losses.minimax(real_label=real_label, fake_label=fake_label),
    ]:
        slopes = jax.grad(loss.discriminator, argnums=(0, 1))(real, fake)
        close(jnp.concatenate(slopes), 0.0, atol=1e-6)


@given(real_label=probabilities())
def test_the_generators_target_is_the_real_label(real_label):
    loss = losses.non_saturating(real_label=real_label)
    fake = jnp.full([BATCH], math.log(real_label / (1 - real_label)))
    close(jax.grad(loss.generator, argnums=1)(None, fake), 0.0, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "logit"),
    [
        ("non_saturating", 0.0),
        ("non_saturating-smooth", 0.0),
        ("minimax", 0.0),
        ("least_squares", 0.5),
        ("relativistic", 0.0),
    ],
)
def test_undecided_is_optimal_where_real_and_fake_are_alike(name, logit):
    """Where both densities are equal, D* = 1/2 (Goodfellow et al. 2014, Proposition 1)."""
    alike = jnp.full([BATCH], logit)
    real_slopes, fake_slopes = D_SLOPES[name](alike, alike)
    close(real_slopes + fake_slopes, 0.0, atol=1e-7)


# Symmetries


@every_unpaired_loss
@given(real=logits(), fake=logits(), real_order=permutations(), fake_order=permutations())
def test_the_order_of_a_batch_does_not_matter(name, real, fake, real_order, fake_order):
    close(D[name](real[real_order], fake[fake_order]), D[name](real, fake))
    close(G[name](None, fake[fake_order]), G[name](None, fake))


@given(real=logits(), fake=logits(), order=permutations())
def test_the_order_of_relativistic_pairs_does_not_matter(real, fake, order):
    for player in [D["relativistic"], G["relativistic"]]:
        close(player(real[order], fake[order]), player(real, fake))


def test_relativistic_pairs_are_compared_one_to_one():
    real, fake = jnp.array([3.0, -3.0]), jnp.array([3.0, -3.0])
    assert CASES["relativistic"].loss.discriminator(real, fake) == pytest.approx(math.log(2))
    assert CASES["relativistic"].loss.discriminator(real, fake[::-1]) > 3


@given(real=logits(), fake=logits())
def test_relativistic_players_differ_by_an_exchange_of_real_and_fake(real, fake):
    assert G["relativistic"](real, fake) == D["relativistic"](fake, real)


@given(real=logits(), fake=logits(), shift=floats(-10, 10))
def test_relativistic_losses_see_only_differences(real, fake, shift):
    shift = np.float32(shift)
    for player in [D["relativistic"], G["relativistic"]]:
        close(player(real + shift, fake + shift), player(real, fake))


@every_unpaired_loss
@given(real=logits(), fake=logits())
def test_the_generator_ignores_real_logits(name, real, fake):
    assert G[name](real, fake) == G[name](None, fake)


# Numerics


def stable_cross_entropy(logit, label):
    """The cross-entropy in float64, exact for any logit."""
    return np.mean(label * np.logaddexp(0, -logit) + (1 - label) * np.logaddexp(0, logit))


def extreme_values(name, real, fake):
    """Both losses in float64, where the textbook's logarithms overflow."""
    if name == "relativistic":
        return np.mean(np.logaddexp(0, fake - real)), np.mean(np.logaddexp(0, real - fake))
    real_label, fake_label = LABELS.get(name, (1.0, 0.0))
    if name.startswith(("non_saturating", "minimax")):
        fake_part = stable_cross_entropy(fake, fake_label)
        zero_sum = name.startswith("minimax")
        g_loss = -fake_part if zero_sum else stable_cross_entropy(fake, real_label)
        return stable_cross_entropy(real, real_label) + fake_part, g_loss
    return CASES[name].discriminator(real, fake), CASES[name].generator(real, fake)


@every_case
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@given(real=logits(limit=1e4), fake=logits(limit=1e4))
def test_values_and_slopes_hold_at_any_logit(name, dtype, real, fake):
    real[0], fake[0] = 1e4, -1e4
    real[1], fake[1] = -1e4, 1e4
    real, fake = jnp.asarray(real, dtype), jnp.asarray(fake, dtype)
    seen = seen_by_generator(name, real)
    d_loss, g_loss = D[name](real, fake), G[name](seen, fake)
    # the same numbers, widened: bfloat16 must not round between the logits and the mean
    d_true, g_true = extreme_values(
        name, np.asarray(real, np.float64), np.asarray(fake, np.float64)
    )
    cancels = name in ("hinge", "wasserstein", "relativistic")  # sums of 1e4 with either sign
    close(d_loss, d_true, atol=0.02 if cancels else 1e-5)
    close(g_loss, g_true, atol=0.02 if cancels else 1e-5)
    slopes = [*D_SLOPES[name](real, fake), G_SLOPES[name](seen, fake)]
    assert all(np.all(np.isfinite(np.asarray(s, np.float64))) for s in slopes)
    assert all(s.dtype == dtype for s in slopes)


@pytest.mark.parametrize("name", [n for n in CASES if n.startswith(("non_", "mini"))])
@pytest.mark.parametrize("sign", [-1, 1])
def test_entropy_slopes_keep_their_limits_at_extreme_logits(name, sign):
    real_label, _ = LABELS.get(name, (1.0, 0.0))
    far = jnp.full([BATCH], sign * 1e4)
    probability = float(sign > 0)
    real_slopes, _ = D_SLOPES[name](far, far)
    close(BATCH * real_slopes, probability - real_label)
    if name.startswith("non_saturating"):
        close(BATCH * G_SLOPES[name](None, far), probability - real_label)


@every_loss
@given(size=batch_sizes(), dtype=float_dtypes())
def test_losses_are_float32_scalars(name, size, dtype):
    batch = jax.ShapeDtypeStruct((size,), dtype)
    loss = CASES[name].loss
    for value in [
        jax.eval_shape(loss.discriminator, batch, batch),
        jax.eval_shape(loss.generator, seen_by_generator(name, batch), batch),
    ]:
        assert (value.shape, value.dtype) == ((), jnp.float32)


@every_loss
@given(real=logits(), fake=logits())
def test_compiled_and_eager_losses_agree(name, real, fake):
    loss, seen = CASES[name].loss, seen_by_generator(name, real)
    close(D[name](real, fake), loss.discriminator(real, fake))
    close(G[name](seen, fake), loss.generator(seen, fake))


# Errors that a caller can cause


def refuses_shape(player, real, fake, received):
    with pytest.raises(ValueError, match=r"must have shape \[B\]") as raised:
        jax.eval_shape(player, real, fake)
    assert str(received) in str(raised.value)


@every_loss
@given(shape=not_a_batch_of_logits())
def test_logits_of_a_wrong_rank_are_refused(name, shape):
    wrong, right = (jax.ShapeDtypeStruct(s, jnp.float32) for s in (shape, (BATCH,)))
    loss = CASES[name].loss
    refuses_shape(loss.discriminator, wrong, right, shape)
    refuses_shape(loss.discriminator, right, wrong, shape)
    refuses_shape(loss.generator, seen_by_generator(name, right), wrong, shape)
    if loss.needs_real:
        refuses_shape(loss.generator, wrong, right, shape)


def test_a_column_of_logits_is_refused_with_its_shape():
    column = jnp.zeros([4, 1])
    with pytest.raises(ValueError, match=r"must have shape \[B\].*\(4, 1\)"):
        losses.hinge().discriminator(jnp.zeros([4]), column)


@pytest.mark.parametrize(("real", "fake"), [(4, 5), (1, 4), (4, 1)])
def test_relativistic_batches_of_different_lengths_are_refused(real, fake):
    loss = losses.relativistic()
    for player in [loss.discriminator, loss.generator]:
        with pytest.raises(ValueError, match=rf"(?s)({real}.*{fake}|{fake}.*{real})"):
            player(jnp.zeros([real]), jnp.zeros([fake]))


@pytest.mark.parametrize("factory", [losses.non_saturating, losses.minimax])
@pytest.mark.parametrize("argument", ["real_label", "fake_label"])
@pytest.mark.parametrize("label", [-0.1, 1.1, math.nan, math.inf, -math.inf])
def test_labels_that_are_no_probabilities_are_refused(factory, argument, label):
    with pytest.raises(ValueError, match=f"{argument}.*{label}"):
        factory(**{argument: label})


@pytest.mark.parametrize("factory", [losses.non_saturating, losses.minimax])
@pytest.mark.parametrize("label", [0, 1, 0.0, 1.0, 0.5])
def test_labels_in_the_unit_interval_are_accepted(factory, label):
    loss = factory(real_label=label, fake_label=label)
    assert jnp.isfinite(loss.discriminator(jnp.zeros([BATCH]), jnp.zeros([BATCH])))
