"""The article's rule is its Keras procedure, told in NumPy: float64, probabilities, slopes by differences."""

import copy
from functools import cache, partial

import jax
import numpy as np
import optax
import pytest
from tiny import (
    BATCH,
    LATENT_DIM,
    POINTS,
    BatchNormGenerator,
    assert_close,
    drawn_variables,
    game,
    linear_discriminator,
    normal,
    painting_generator,
    pinned,
    quick_jit,
    recording,
)
from under_way import start

from gan_jax import losses
from gan_jax.models.mlp import MLPDiscriminator
from gan_jax.networks import from_linen
from gan_jax.rules import article
from gan_jax.steps import init_state
from gan_jax.types import Batch

SGD = optax.sgd(1.0)
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
    state = quick_jit(partial(init_state, TOLD))(
        jax.random.key(0), Batch(np.zeros(POINTS, np.float32))
    )
    g, statistics = drawn_variables(TOLD.generator, np.zeros((1, LATENT_DIM)), seed=1)
    d, _ = drawn_variables(TOLD.discriminator, np.zeros(POINTS, np.float32), seed=2)
    generator = state.generator._replace(params=g, model_state=statistics)
    discriminator = state.discriminator._replace(params=d)
    return state._replace(generator=generator, discriminator=discriminator)


@cache
def article_on_given_latents():
    def run(state, real, z, key):
        gan = TOLD._replace(generator=pinned(TOLD.generator, x=z))
        return article.step(gan, state, Batch(real), key=key)

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
    step = quick_jit(partial(article.step, gan))
    new, metrics = step(start(gan, real), Batch(real), key=jax.random.key(0))
    norms = np.linalg.norm(new.discriminator.opt_state.history, axis=1)
    np.testing.assert_allclose(metrics["d_grad_norm"], norms.mean(), rtol=1e-5)
    assert norms.all()
    assert norms[0] != norms[1]
