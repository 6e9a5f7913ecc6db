"""Balance: the watched quantities and what is said about them; classes and the classifier score."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import logits

from gan_jax.evaluation.balance import (
    balance_warning,
    class_balance,
    classifier_score,
    dis_acc,
    gan_acc,
    overfitting_warning,
    unsure,
)

SHARES = st.floats(0, 1)
dis_acc_jitted, gan_acc_jitted = jax.jit(dis_acc), jax.jit(gan_acc)


def probability(x) -> np.ndarray:
    return 1 / (1 + np.exp(-np.asarray(x, np.float64)))


@given(logits(), logits())
def test_they_are_means_of_probabilities_between_0_and_1(real, fake):
    p_real, p_fake = probability(real).mean(), probability(fake).mean()
    assert gan_acc_jitted(fake) == pytest.approx(p_fake, abs=1e-6)
    assert dis_acc_jitted(real, fake) == pytest.approx((p_real + 1 - p_fake) / 2, abs=1e-6)
    assert 0 <= dis_acc_jitted(real, fake) <= 1


@given(logits(), logits())
def test_swapping_and_negating_the_logits_changes_nothing(real, fake):
    expected = float(dis_acc_jitted(real, fake))
    assert dis_acc_jitted(-fake, -real) == pytest.approx(expected, abs=1e-6)


@given(logits())
def test_a_discriminator_that_cannot_tell_stands_at_one_half(real):
    assert dis_acc_jitted(real, real) == pytest.approx(0.5, abs=1e-6)
    assert gan_acc(jnp.zeros(4)) == 0.5


def test_the_numbers_of_real_and_generated_images_may_differ():
    assert dis_acc(jnp.full(3, 50.0), jnp.full(7, -50.0)) == 1
    assert dis_acc(jnp.array([math.log(3)]), jnp.array([0.0, 0.0])) == pytest.approx(0.625)


def test_logits_of_another_rank_are_refused():
    with pytest.raises(ValueError, match=r"fake_logits must have shape \[B\], got \(4, 1\)"):
        gan_acc(jnp.zeros((4, 1)))
    with pytest.raises(ValueError, match=r"real_logits must have shape \[B\], got \(4, 1\)"):
        dis_acc(jnp.zeros((4, 1)), jnp.zeros(4))


@given(SHARES, SHARES)
def test_nobody_is_said_to_win_while_the_game_is_open_and_never_both(real, fake):
    dis = (real + 1 - fake) / 2
    warning = balance_warning(dis, fake)
    if dis < 0.85 and fake < 0.85:
        assert warning is None
    if fake >= 0.85:
        assert warning.startswith("G is winning")
    if dis >= 0.85 and fake <= 0.14:
        assert warning.startswith("D is winning")


def test_a_warning_gives_the_numbers_and_a_remedy_on_one_line():
    for dis, gan, who in ((0.97, 0.02, "D is winning"), (0.48, 0.93, "G is winning")):
        warning = balance_warning(dis, gan)
        assert warning.startswith(who)
        assert f"dis_acc {dis:.2f}, gan_acc {gan:.2f}" in warning
        assert "learning rate" in warning
        assert "\n" not in warning
    assert balance_warning(0.9, 0.1).startswith("D is winning")  # perfect for targets 0.9 and 0.1
    assert balance_warning(0.7, 0.3) is None
    assert balance_warning(0.86, 0.25) is None  # D is ahead, but G is far from beaten
    assert balance_warning(jnp.float32(0.5), jnp.float32(0.5)) is None


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_divergence_is_called_by_its_name(bad):
    assert "training has diverged" in balance_warning(bad, 0.5)
    assert "training has diverged" in balance_warning(0.5, bad)


def test_classes_are_counted_and_compared():
    counts, kl = class_balance(np.array([0, 0, 0, 2]), 4)
    assert counts.tolist() == [3, 0, 1, 0]
    assert kl == pytest.approx(0.75 * math.log(3) + 0.25 * math.log(1))
    assert class_balance(np.array([0, 0, 0, 2]), 4, reference=[3, 0, 1, 0]).kl == 0
    uneven = class_balance(np.array([0, 0, 0, 2]), 4, reference=[20, 10, 10, 0]).kl
    assert uneven == pytest.approx(0.75 * math.log(0.75 / 0.5))
    assert class_balance(np.arange(10, dtype=np.uint8), 10).kl == pytest.approx(0)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 10], r"must lie in \[0, 10\), got 0 to 10"),
        ([-1, 3], r"must lie in \[0, 10\), got -1 to 3"),
        ([0.0, 1.0], r"must be int\[N\], N >= 1, got float64 \(2,\)"),
        ([[0, 1]], r"must be int\[N\], N >= 1, got int64 \(1, 2\)"),
        (np.zeros(0, np.int32), r"must be int\[N\], N >= 1, got int32 \(0,\)"),
    ],
)
def test_what_are_no_labels_is_refused(labels, message):
    with pytest.raises(ValueError, match=message):
        class_balance(labels, 10)


@given(st.integers(0, 2**32 - 1), st.floats(0.05, 5.0))
def test_the_classifier_score_lies_between_1_and_the_number_of_classes(seed, sharpness):
    p = np.random.default_rng(seed).dirichlet(np.full(5, sharpness), size=20)
    assert 1 - 1e-9 <= classifier_score(p) <= 5 + 1e-9
    marginal = p.mean(axis=0)
    textbook = np.exp(np.mean([np.sum(row * np.log((row + 1e-300) / marginal)) for row in p]))
    assert classifier_score(p) == pytest.approx(textbook)


def test_the_classifier_score_of_sure_even_and_of_collapsed_samples():
    assert classifier_score(np.eye(10)) == pytest.approx(10)
    assert classifier_score(np.repeat(np.eye(10)[:4], 3, axis=0)) == pytest.approx(4)
    assert classifier_score(np.eye(10)[[7, 7, 7]]) == pytest.approx(1)
    assert classifier_score(np.full((6, 10), 0.1, np.float32)) == pytest.approx(1)


def test_what_are_no_probabilities_is_refused():
    with pytest.raises(ValueError, match=r"must have 2 axes, none empty, got \(10,\)"):
        classifier_score(np.full(10, 0.1))
    with pytest.raises(ValueError, match="must be >= 0 and sum to 1"):
        classifier_score([[1.5, -0.5]])
    with pytest.raises(ValueError, match="must be >= 0 and sum to 1"):
        classifier_score([[np.nan, 0.5]])


def test_a_classifier_is_sure_from_nine_in_ten():
    found = unsure([[[0.9, 0.1], [0.5, 0.5]], [[0.1, 0.89], [0, 1]]])
    assert found.tolist() == [[False, True], [True, False]]
    assert unsure([[0.6, 0.4]], sure=0.6).tolist() == [False]


@pytest.mark.parametrize(
    ("train", "unseen", "fake", "warned"),
    [
        (2.0, 1.7, -1.3, False),  # a tenth of the way
        (2.0, 0.36, -1.3, False),
        (2.0, 0.34, -1.3, True),  # more than half of it
        (2.0, -3.0, -1.0, True),
        (1.0, 1.5, -1.0, False),  # unseen images look better
        (-2.0, -3.0, -1.0, False),  # generated ones look best: another trouble
        (0.0, 0.0, 0.0, False),
        (0.01, -0.01, 0.0, False),  # a D at chance: noise
        (0.05, -0.04, 0.0, False),
        (0.05, -0.06, 0.0, True),
        (math.nan, 0.0, 0.0, False),
    ],
)
def test_d_overfits_where_unseen_images_look_more_like_generated_ones(train, unseen, fake, warned):
    said = overfitting_warning(train, unseen, fake)
    assert (said is not None) == warned
    if warned:
        assert f"training images {train:.2f}, unseen ones {unseen:.2f}" in said
