"""Laws of labels: generated images wear those of the turn's real batch, in every rule, and nothing else changes.

Where the labels go is read off gradients: D is w[label] . x and G paints theta[label], so the rows of a gradient tell
which label each player was given for which image.
"""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from strategies import permutations, seeds
from tiny import (
    BATCH,
    BatchNormGenerator,
    Call,
    DropoutDiscriminator,
    EmbeddingGenerator,
    ProjectionDiscriminator,
    assert_close,
    bits,
    conditional_game,
    game,
    linear_discriminator_by_class,
    normal,
    one_in,
    painting_generator_by_class,
    paying,
    pinned,
    quick_jit,
    recording,
    spied,
)
from under_way import STILL, start

from gan_jax import losses, objectives, penalties
from gan_jax.networks import from_linen
from gan_jax.rules import RULES, alternating
from gan_jax.sampling import sample, sample_real
from gan_jax.steps import discriminator_step, generator_step, init_state, take_steps
from gan_jax.types import Batch, Penalty

CLASSES = 3
LABELS = jnp.array([2, 0, 1, 2], jnp.int32)
every_rule = pytest.mark.parametrize("name", ["alternating", "article", "one_stage"])


def drawn_labels(num=BATCH):
    return npst.arrays(np.int32, num, elements=st.integers(0, CLASSES - 1))


# Without labels


@every_rule
def test_without_labels_a_step_is_the_program_of_a_game_that_has_never_heard_of_them(name):
    """Networks of the old form, `apply(params, model_state, x, *, train, key)`, play it."""
    penalty = () if name == "article" else paying(gp_weight=1.0)
    players = from_linen(BatchNormGenerator()), from_linen(DropoutDiscriminator())
    gan = game(*players, penalties=penalty)
    deaf = game(*map(deafened, players), penalties=penalty)
    plain = program(name, gan, None)
    assert str(plain) == str(program(name, deaf, None))
    assert num_label_inputs(plain) == 0
    assert num_label_inputs(program(name, conditional_game(penalties=penalty), LABELS)) == 1


def num_label_inputs(closed):
    return sum(aval.shape == (BATCH,) and aval.dtype == jnp.int32 for aval in closed.in_avals)


def deafened(network):
    """Refuse to be given labels, even None."""

    def apply(params, model_state, x, labels=None, *, train, key=None):
        assert labels is None
        return network.apply(params, model_state, x, train=train, key=key)

    def init(key, x, labels=None):
        assert labels is None
        return network.init(key, x)

    return network._replace(init=init, apply=apply)


def program(name, gan, labels):
    gan = RULES[name].equip(gan)
    batch = Batch(jnp.zeros((BATCH, 2)), labels)
    state = jax.eval_shape(partial(init_state, gan), jax.random.key(0), batch)

    def step(state, batch, key):
        return RULES[name].step(gan, state, batch, key=key)

    return jax.make_jaxpr(step)(state, batch, jax.random.key(0))


# Who is told which label, of which image

PIXELS = 16
W = np.float32(2.0 ** np.arange(CLASSES))[:, None] * np.ones(PIXELS, np.float32)
PAINTINGS = np.eye(PIXELS, dtype=np.float32)[:CLASSES]  # class k lights pixel k


def telling_game(n_dis=1, **options):
    """Gradients tell: D's row k which images it saw as class k, G's row j which logits its images of class j got."""
    return game(
        painting_generator_by_class(PAINTINGS),
        linear_discriminator_by_class(W),
        losses.wasserstein(),
        g_tx=recording(STILL, 1),
        d_tx=recording(STILL, 2 * n_dis),
        n_dis=n_dis,
        **options,
    )


def lit(num):
    """Real image i lights pixel CLASSES + i, which no generated image does."""
    return np.eye(PIXELS, dtype=np.float32)[CLASSES : CLASSES + num]


def seen_of_turn(labels, real):
    """What D's gradient is of a turn: rows of real images seen as their class, and of its paintings, seen alike."""
    expected = np.zeros((CLASSES, PIXELS))
    for label, image in zip(labels, real, strict=True):
        expected[label] += (PAINTINGS[label] - image) / len(labels)
    return expected


def heard_by_g(labels):
    """What G's gradient is: each painting hears the weights of its own class, as often as it was painted."""
    counts = np.bincount(labels, minlength=CLASSES)
    return -counts[:, None] * W / len(labels)


@cache
def telling(name, n_dis):
    gan = telling_game(n_dis)

    def play(batch):
        state = init_state(gan, jax.random.key(0), batch)
        return RULES[name].step(gan, state, batch, key=jax.random.key(1))

    return quick_jit(play)


def played(name, n_dis, real, labels):
    new, _ = telling(name, n_dis)(Batch(real, labels))
    return new.discriminator.opt_state.history, new.generator.opt_state.history[0]


@one_in(5)
@given(labels=drawn_labels())
def test_ds_fakes_wear_the_labels_of_its_real_images_and_g_paints_the_same(labels):
    real = lit(BATCH)
    for name in ("alternating", "one_stage"):
        by_d, by_g = played(name, 1, real, labels)
        np.testing.assert_allclose(by_d[0], seen_of_turn(labels, real), atol=1e-6)
        np.testing.assert_allclose(by_g, heard_by_g(labels), atol=1e-6)
    (on_real, on_fakes), by_g = played("article", 1, real, labels)
    np.testing.assert_allclose(on_real + on_fakes, seen_of_turn(labels, real), atol=1e-6)
    assert not on_real[:, :CLASSES].any() and not on_fakes[:, CLASSES:].any()
    np.testing.assert_allclose(by_g, heard_by_g(labels), atol=1e-6)


@one_in(5)
@given(labels=drawn_labels(9))
def test_each_of_ds_turns_has_its_own_labels_and_g_those_of_the_last(labels):
    real = lit(9)
    by_d, by_g = played("alternating", 3, real, labels)
    turns = [slice(3 * i, 3 * i + 3) for i in range(3)]
    for seen, turn in zip(by_d[:3], turns, strict=True):
        np.testing.assert_allclose(seen, seen_of_turn(labels[turn], real[turn]), atol=1e-6)
    np.testing.assert_allclose(by_g, heard_by_g(labels[turns[-1]]), atol=1e-6)


def test_a_paired_g_has_a_batch_and_labels_of_its_own():
    gan = telling_game(1)._replace(loss=losses.relativistic())
    assert alternating.batches(gan) == 2
    real, labels = np.zeros((4, PIXELS), np.float32), np.int32([0, 0, 1, 2])
    state = start(gan, real, jnp.asarray(labels))
    step = quick_jit(partial(alternating.step, gan))
    new, _ = step(state, Batch(real, labels), key=jax.random.key(0))
    told = np.abs(new.generator.opt_state.history[0]).sum(axis=1) > 0
    assert told.tolist() == [False, True, True]


LABELLED_PASS = Call(BATCH, train=True, keyed=True, labelled=True)
BOTH = Call(2 * BATCH, train=True, keyed=True, labelled=True)
LOOK = LABELLED_PASS  # traced and never computed: does the pass draw anything, or may penalties share it?


@pytest.mark.parametrize(
    ("name", "weights", "g_calls", "d_calls"),
    [
        ("alternating", {}, [LABELLED_PASS] * 2, [BOTH, LABELLED_PASS]),
        ("one_stage", {"r1_gamma": 1.0}, [LABELLED_PASS], [LOOK, BOTH, LABELLED_PASS]),
        ("article", {}, [Call(BATCH, False, False, True), LABELLED_PASS], [LABELLED_PASS] * 3),
    ],
)
def test_every_pass_of_a_rule_is_labelled(name, weights, g_calls, d_calls):
    g_seen, d_seen = [], []
    gan = conditional_game(penalties=paying(**weights))
    gan = gan._replace(
        generator=spied(gan.generator, g_seen), discriminator=spied(gan.discriminator, d_seen)
    )
    real = Batch(jnp.zeros((BATCH, 2)), LABELS)
    jax.eval_shape(
        lambda key: RULES[name].step(gan, init_state(gan, key, real), real, key=jax.random.key(0)),
        jax.random.key(1),
    )
    assert (g_seen, d_seen) == (g_calls, d_calls)


# Laws of a game with labels


@cache
def conditional(name):
    """A conditional game for a rule, without dropout, whose places in the batch matter."""
    penalty = () if name == "article" else paying(r1_gamma=1.0, r2_gamma=0.5)
    # Not Adam, which makes whole steps of the rounding of a gradient that is zero, as of a shift before a batch norm.
    gan = conditional_game(g_tx=optax.sgd(0.1), d_tx=optax.sgd(0.1), penalties=penalty)
    return (
        RULES[name].equip(gan)._replace(discriminator=from_linen(ProjectionDiscriminator(rate=0.0)))
    )


@cache
def on_given_latents(name):
    def run(state, batch, z, key):
        gan = conditional(name)
        gan = gan._replace(generator=pinned(gan.generator, x=z))
        return RULES[name].step(gan, state, batch, key=key)

    return quick_jit(run)


@cache
def conditional_state(name):
    batch = Batch(jnp.zeros((BATCH, 2)), LABELS)
    return quick_jit(partial(init_state, conditional(name)))(jax.random.key(0), batch)


@every_rule
@one_in(5)
@given(order=permutations(), labels=drawn_labels(), seed=seeds())
def test_samples_permuted_with_their_labels_and_latents_make_the_same_step(
    name, order, labels, seed
):
    real, z = normal(seed, BATCH, 2), normal(seed + 1, BATCH, 2)
    state, step = conditional_state(name), on_given_latents(name)
    one = step(state, Batch(real, labels), z, jax.random.key(seed))
    other = step(state, Batch(real[order], labels[order]), z[order], jax.random.key(seed))
    assert_close(one, other, rtol=2e-3, atol=2e-5)


@every_rule
def test_labels_permuted_alone_make_another(name):
    real, z = normal(0, BATCH, 2), normal(1, BATCH, 2)
    state, step = conditional_state(name), on_given_latents(name)
    one = step(state, Batch(real, LABELS), z, jax.random.key(2))
    other = step(state, Batch(real, LABELS[::-1]), z, jax.random.key(2))
    for player in ("generator", "discriminator"):
        params = [getattr(new, player).params for new, _ in (one, other)]
        assert bits(params[0]) != bits(params[1])


@given(labels=drawn_labels(), seed=seeds())
@one_in(5)
def test_one_pass_over_both_is_two_passes(labels, seed):
    network = from_linen(ProjectionDiscriminator(rate=0.0))
    real, fake = normal(seed, BATCH, 2), normal(seed + 1, BATCH, 2)
    params, model_state = PROJECTION_INIT(jax.random.key(0), real, labels)
    logits = {}
    for coupled in (False, True):
        judge = network._replace(couples_batch=coupled)
        logits[coupled] = objectives.judge_both(
            judge, params, model_state, Batch(real, labels), fake, key=jax.random.key(1)
        )
    assert_close(logits[False], logits[True], rtol=1e-5, atol=1e-6)


PROJECTION_INIT = quick_jit(from_linen(ProjectionDiscriminator(rate=0.0)).init)


@given(labels=drawn_labels(), weights=st.tuples(*[st.floats(0.5, 2)] * 4))
@one_in(5)
def test_penalties_meet_a_discriminator_of_each_samples_own_class(labels, weights):
    # |grad D| at a sample of class k is |w[k]|, wherever it is taken
    w = normal(3, CLASSES, 2)
    real, fake = normal(4, BATCH, 2), normal(5, BATCH, 2)
    names = tuple(penalties.PENALTIES)
    found = PENALTY_TERM(dict(zip(names, weights, strict=True)), w, Batch(real, labels), fake)
    norms = np.linalg.norm(np.float64(w), axis=1)[labels]
    r1, r2, gp, dragan = weights
    expected = np.mean((r1 + r2) * norms**2 / 2 + (gp + dragan) * (norms - 1) ** 2)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def penalty_term(weights, w, real, fake):
    gan = game(None, linear_discriminator_by_class(w), penalties=paying(**weights))
    return objectives.penalties(gan, w, {}, real, fake, key=jax.random.key(0))


PENALTY_TERM = quick_jit(penalty_term)


def test_labels_are_never_differentiated():
    def real_labels(logit_fn, real, fake, *, key):
        del fake, key
        logits, pull_back = jax.vjp(logit_fn, real)
        inputs = pull_back(jnp.ones_like(logits))
        assert [leaf.dtype for leaf in jax.tree.leaves(inputs)] == [jnp.float32]
        return logits

    gan = conditional_game(penalties=(Penalty(real_labels, 1.0), *paying(r1_gamma=1.0)))
    batch = Batch(jnp.zeros((BATCH, 2)), LABELS)

    def run(key):
        state = init_state(gan, key, batch)
        state, _ = discriminator_step(gan, state, batch, key=jax.random.key(1))
        return generator_step(gan, state, batch, key=jax.random.key(2))

    jax.eval_shape(run, jax.random.key(0))


# A whole game


def test_a_conditional_game_learns_which_class_lies_where():
    """Three classes at three places: after some steps each class is drawn near its own."""
    centres = np.float32([[0.0, 1.0], [-0.9, -0.5], [0.9, -0.5]])
    labels = np.arange(300, dtype=np.int32) % CLASSES
    data = Batch(centres[labels] + 0.05 * normal(0, 300, 2), labels)
    gan = conditional_game(penalties=paying(r1_gamma=0.1))
    gan = gan._replace(
        generator=from_linen(EmbeddingGenerator(hidden=16)),
        discriminator=from_linen(ProjectionDiscriminator(hidden=16, rate=0.0)),
    )

    def train(data, init_key, key):
        state = init_state(gan, init_key, data)
        sizes = {"batch_size": 48, "num_steps": 400}
        state, _ = take_steps(gan, alternating, sample_real, state, data, key=key, **sizes)
        z = jax.random.normal(jax.random.key(3), (300, 2))
        return sample(gan, state, z, data.labels)

    fakes = np.asarray(jax.jit(train)(data, jax.random.key(1), jax.random.key(2)))
    found = np.stack([fakes[labels == k].mean(axis=0) for k in range(CLASSES)])
    nearest = np.linalg.norm(found[:, None] - centres[None], axis=2).argmin(axis=1)
    assert nearest.tolist() == [0, 1, 2]
    assert np.linalg.norm(found - centres, axis=1).max() < 0.5
