"""Laws of the update rules: whose turn it is, on which images, at what cost."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from strategies import images, seeds
from tiny import (
    BATCH,
    POINTS,
    BatchNormDiscriminator,
    BatchNormGenerator,
    Call,
    DropoutDiscriminator,
    SpectralDiscriminator,
    assert_close,
    bits,
    game,
    linear_discriminator,
    normal,
    one_in,
    painting_generator,
    paying,
    quick_jit,
    recording,
    scaling_generator,
    spied,
)
from under_way import STILL, start

from gan_jax import losses, penalties
from gan_jax.networks import from_linen
from gan_jax.rules import RULES, WEIGHED, alternating, article, one_stage
from gan_jax.sampling import sample_real
from gan_jax.steps import discriminator_step, generator_step, init_state, take_steps
from gan_jax.types import AdversarialLoss, Batch, Rule

SGD = optax.sgd(1.0)
DATA = Batch(jnp.asarray(normal(0, 13, 2)))

# Whose turn it is, and on which images


@pytest.mark.parametrize("n_dis", [1, 2, 5])
def test_a_rule_counts_the_real_batches_it_takes(n_dis):
    plain = game(n_dis=n_dis)
    paired = game(loss=losses.relativistic(), n_dis=n_dis)
    assert alternating.batches(plain) == n_dis
    assert alternating.batches(paired) == n_dis + 1
    for rule in (article, one_stage):
        assert rule.batches(plain) == rule.batches(paired) == 1


@pytest.mark.parametrize("name", RULES)
def test_a_wrapped_rule_takes_as_many_batches_as_the_rule_within(name):
    rule, taken = RULES[name], []

    def counted(gan, state, batch, *, key):
        taken.append(batch.images.shape[0])
        return rule.step(gan, state, batch, key=key)

    gan = rule.equip(game(n_dis=3 if name == "alternating" else 1))
    wrapped = rule._replace(step=counted)
    assert wrapped.batches(gan) == rule.batches(gan)
    state = init_state(gan, jax.random.key(0), DATA)
    sizes = {"batch_size": BATCH, "num_steps": 1}
    jax.eval_shape(
        lambda key: take_steps(gan, wrapped, sample_real, state, DATA, key=key, **sizes),
        jax.random.key(1),
    )
    assert taken == [BATCH * {"alternating": 3, "extragradient": 2}.get(name, 1)]


def test_the_tables_name_every_rule():
    import gan_jax.rules

    made = {name: rule for name, rule in vars(gan_jax.rules).items() if isinstance(rule, Rule)}
    assert made == RULES
    assert WEIGHED.keys() < RULES.keys()


def revealing_loss(needs_real):
    """D climbs on real images; G reports the mean logit of the real images it is shown."""
    return AdversarialLoss(
        discriminator=lambda real, fake: -jnp.mean(real) + 0.0 * jnp.mean(fake),
        generator=lambda real, fake: jnp.mean(fake if real is None else real),
        needs_real=needs_real,
    )


@pytest.mark.parametrize(("n_dis", "needs_real"), [(1, True), (2, True), (3, False)])
def test_every_real_image_is_shown_once_and_in_order(n_dis, needs_real):
    batch, num = 2, 2 * (n_dis + needs_real)
    real = np.eye(num, dtype=np.float32)  # image i lights pixel i alone
    distinct = 2.0 ** np.arange(num, dtype=np.float32)
    gan = game(
        painting_generator(np.zeros((batch, num))),
        linear_discriminator(distinct),
        revealing_loss(needs_real),
        d_tx=recording(STILL, n_dis),
        n_dis=n_dis,
    )
    state = start(gan, real)
    new, metrics = quick_jit(partial(alternating.step, gan))(
        state, Batch(real), key=jax.random.key(0)
    )
    shown = -batch * new.discriminator.opt_state.history
    turns = real.reshape(-1, batch, num).sum(axis=1)
    np.testing.assert_allclose(shown, turns[:n_dis], atol=1e-6)
    of_g = turns[-1] @ distinct / batch if needs_real else 0.0
    np.testing.assert_allclose(metrics["g_loss"], of_g, rtol=1e-6)
    assert int(new.discriminator.opt_state.count) == n_dis
    assert int(new.step) == 1


@pytest.mark.parametrize(
    ("n_dis", "needs_real", "num"), [(2, False, 5), (2, True, 8), (1, True, 3)]
)
def test_images_that_cannot_be_shared_equally_are_refused(n_dis, needs_real, num):
    gan = game(
        linear_discriminator(), linear_discriminator(), revealing_loss(needs_real), n_dis=n_dis
    )
    turns = n_dis + needs_real
    with pytest.raises(
        ValueError, match=f"{num} real images cannot be shared between {turns} turns"
    ):
        alternating.step(gan, None, Batch(jnp.zeros((num, 2))), key=jax.random.key(0))


PLAIN = game(
    painting_generator(np.zeros(POINTS)),
    linear_discriminator(),
    losses.wasserstein(),
    g_tx=SGD,
    d_tx=SGD,
    ema_half_life_images=float(BATCH),
    n_dis=2,
)
ALTERNATE = quick_jit(partial(alternating.step, PLAIN))
LOOK_BACK = quick_jit(partial(one_stage.step, PLAIN._replace(n_dis=1)))


@given(real=images((2 * BATCH, 2)), fakes=images(POINTS), w=images((2,)))
def test_alternating_trains_d_turn_by_turn_and_then_g_against_the_new_d(real, fakes, w):
    # L_D = w . (mean fake - mean real) and L_G = -w . mean fake, with steps of size 1. The average starts at 0.
    state = start(PLAIN, real[:BATCH], generator=fakes, discriminator=w)
    new, metrics = ALTERNATE(state, Batch(real), key=jax.random.key(0))
    first = w + real[:BATCH].mean(axis=0) - fakes.mean(axis=0)
    second = first + real[BATCH:].mean(axis=0) - fakes.mean(axis=0)
    assert_close(new.discriminator.params, second, atol=1e-5)
    assert_close(new.generator.params, fakes + second / BATCH, atol=1e-5)
    assert_close(new.ema_params, (fakes + second / BATCH) / 2, atol=1e-5)
    np.testing.assert_allclose(metrics["real_logits"], np.mean(real[BATCH:] @ first), atol=1e-5)
    np.testing.assert_allclose(metrics["g_loss"], -np.mean(fakes @ second), atol=1e-5)


@given(real=images(POINTS), fakes=images(POINTS), w=images((2,)))
def test_one_stage_trains_both_players_against_the_old_one(real, fakes, w):
    state = start(PLAIN, real, generator=fakes, discriminator=w)
    new, _ = LOOK_BACK(state, Batch(real), key=jax.random.key(0))
    assert_close(new.discriminator.params, w + real.mean(axis=0) - fakes.mean(axis=0), atol=1e-5)
    assert_close(new.generator.params, fakes + w / BATCH, atol=1e-5)
    assert_close(new.ema_params, (fakes + w / BATCH) / 2, atol=1e-5)
    assert int(new.step) == 1


def latents_seen(rule, n_dis):
    """Mean latents of each of D's updates, and of G's: images are latents, D starts at w = 1 and stays."""
    gan = game(
        scaling_generator(),
        linear_discriminator(1.0),
        losses.wasserstein(),
        g_tx=recording(STILL, 1),
        d_tx=recording(STILL, n_dis + 1),
        n_dis=n_dis,
    )
    real = np.zeros((n_dis * BATCH, 2), np.float32)
    step = quick_jit(partial(rule.step, gan))
    new, _ = step(start(gan, real), Batch(real), key=jax.random.key(1))
    return np.asarray(new.discriminator.opt_state.history), -np.asarray(
        new.generator.opt_state.history[0]
    )


def test_alternating_draws_fresh_latents_in_every_turn():
    by_d, by_g = latents_seen(alternating, 2)
    means = np.stack([*by_d[:2], by_g])
    assert len(np.unique(means.round(4), axis=0)) == 3
    assert means.all()


def test_the_article_takes_the_same_latents_for_both_players():
    (on_real, on_fakes), by_g = latents_seen(article, 1)
    assert not on_real.any()
    np.testing.assert_allclose(on_fakes, by_g, rtol=1e-5)
    assert by_g.all()


def test_one_stage_takes_the_same_latents_for_both_players():
    (at_once, _), by_g = latents_seen(one_stage, 1)
    np.testing.assert_allclose(at_once, by_g, rtol=1e-5)
    assert by_g.all()


@pytest.mark.parametrize(("rule", "renewals"), [(alternating, 1), (article, 2), (one_stage, 1)])
def test_ds_model_state_is_renewed_once_in_each_pass_of_its_own_turns(rule, renewals):
    # Spectral norm's state depends on the weights alone, and these stand still.
    network = from_linen(SpectralDiscriminator())
    gan = game(scaling_generator(), network, d_tx=STILL)
    real = normal(0, *POINTS)

    def both(state, key):
        new, _ = rule.step(gan, state, Batch(real), key=key)
        params, model_state, _ = state.discriminator
        for _ in range(renewals):
            _, model_state = network.apply(params, model_state, real, train=True)
        return new.discriminator.model_state, model_state

    state = quick_jit(partial(init_state, gan))(jax.random.key(0), Batch(real))
    actual, expected = quick_jit(both)(state, jax.random.key(1))
    assert_close(actual, expected)
    assert bits(actual) != bits(state.discriminator.model_state)


TRAINING = Call(BATCH, train=True, keyed=True)


@pytest.mark.parametrize(
    ("rule", "g_calls", "d_calls"),
    [
        (alternating, [TRAINING] * 2, [Call(2 * BATCH, True, True), TRAINING]),
        (article, [Call(BATCH, train=False, keyed=False), TRAINING], [TRAINING] * 3),
        (one_stage, [TRAINING], [Call(2 * BATCH, True, True)]),
    ],
)
def test_a_rule_pays_for_these_passes_and_no_others(rule, g_calls, d_calls):
    g_seen, d_seen = [], []
    gan = game(
        spied(from_linen(BatchNormGenerator()), g_seen),
        spied(from_linen(DropoutDiscriminator()), d_seen),
    )
    real = Batch(jnp.zeros(POINTS))
    jax.eval_shape(
        lambda key: rule.step(gan, init_state(gan, key, real), real, key=jax.random.key(0)),
        jax.random.key(1),
    )
    assert (g_seen, d_seen) == (g_calls, d_calls)


# Refusals


BATCH_NORMED = from_linen(BatchNormDiscriminator())


@pytest.mark.parametrize(
    ("rule", "options", "message"),
    [
        (one_stage, {"n_dis": 2}, "n_dis = 1, got 2"),
        (one_stage, {"discriminator": BATCH_NORMED}, "do not influence one another"),
        (article, {"n_dis": 3}, "n_dis = 1, got 3"),
        (article, {"loss": losses.relativistic()}, "no paired loss"),
        *[
            (article, {"penalties": paying(**{name: weight})}, "no gradient penalties")
            for name in penalties.PENALTIES
            for weight in (1.0, 0.0)
        ],
    ],
)
def test_a_game_that_a_rule_has_no_place_for_is_refused(rule, options, message):
    with pytest.raises(ValueError, match=message):
        rule.step(game()._replace(**options), None, Batch(jnp.zeros(POINTS)), key=jax.random.key(0))


# D's turns in a loop


LOOPED = game(
    from_linen(BatchNormGenerator()),
    from_linen(BatchNormDiscriminator()),
    ema_half_life_images=10.0,
    penalties=paying(gp_weight=1.0),
    n_dis=3,
)


def turn_by_turn(state, batch, *, key):
    """Take the alternating step by hand: the turns one after another, without a loop."""
    g_key, d_key = jax.random.split(key)
    d_keys = [jax.random.fold_in(d_key, turn) for turn in range(LOOPED.n_dis)]
    turns = batch.images.reshape(LOOPED.n_dis, BATCH, -1)
    for images_of_turn, d_key in zip(turns, d_keys, strict=True):
        state, d_metrics = discriminator_step(LOOPED, state, Batch(images_of_turn), key=d_key)
    state, g_metrics = generator_step(LOOPED, state, Batch(turns[-1]), key=g_key)
    return state._replace(step=state.step + 1), d_metrics | g_metrics


@one_in(5)
@given(seed=seeds(), real=images((3 * BATCH, 2)))
def test_the_loop_over_ds_turns_is_the_turns_by_hand_and_its_metrics_the_last_ones(seed, real):
    state, batch = LOOPED_START(jax.random.key(0), DATA), Batch(real)
    looped = IN_A_LOOP(state, batch, key=jax.random.key(seed))
    by_hand = BY_HAND(state, batch, key=jax.random.key(seed))
    assert_close(looped, by_hand, rtol=1e-4, atol=1e-5)


LOOPED_START = quick_jit(partial(init_state, LOOPED))
IN_A_LOOP = quick_jit(partial(alternating.step, LOOPED))
BY_HAND = quick_jit(turn_by_turn)


def num_equations(jaxpr):
    """Count the operations of a program and of all programs within it."""
    return sum(1 + sum(map(num_equations, inner_programs(e.params))) for e in jaxpr.eqns)


def inner_programs(params):
    for value in jax.tree.leaves(params, is_leaf=lambda leaf: hasattr(leaf, "eqns")):
        if hasattr(value, "eqns"):
            yield value
        elif hasattr(value, "jaxpr"):
            yield value.jaxpr


def size_of_program(n_dis):
    gan = LOOPED._replace(n_dis=n_dis)
    real = Batch(jnp.zeros((n_dis * BATCH, 2)))

    def step(state, key):
        return alternating.step(gan, state, real, key=key)

    state = jax.eval_shape(partial(init_state, gan), jax.random.key(0), DATA)
    return num_equations(jax.make_jaxpr(step)(state, jax.random.key(0)).jaxpr)


def test_a_program_does_not_grow_with_the_number_of_ds_turns():
    sizes = [size_of_program(n_dis) for n_dis in (1, 2, 50)]
    assert sizes[1] == sizes[2]
    assert sizes[0] > 100  # the loop's inside is counted
    assert sizes[1] < 1.2 * sizes[0]


# Populations


def population_member(gamma, rate, key):
    """Train a game from a penalty's weight, a learning rate and a key; all three may be mapped over."""
    init_key, run_key = jax.random.split(key)
    d_tx = optax.sgd(rate)
    penalty = paying(r1_gamma=gamma)
    gan = game(scaling_generator(), linear_discriminator(1.0), d_tx=d_tx, penalties=penalty)
    state, sizes = init_state(gan, init_key, DATA), {"batch_size": BATCH, "num_steps": 3}
    return take_steps(gan, alternating, sample_real, state, DATA, key=run_key, **sizes)


def test_mapping_over_seeds_penalty_weights_and_learning_rates_is_looping():
    gammas, rates = np.float32([0.0, 0.5, 3.0]), np.float32([0.1, 0.01, 0.3])
    seeds = [0, 1, 1]
    keys = jax.vmap(jax.random.key)(jnp.array(seeds))
    together = quick_jit(jax.vmap(population_member))(gammas, rates, keys)
    alone = quick_jit(population_member)
    for index, seed in enumerate(seeds):
        expected = alone(gammas[index], rates[index], jax.random.key(seed))
        one = jax.tree.map(lambda leaf, index=index: leaf[index], together)
        assert_close(one, expected, rtol=1e-4, atol=1e-5)
    assert len(np.unique(together[0].discriminator.params, axis=0)) == 3
