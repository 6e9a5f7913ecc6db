"""Laws of the update rules, against the article's procedure told in NumPy and gradients taken one by one."""

import copy
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from strategies import floats, images, seeds
from tiny import (
    BATCH,
    LATENT_DIM,
    POINTS,
    BatchNormDiscriminator,
    BatchNormGenerator,
    Call,
    DropoutDiscriminator,
    SpectralDiscriminator,
    assert_close,
    bits,
    drawn_variables,
    game,
    linear_discriminator,
    normal,
    one_in,
    painting_generator,
    pinned,
    quick_jit,
    recording,
    scaling_generator,
    spied,
)

from gan_jax import losses, penalties
from gan_jax.models.mlp import MLPDiscriminator
from gan_jax.networks import from_linen
from gan_jax.rules import alternating, article, one_stage, real_batches_per_step
from gan_jax.sampling import sample_real
from gan_jax.steps import init_state, run_steps
from gan_jax.types import AdversarialLoss

STILL = optax.sgd(0.0)
SGD = optax.sgd(1.0)
RULES = (alternating, article, one_stage)
DATA = normal(0, 13, 2)


def start(gan, real, **d_or_g_params):
    """Start a game eagerly, with given weights of a player in place of drawn ones."""
    state = init_state(gan, jax.random.key(0), jnp.asarray(real))
    for player, params in d_or_g_params.items():
        state = state._replace(**{player: getattr(state, player)._replace(params=params)})
    return state


# Whose turn it is, and on which images


@pytest.mark.parametrize("n_dis", [1, 2, 5])
def test_a_rule_counts_the_real_batches_it_takes(n_dis):
    plain = game(n_dis=n_dis)
    paired = game(loss=losses.relativistic(), n_dis=n_dis)
    assert real_batches_per_step(alternating, plain) == n_dis
    assert real_batches_per_step(alternating, paired) == n_dis + 1
    for rule in (article, one_stage):
        assert real_batches_per_step(rule, plain) == real_batches_per_step(rule, paired) == 1


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
    new, metrics = quick_jit(partial(alternating, gan))(state, real, key=jax.random.key(0))
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
        alternating(gan, None, jnp.zeros((num, 2)), key=jax.random.key(0))


PLAIN = game(
    painting_generator(np.zeros(POINTS)),
    linear_discriminator(),
    losses.wasserstein(),
    g_tx=SGD,
    d_tx=SGD,
    ema_half_life_images=float(BATCH),
    n_dis=2,
)
ALTERNATE = quick_jit(partial(alternating, PLAIN))
LOOK_BACK = quick_jit(partial(one_stage, PLAIN._replace(n_dis=1)))


@given(real=images((2 * BATCH, 2)), fakes=images(POINTS), w=images((2,)))
def test_alternating_trains_d_turn_by_turn_and_then_g_against_the_new_d(real, fakes, w):
    # L_D = w . (mean fake - mean real) and L_G = -w . mean fake, with steps of size 1. The average starts at 0.
    state = start(PLAIN, real[:BATCH], generator=fakes, discriminator=w)
    new, metrics = ALTERNATE(state, real, key=jax.random.key(0))
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
    new, _ = LOOK_BACK(state, real, key=jax.random.key(0))
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
    new, _ = quick_jit(partial(rule, gan))(start(gan, real), real, key=jax.random.key(1))
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
        new, _ = rule(gan, state, real, key=key)
        params, model_state, _ = state.discriminator
        for _ in range(renewals):
            _, model_state = network.apply(params, model_state, real, train=True)
        return new.discriminator.model_state, model_state

    state = quick_jit(partial(init_state, gan))(jax.random.key(0), real)
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
    real = jnp.zeros(POINTS)
    jax.eval_shape(
        lambda key: rule(gan, init_state(gan, key, real), real, key=jax.random.key(0)),
        jax.random.key(1),
    )
    assert (g_seen, d_seen) == (g_calls, d_calls)


# The article's procedure, told in NumPy from its Keras code: float64, probabilities, and slopes by differences

G_RATE, D_RATE = 0.02, 0.05
B1, B2, EPSILON = 0.3, 0.999, 1e-7
TOLD = game(
    from_linen(BatchNormGenerator(hidden=4)),
    from_linen(MLPDiscriminator((4,))),
    losses.non_saturating(0.9, 0.1),
    g_tx=optax.adam(G_RATE, B1, B2, EPSILON),
    d_tx=optax.adam(D_RATE, B1, B2, EPSILON),
)


def leaky(x):
    return np.where(x > 0, x, 0.2 * x)


def tell_images(params, statistics, z, train):
    """Return images, and batch statistics moved a tenth of the way in training."""
    hidden = np.maximum(z @ params["project"]["kernel"] + params["project"]["bias"], 0)
    old = statistics["batch_stats"]["norm"]
    new = {"mean": hidden.mean(axis=0), "var": hidden.var(axis=0)} if train else old
    normalised = (hidden - new["mean"]) / np.sqrt(new["var"] + 1e-3)
    x = leaky(normalised * params["norm"]["scale"] + params["norm"]["bias"])
    moved = {name: 0.9 * old[name] + 0.1 * new[name] for name in old} if train else old
    images = x @ params["output"]["kernel"] + params["output"]["bias"]
    return images, {"batch_stats": {"norm": moved}}


def tell_probabilities(params, x):
    x = leaky(x @ params["dense_0"]["kernel"] + params["dense_0"]["bias"])
    logits = (x @ params["logit"]["kernel"] + params["logit"]["bias"])[:, 0]
    return 1 / (1 + np.exp(-logits))


def binary_crossentropy(probability, target):
    return -np.mean(target * np.log(probability) + (1 - target) * np.log(1 - probability))


def slopes_by_differences(loss, params, width=1e-6):
    """Move each weight a little up and down."""
    params = copy.deepcopy(params)
    slopes = jax.tree.map(np.zeros_like, params)
    for leaf, slope in zip(jax.tree.leaves(params), jax.tree.leaves(slopes), strict=True):
        for index in np.ndindex(leaf.shape):
            middle, values = leaf[index], []
            for shift in (width, -width):
                leaf[index] = middle + shift
                values.append(loss(params))
            leaf[index] = middle
            slope[index] = (values[0] - values[1]) / (2 * width)
    return slopes


class Adam:
    """Kingma and Ba 2015, algorithm 1."""

    def __init__(self, params, rate):
        self.rate, self.step = rate, 0
        self.m = jax.tree.map(np.zeros_like, params)
        self.v = jax.tree.map(np.zeros_like, params)

    def descend(self, params, loss):
        slopes = slopes_by_differences(loss, params)
        self.step += 1
        self.m = jax.tree.map(lambda m, g: B1 * m + (1 - B1) * g, self.m, slopes)
        self.v = jax.tree.map(lambda v, g: B2 * v + (1 - B2) * g * g, self.v, slopes)
        m_scale, v_scale = 1 / (1 - B1**self.step), 1 / (1 - B2**self.step)
        return jax.tree.map(
            lambda p, m, v: p - self.rate * m * m_scale / (np.sqrt(v * v_scale) + EPSILON),
            params,
            self.m,
            self.v,
        )


class Keras:
    """Both models and their optimizers, as `model.train_on_batch` leaves them."""

    def __init__(self, state):
        as64 = partial(jax.tree.map, np.float64)
        self.g, self.statistics = as64(state.generator.params), as64(state.generator.model_state)
        self.d = as64(state.discriminator.params)
        self.g_adam, self.d_adam = Adam(self.g, G_RATE), Adam(self.d, D_RATE)

    def train_d(self, images, target):
        before = binary_crossentropy(tell_probabilities(self.d, images), target)
        self.d = self.d_adam.descend(
            self.d, lambda d: binary_crossentropy(tell_probabilities(d, images), target)
        )
        return before

    def train_g(self, z):
        def loss(g):
            images, _ = tell_images(g, self.statistics, z, train=True)
            return binary_crossentropy(tell_probabilities(self.d, images), 0.9)

        _, statistics = tell_images(self.g, self.statistics, z, train=True)
        before = loss(self.g)
        self.g = self.g_adam.descend(self.g, loss)
        self.statistics = statistics
        return before

    def step(self, real, z, order=("fakes", "real", "fake", "g")):
        losses = {}
        for turn in order:
            if turn == "fakes":
                fakes, _ = tell_images(self.g, self.statistics, z, train=False)
            elif turn == "training fakes":
                fakes, _ = tell_images(self.g, self.statistics, z, train=True)
            elif turn == "real":
                losses["real"] = self.train_d(real, 0.9)
            elif turn == "fake":
                losses["fake"] = self.train_d(fakes, 0.1)
            elif turn == "g":
                losses["g"] = self.train_g(z)
        return losses

    def result(self):
        return self.g, self.statistics, self.d


def told_start():
    state = quick_jit(partial(init_state, TOLD))(jax.random.key(0), np.zeros(POINTS, np.float32))
    g, statistics = drawn_variables(TOLD.generator, np.zeros((1, LATENT_DIM)), 1)
    d, _ = drawn_variables(TOLD.discriminator, np.zeros(POINTS, np.float32), 2)
    generator = state.generator._replace(params=g, model_state=statistics)
    discriminator = state.discriminator._replace(params=d)
    return state._replace(generator=generator, discriminator=discriminator)


@cache
def article_on_given_latents():
    def run(state, real, z, key):
        gan = TOLD._replace(generator=pinned(TOLD.generator, x=z))
        return article(gan, state, real, key=key)

    return quick_jit(run)


TURNS = [(normal(10 + i, *POINTS), normal(20 + i, BATCH, LATENT_DIM)) for i in range(4)]


def test_the_articles_rule_is_the_keras_procedure():
    state, keras = told_start(), Keras(told_start())
    for number, (real, z) in enumerate(TURNS):
        state, metrics = article_on_given_latents()(state, real, z, jax.random.key(number))
        told = keras.step(real, z)
        np.testing.assert_allclose(metrics["d_loss"], told["real"] + told["fake"], rtol=1e-5)
        np.testing.assert_allclose(metrics["g_loss"], told["g"], rtol=1e-5)
        g, d = state.generator, state.discriminator
        assert_close((g.params, g.model_state, d.params), keras.result(), rtol=1e-4, atol=2e-5)
        assert int(state.step) == number + 1


@pytest.mark.parametrize(
    "order",
    [
        ("fakes", "fake", "real", "g"),
        ("fakes", "g", "real", "fake"),
        ("fakes", "real", "g", "fake"),
        ("real", "g", "fakes", "fake"),
        ("training fakes", "real", "fake", "g"),
        ("fakes", "real", "g"),
    ],
)
def test_any_other_order_of_the_procedure_is_told_apart(order):
    right, other = Keras(told_start()), Keras(told_start())
    for real, z in TURNS[:2]:
        right.step(real, z)
        other.step(real, z, order)
    differences = jax.tree.map(lambda a, b: np.abs(a - b).max(), right.result(), other.result())
    assert max(jax.tree.leaves(differences)) > 100 * 2e-5


def test_the_articles_gradient_norm_is_the_mean_over_ds_two_updates():
    gan = game(
        painting_generator(normal(3, *POINTS)), linear_discriminator(0.3), d_tx=recording(SGD, 2)
    )
    real = normal(4, *POINTS)
    new, metrics = quick_jit(partial(article, gan))(start(gan, real), real, key=jax.random.key(0))
    norms = np.linalg.norm(new.discriminator.opt_state.history, axis=1)
    np.testing.assert_allclose(metrics["d_grad_norm"], norms.mean(), rtol=1e-5)
    assert norms.all()
    assert norms[0] != norms[1]


# One stage: both gradients the long way, at the old weights, with the same latents and the same dropout

LOSSES = {
    "non_saturating": losses.non_saturating(0.9, 0.1),
    "minimax": losses.minimax(),
    "least_squares": losses.least_squares(),
    "hinge": losses.hinge(),
    "wasserstein": losses.wasserstein(),
    "relativistic": losses.relativistic(),
}
GAMMA = 0.7


def players(z, key):
    """A game whose latents and dropout are the same in every call."""
    return game(
        pinned(from_linen(BatchNormGenerator(hidden=4)), x=z),
        pinned(from_linen(DropoutDiscriminator(hidden=4)), key=key),
        g_tx=recording(SGD, 1),
        d_tx=recording(SGD, 1),
    )


def in_one_stage(state, real, z, key):
    results = {}
    for name, loss in LOSSES.items():
        gamma = GAMMA if name in ("non_saturating", "relativistic") else None
        gan = players(z, key)._replace(loss=loss, r1_gamma=gamma)
        new, metrics = one_stage(gan, state, real, key=jax.random.clone(key))
        grads = [player.opt_state.history for player in (new.generator, new.discriminator)]
        del metrics["d_accuracy"], metrics["g_accuracy"]  # a logit may round to either side of 0
        results[name] = (*grads, new.generator.model_state, metrics)
    return results


def the_long_way(state, real, z, key):
    results = {}
    gan = players(z, key)
    g_old, d_old = state.generator, state.discriminator

    def fakes_of(g):
        return gan.generator.apply(g, g_old.model_state, z, train=True, key=None)

    def logits_of(d, fakes):
        both = jnp.concatenate([real, fakes])
        logits, _ = gan.discriminator.apply(d, {}, both, train=True, key=None)
        return logits[:BATCH], logits[BATCH:]

    def penalty_of(d):
        def logit_fn(x):
            return gan.discriminator.apply(d, {}, x, train=True, key=None)[0]

        return GAMMA * jnp.mean(penalties.r1_penalty(logit_fn, real))

    for name, loss in LOSSES.items():

        def d_loss(d, loss=loss):
            return loss.discriminator(*logits_of(d, fakes_of(g_old.params)[0]))

        def g_loss(g, loss=loss):
            return loss.generator(*logits_of(d_old.params, fakes_of(g)[0]))

        d_value, d_grads = jax.value_and_grad(d_loss)(d_old.params)
        g_value, g_grads = jax.value_and_grad(g_loss)(g_old.params)
        fakes, model_state = fakes_of(g_old.params)
        metrics = dict(
            zip(
                ("real_logits", "fake_logits"),
                map(jnp.mean, logits_of(d_old.params, fakes)),
                strict=True,
            )
        )
        if name in ("non_saturating", "relativistic"):
            metrics["d_penalty"], more = jax.value_and_grad(penalty_of)(d_old.params)
            d_grads = jax.tree.map(jnp.add, d_grads, more)
        metrics |= {"d_loss": d_value, "g_loss": g_value}
        metrics |= {"d_grad_norm": norm(d_grads), "g_grad_norm": norm(g_grads)}
        results[name] = (
            *(jax.tree.map(lambda g: g[None], grads) for grads in (g_grads, d_grads)),
            model_state,
            metrics,
        )
    return results


def norm(tree):
    return jnp.sqrt(sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(tree)))


IN_ONE_STAGE, THE_LONG_WAY = quick_jit(in_one_stage), quick_jit(the_long_way)


@cache
def one_stage_start():
    gan = players(np.zeros((BATCH, LATENT_DIM), np.float32), jax.random.key(0))
    return quick_jit(partial(init_state, gan))(jax.random.key(0), np.zeros(POINTS, np.float32))


@one_in(2)
@given(
    shift=floats(-6, 6), spread=floats(0.1, 6), seed=seeds(), real=images(POINTS), z=images(POINTS)
)
def test_one_stage_is_both_gradients_at_the_old_weights(shift, spread, seed, real, z):
    # `shift` takes D's logits into the flat parts of the hinge: above 1 for real images, below -1 for fake ones.
    state = one_stage_start()
    d = jax.tree.map(lambda leaf: spread * leaf, state.discriminator.params)
    d["logit"]["bias"] = np.full(1, shift, np.float32)
    state = state._replace(discriminator=state.discriminator._replace(params=d))
    arguments = (state, real, z)
    actual = IN_ONE_STAGE(*arguments, jax.random.key(seed))
    expected = THE_LONG_WAY(*arguments, jax.random.key(seed))
    assert_close(actual, expected, rtol=1e-3, atol=2e-5)


def slopes_of_g(fakes):
    """G's gradient, for every loss, where D is the identity on images of one pixel; by one stage, and by the loss."""
    actual, expected = {}, {}
    real = jnp.full((2, 1), 0.5)
    for name, loss in LOSSES.items():
        gan = game(
            painting_generator(np.zeros((2, 1))),
            linear_discriminator(1.0),
            loss,
            g_tx=recording(SGD, 1),
        )
        state = init_state(gan, jax.random.key(0), real)
        state = state._replace(generator=state.generator._replace(params=fakes))
        new, _ = one_stage(gan, state, real, key=jax.random.key(1))
        actual[name] = new.generator.opt_state.history[0, :, 0]
        expected[name] = jax.grad(loss.generator, 1)(real[:, 0], fakes[:, 0])
    return actual, expected


SLOPES_OF_G = quick_jit(slopes_of_g)


@pytest.mark.parametrize("logit", [-200.0, -3.0, -1.0, 0.0, 1.0, 40.0])
def test_one_stage_moves_g_even_where_d_has_no_slope(logit):
    # The hinge is flat below -1, least squares at 0, and sigmoids vanish far out.
    actual, expected = SLOPES_OF_G(np.float32([[logit], [0.3]]))
    assert_close(actual, expected, rtol=1e-5, atol=1e-9)


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
            (article, {name: weight}, "no gradient penalties")
            for name in ("r1_gamma", "r2_gamma", "gp_weight", "dragan_weight")
            for weight in (1.0, 0.0)
        ],
    ],
)
def test_a_game_that_a_rule_has_no_place_for_is_refused(rule, options, message):
    with pytest.raises(ValueError, match=message):
        rule(game()._replace(**options), None, jnp.zeros(POINTS), key=jax.random.key(0))


# Populations


def population_member(gamma, rate, key):
    """Train a game from a penalty's weight, a learning rate and a key; all three may be mapped over."""
    init_key, run_key = jax.random.split(key)
    d_tx = optax.sgd(rate)
    gan = game(scaling_generator(), linear_discriminator(1.0), d_tx=d_tx, r1_gamma=gamma)
    data = jnp.asarray(DATA)
    state = init_state(gan, init_key, data[:BATCH])

    def sample_batch(batch_key, step):
        del step
        return sample_real(batch_key, data, BATCH)

    return run_steps(partial(alternating, gan), state, sample_batch, 3, key=run_key)


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
