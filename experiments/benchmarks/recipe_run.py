"""One training of a search for recipes, on the same compiled steps as every run."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.command import game
from experiments.command.config import Config
from experiments.command.experiment import run_keys
from experiments.command.program import UserError
from experiments.measuring.measure import frozen_network
from gan_jax import data
from gan_jax.evaluation.features import FeatureNetwork, embed
from gan_jax.evaluation.features_of_images import as_pixels
from gan_jax.evaluation.frechet import feature_statistics, gaussian_frechet_distance
from gan_jax.sampling import sample, sample_latents, sample_real
from gan_jax.steps import init_state, make_chunk
from gan_jax.types import Batch, GANState

HELD_BACK = 5_000  # training images that no recipe sees
SURE = 0.9  # of one class
AT_ONCE = 1_000  # samples generated in one call


class Images(NamedTuple):
    """Images uint8 that a recipe learns from, and the statistics of those that it does not see."""

    learnt: np.ndarray
    unseen: tuple[np.ndarray, np.ndarray]
    network: FeatureNetwork


def images_of(config: Config) -> Images:
    """Load the training images and hold some back.

    Raises:
      UserError: there are too few.
    """
    train = data.load(config.dataset, split="train", data_dir=config.data_dir)
    if len(train.images) < 2 * HELD_BACK:
        raise UserError(f"--dataset={config.dataset} has too few images to hold back any")
    network = frozen_network(train.name)
    learnt, held_back = hold_back(train.images, HELD_BACK)
    return Images(learnt, feature_statistics(embed(network, held_back)[0]), network)


def hold_back(images: np.ndarray, num: int) -> tuple[np.ndarray, np.ndarray]:
    """Part images [N, ...] into those a recipe learns from and `num` that it does not see, alike in every run.

    Returns:
      Two arrays: [N - num, ...] and [num, ...].
    """
    order = np.random.default_rng(12345).permutation(len(images))
    return images[order[num:]], images[order[:num]]


def seconds_a_step(config: Config, images: np.ndarray, steps: int, chunks: int) -> float:
    """Time a step by the processor: the fastest of some chunks, after one that compiles."""
    advance, state = _start(config, images, steps)
    state, _ = advance(state)
    seconds = []
    for _ in range(chunks):
        started = time.process_time()
        state, _ = advance(state)
        seconds.append(time.process_time() - started)
    return min(seconds) / steps


def train_and_measure(
    config: Config, images: Images, steps: int, watched: tuple[float, ...], num_samples: int
) -> dict[str, Any]:
    """Train to the end, with the distance to unseen images on the way.

    Returns:
      Seconds of the processor, the distance at each of the watched shares of the training, the share of samples that
      the network is unsure of, and what D says at the end: plain numbers.
    """
    advance, state = _start(config, images.learnt, steps)
    num_chunks = config.num_steps // steps
    ends = {max(1, round(share * num_chunks)): share for share in watched}
    seconds, found, metrics = 0.0, {}, {}
    generate = _generator(config, images.learnt.shape[1:], num_samples)
    for number in range(1, num_chunks + 1):
        started = time.process_time()
        state, metrics = advance(state)
        seconds += time.process_time() - started
        if number in ends:
            distance, unsure = _measure(images, generate(state))
            found[f"distance_{100 * ends[number]:.0f}"] = round(distance, 4)
            found["unsure"] = round(unsure, 4)
    ending = {name: round(float(metrics[name].mean()), 4) for name in ("d_loss", "d_accuracy")}
    return {"seconds": round(seconds, 1), **found, **ending}


def _start(config: Config, images: np.ndarray, steps: int):
    rule = game.let_penalties_fall(config, game.choose_rule(config))
    gan = rule.equip(game.build_gan(config, images.shape[1:]))
    game.refuse_falling_nothing(config, gan)
    keys, real = run_keys(config.seed), Batch(jnp.asarray(images))
    batch = Batch(jnp.zeros((config.batch_size, *images.shape[1:])))
    state = jax.jit(lambda key: init_state(gan, key, batch))(keys.init)
    chunk = make_chunk(gan, rule, sample_real, batch_size=config.batch_size, num_steps=steps)

    def advance(state: GANState):
        return jax.block_until_ready(chunk(state, real, keys.train))

    return advance, state


def _generator(config: Config, shape: tuple[int, ...], num: int) -> Callable[[GANState], Any]:
    gan = game.build_gan(config, shape)
    latents = sample_latents(run_keys(config.seed).samples, num, config.latent_dim)
    one_call = jax.jit(lambda state, latents: sample(gan, state, latents))

    def generate(state: GANState) -> np.ndarray:
        parts = [latents[i : i + AT_ONCE] for i in range(0, num, AT_ONCE)]
        return np.concatenate([as_pixels(np.asarray(one_call(state, part))) for part in parts])

    return generate


def _measure(images: Images, samples: np.ndarray) -> tuple[float, float]:
    features, probabilities = embed(images.network, samples)
    distance = gaussian_frechet_distance(*images.unseen, *feature_statistics(features))
    return float(distance), float(np.mean(probabilities.max(axis=1) < SURE))
