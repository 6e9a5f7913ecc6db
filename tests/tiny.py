"""Tiny games, probes that look inside a step, and slow references, for the tests of networks, steps and rules."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from hypothesis import settings

from gan_jax import losses
from gan_jax.layers import Conv, ConvTranspose, Dropout
from gan_jax.models.mlp import MLPDiscriminator, MLPGenerator
from gan_jax.networks import from_linen
from gan_jax.penalties import PENALTIES
from gan_jax.types import GAN, AdversarialLoss, Network, Penalty

BATCH = 4
LATENT_DIM = 2
POINTS = (BATCH, 2)
IMAGES = (BATCH, 4, 4, 1)


def quick_jit(function: Callable, **options) -> Callable:
    """Compile without optimisation: half the compile time, and tests run no long loops."""
    return jax.jit(function, compiler_options={"xla_backend_optimization_level": 0}, **options)


def one_in(divisor: int) -> settings:
    """Draw one in so many of the profile's examples, for laws whose examples are slow."""
    return settings(max_examples=max(1, settings.default.max_examples // divisor))


# Networks of every kind: with and without statistics, dropout, coupling


class BatchNormGenerator(nn.Module):
    """Dense, ReLU, batch norm, leaky ReLU, dense: the article's generator in small."""

    features: int = 2
    hidden: int = 5
    couples_batch = True

    @nn.compact
    def __call__(self, latents, *, train):
        x = nn.relu(nn.Dense(self.hidden, name="project")(latents))
        x = nn.BatchNorm(not train, momentum=0.9, epsilon=1e-3, name="norm")(x)
        return nn.Dense(self.features, name="output")(nn.leaky_relu(x, 0.2))


class BatchNormDiscriminator(nn.Module):
    """A discriminator with batch norm and dropout: everything that a step must keep apart."""

    hidden: int = 5
    rate: float = 0.25
    couples_batch = True

    @nn.compact
    def __call__(self, images, *, train):
        x = nn.Dense(self.hidden, name="dense")(images.reshape(images.shape[0], -1))
        x = nn.BatchNorm(not train, momentum=0.9, name="norm")(x)
        x = Dropout(self.rate, name="dropout")(nn.leaky_relu(x, 0.2), train=train)
        return nn.Dense(1, name="logit")(x)[:, 0]


class DropoutDiscriminator(nn.Module):
    """A discriminator with dropout, which does not couple its batch. `shift` is added to the logits."""

    hidden: int = 6
    rate: float = 0.3

    @nn.compact
    def __call__(self, images, *, train):
        x = nn.Dense(self.hidden, name="dense")(images.reshape(images.shape[0], -1))
        x = Dropout(self.rate, name="dropout")(nn.leaky_relu(x, 0.2), train=train)
        return nn.Dense(1, name="logit")(x)[:, 0]


class SpectralDiscriminator(nn.Module):
    """A discriminator with model state that does not couple its batch."""

    hidden: int = 5

    @nn.compact
    def __call__(self, images, *, train):
        x = nn.Dense(self.hidden, name="dense")
        x = nn.SpectralNorm(x, name="norm")(images.reshape(images.shape[0], -1), update_stats=train)
        return nn.Dense(1, name="logit")(nn.leaky_relu(x, 0.2))[:, 0]


class EmbeddingGenerator(nn.Module):
    """Latents and classes to points: an embedding of the class is added to the hidden layer, before a batch norm."""

    classes: int = 3
    hidden: int = 5
    couples_batch = True

    @nn.compact
    def __call__(self, latents, labels, *, train):
        x = nn.Dense(self.hidden, name="project")(latents)
        x = x + nn.Embed(self.classes, self.hidden, name="embed")(labels)
        x = nn.BatchNorm(not train, momentum=0.9, epsilon=1e-3, name="norm")(x)
        return nn.Dense(2, name="output")(nn.leaky_relu(x, 0.2))


class ProjectionDiscriminator(nn.Module):
    """Points and classes to logits: features projected on an embedding of the class (Miyato and Koyama 2018)."""

    classes: int = 3
    hidden: int = 5
    rate: float = 0.25

    @nn.compact
    def __call__(self, images, labels, *, train):
        x = nn.Dense(self.hidden, name="dense")(images.reshape(images.shape[0], -1))
        x = Dropout(self.rate, name="dropout")(nn.leaky_relu(x, 0.2), train=train)
        direction = nn.Embed(self.classes, self.hidden, name="embed")(labels)
        return nn.Dense(1, name="logit")(x)[:, 0] + jnp.sum(direction * x, axis=1)


class ConvGenerator(nn.Module):
    """Latents to images [B, 4, 4, 1]."""

    @nn.compact
    def __call__(self, latents, *, train):
        del train
        x = nn.Dense(8, name="project")(latents).reshape(-1, 2, 2, 2)
        return jnp.tanh(ConvTranspose(1, (4, 4), (2, 2), name="up")(x))


class ConvDiscriminator(nn.Module):
    """Images [B, H, W, C] to logits, with dropout."""

    @nn.compact
    def __call__(self, images, *, train):
        x = nn.leaky_relu(Conv(3, (3, 3), (2, 2), name="down")(images), 0.2)
        x = Dropout(0.25, name="dropout")(x, train=train)
        return nn.Dense(1, name="logit")(x.reshape(images.shape[0], -1))[:, 0]


def stateless(init_params: Callable, forward: Callable) -> Network:
    """Make a network without Flax, dropout and statistics, from `key, x -> params` and `params, x -> y`.

    Of a network with labels, `forward` takes them third.
    """

    def init(key, x, labels=None):
        del labels
        return init_params(key, x), {}

    def apply(params, model_state, x, labels=None, *, train, key=None):
        del train, key
        inputs = (x,) if labels is None else (x, labels)
        return forward(params, *inputs), model_state

    return Network(init, apply)


def linear_discriminator(weights: Any = 0.0) -> Network:
    """Logit = w . x, starting at given weights: its gradient by w is the images it has seen."""

    def start(key, x):
        del key
        flat = x.reshape(x.shape[0], -1)
        return jnp.broadcast_to(jnp.asarray(weights, jnp.float32), flat.shape[1:])

    return stateless(start, lambda w, x: jnp.sum(x.reshape(x.shape[0], -1) * w[None], axis=1))


def scaling_generator(features: int = LATENT_DIM) -> Network:
    """Image = theta * latents, starting at ones: its gradient by theta shows the latents it has seen."""
    return stateless(lambda key, z: jnp.ones((features,)), lambda theta, z: theta[None] * z)


def painting_generator(paintings: Any) -> Network:
    """Image i = theta[i] whatever the latents: what it makes is known, its gradient is that by the images."""
    return stateless(lambda key, z: jnp.asarray(paintings, jnp.float32), lambda theta, z: theta)


def painting_generator_by_class(paintings: Any) -> Network:
    """Image = theta[label] whatever the latents: what it makes tells the label that it was given."""
    return stateless(
        lambda key, z: jnp.asarray(paintings, jnp.float32), lambda theta, z, labels: theta[labels]
    )


def linear_discriminator_by_class(weights: Any) -> Network:
    """Logit = w[label] . x: row k of its gradient by w is the images that it has seen as class k."""
    return stateless(
        lambda key, x: jnp.asarray(weights, jnp.float32),
        lambda w, x, labels: jnp.sum(x * w[labels], axis=1),
    )


# Probes


class Call(NamedTuple):
    """One call of a network: how many samples, in which mode, with or without a key and labels."""

    samples: int
    train: bool
    keyed: bool
    labelled: bool = False


def spied(network: Network, calls: list[Call]) -> Network:
    """Note every call while it is traced."""

    def apply(params, model_state, x, labels=None, *, train, key=None):
        calls.append(Call(x.shape[0], train, key is not None, labels is not None))
        return network.apply(params, model_state, x, labels, train=train, key=key)

    return network._replace(apply=apply)


def pinned(network: Network, *, x: Any = None, key: Any = None) -> Network:
    """Give a network the same input, or the same dropout, in every call, whatever it is called with."""

    def apply(params, model_state, given, labels=None, *, train, key=None):
        chosen = given if x is None else x
        rng = key if pinned_key is None else jax.random.clone(pinned_key)
        return network.apply(params, model_state, chosen, labels, train=train, key=rng)

    pinned_key = key
    return network._replace(apply=apply)


def noisy(network: Network) -> Network:
    """Use up the key of every call, so that JAX sees a key used twice; Flax only folds numbers into its keys."""

    def apply(params, model_state, x, labels=None, *, train, key=None):
        y, model_state = network.apply(params, model_state, x, labels, train=train)
        return y if key is None else y + jax.random.normal(key, y.shape), model_state

    return network._replace(apply=apply)


class Recording(NamedTuple):
    """The optimizer's own state, the number of gradients seen, and the gradients."""

    inner: Any
    count: jax.Array
    history: Any


def recording(inner: optax.GradientTransformation, num: int) -> optax.GradientTransformation:
    """Keep the first `num` gradients in the optimizer's state: [num, ...] for each weight."""

    def init(params):
        history = jax.tree.map(lambda p: jnp.zeros((num, *p.shape), p.dtype), params)
        return Recording(inner.init(params), jnp.zeros((), jnp.int32), history)

    def update(grads, state, params=None):
        history = jax.tree.map(lambda h, g: h.at[state.count].set(g), state.history, grads)
        updates, inner_state = inner.update(grads, state.inner, params)
        return updates, Recording(inner_state, state.count + 1, history)

    return optax.GradientTransformation(init, update)


# Games


def game(
    generator: Network | None = None,
    discriminator: Network | None = None,
    loss: AdversarialLoss | None = None,
    *,
    g_tx: optax.GradientTransformation | None = None,
    d_tx: optax.GradientTransformation | None = None,
    **options: Any,
) -> GAN:
    """Build a game of points in the plane; by default dense players, Adam and the non-saturating loss."""
    return GAN(
        generator=generator or from_linen(MLPGenerator((2,), (4,))),
        discriminator=discriminator or from_linen(MLPDiscriminator((4,))),
        g_tx=g_tx or optax.adam(1e-2, b1=0.5),
        d_tx=d_tx or optax.adam(1e-2, b1=0.5),
        loss=loss or losses.non_saturating(),
        latent_dim=LATENT_DIM,
        **options,
    )


def paying(**weights: Any) -> tuple[Penalty, ...]:
    """Give penalties by the names of their weights, `r1_gamma=1.0`; None leaves one out."""
    return tuple(
        Penalty(PENALTIES[name], weight) for name, weight in weights.items() if weight is not None
    )


def conditional_game(**options: Any) -> GAN:
    """A game of labelled points: an embedding in G, a projection in D."""
    options = {"ema_half_life_images": 20.0} | options
    return game(from_linen(EmbeddingGenerator()), from_linen(ProjectionDiscriminator()), **options)


def busy_game(**options: Any) -> GAN:
    """A game with everything that could leak: batch norm on both sides, dropout, momenta, a moving average."""
    options = {"ema_half_life_images": 20.0} | options
    return game(from_linen(BatchNormGenerator()), from_linen(BatchNormDiscriminator()), **options)


# Comparisons


def normal(seed: int, *shape: int) -> np.ndarray:
    """float32 normal numbers."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def drawn_variables(network: Network, *inputs: Any, seed: int = 0) -> tuple[Any, Any]:
    """Draw weights and state with NumPy, which costs no compilation: normal, and uniform in [0.5, 1.5)."""
    rng = np.random.default_rng(seed)
    params, model_state = jax.eval_shape(network.init, jax.random.key(0), *inputs)
    return (
        jax.tree.map(lambda p: np.float32(0.4 * rng.normal(size=p.shape)), params),
        jax.tree.map(lambda s: np.float32(rng.uniform(0.5, 1.5, s.shape)), model_state),
    )


def bits(tree: Any) -> list[bytes]:
    """The leaves' bytes, for comparison bit for bit."""
    return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(tree)]


def assert_close(actual: Any, desired: Any, rtol: float = 1e-5, atol: float = 1e-6) -> None:
    """Compare two pytrees of arrays leaf by leaf."""
    assert jax.tree.structure(actual) == jax.tree.structure(desired)
    for (path, a), b in zip(
        jax.tree_util.tree_leaves_with_path(actual), jax.tree.leaves(desired), strict=True
    ):
        name = jax.tree_util.keystr(path)
        np.testing.assert_allclose(
            np.asarray(a, np.float64), np.asarray(b, np.float64), rtol, atol, err_msg=name
        )


def shapes_of(tree: Any) -> Any:
    """Shape and type of each leaf, and the structure."""
    return jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), tree)


# Convolutions from their definition, pixel by pixel in float64


def _taps(size, kernel, strides):
    """Yield (output pixel, tap, input pixel) of a "SAME" convolution: the missing pixels lie half on each
    side, the odd one at the high side.
    """
    outputs = [-(-n // s) for n, s in zip(size, strides, strict=True)]
    before = [
        max((o - 1) * s + k - n, 0) // 2
        for n, k, s, o in zip(size, kernel, strides, outputs, strict=True)
    ]
    for output in np.ndindex(*outputs):
        for tap in np.ndindex(*kernel):
            pixel = tuple(np.multiply(output, strides) + tap - before)
            if all(0 <= p < n for p, n in zip(pixel, size, strict=True)):
                yield output, tap, pixel


def convolve64(x, k, strides):
    """Convolve x [B, H, W, I] with k [KH, KW, I, O]."""
    x, k = np.float64(x), np.float64(k)
    outputs = [-(-n // s) for n, s in zip(x.shape[1:3], strides, strict=True)]
    y = np.zeros((x.shape[0], *outputs, k.shape[3]))
    for (i, j), tap, (row, column) in _taps(x.shape[1:3], k.shape[:2], strides):
        y[:, i, j] += x[:, row, column] @ k[tap]
    return y


def adjoint64(y, k, strides, size):
    """Spread y through k to [B, *size, I]."""
    y, k = np.float64(y), np.float64(k)
    x = np.zeros((y.shape[0], *size, k.shape[2]))
    for (i, j), tap, (row, column) in _taps(size, k.shape[:2], strides):
        x[:, row, column] += y[:, i, j] @ k[tap].T
    return x


def kernel64(x, y, kernel, strides):
    """Correlate x with y to a kernel [*kernel, I, O]."""
    x, y = np.float64(x), np.float64(y)
    k = np.zeros((*kernel, x.shape[3], y.shape[3]))
    for (i, j), tap, (row, column) in _taps(x.shape[1:3], kernel, strides):
        k[tap] += x[:, row, column].T @ y[:, i, j]
    return k
