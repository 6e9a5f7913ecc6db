"""Train the classifier whose features measure generators; experiments.train_features is its program."""

import time
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.scipy.ndimage import map_coordinates

from gan_jax.data import Dataset
from gan_jax.models.classifier import classifier_of, fold_batch_norm, split_outputs
from gan_jax.networks import from_linen
from gan_jax.sampling import to_signed
from gan_jax.types import Params


class Recipe(NamedTuple):
    """How a data set is varied in training: each range is symmetric and drawn uniformly for each image.

    Attributes:
      rotation: greatest angle, degrees.
      zoom: greatest change of size, as a share.
      shift: greatest shift along each axis, pixels.
      mirror: whether half of the images are mirrored left to right.
      dropout: share of the features that the last layer does not see.
      edge: what comes in from outside: "constant" is black, "nearest" repeats the pixels of the edge.
    """

    rotation: float
    zoom: float
    shift: float
    mirror: bool
    dropout: float
    edge: str = "constant"


RECIPES = {
    "mnist": Recipe(rotation=12.0, zoom=0.12, shift=2.0, mirror=False, dropout=0.2),
    "fashion_mnist": Recipe(rotation=4.0, zoom=0.08, shift=1.0, mirror=True, dropout=0.1),
}
BATCH_SIZE = 125  # divides 60,000 and 55,000
SMALL, SMALL_BATCH = (
    20_000,
    32,
)  # images below which batches are small, so that there are steps enough
PEAK_LEARNING_RATE = 4e-3
WEIGHT_DECAY = 0.02


def recipe_of_pictures(shape: tuple[int, int, int], *, mirror: bool) -> Recipe:
    """Give a recipe that changes little, for pictures (H, W, C) of which nothing is known."""
    shift = max(shape[:2]) / 16
    return Recipe(6.0, 0.1, shift, mirror=mirror, dropout=0.2, edge="nearest")


def fit(dataset: Dataset, recipe: Recipe, *, num_epochs: int, seed: int) -> Params:
    """Train a `Classifier` of the images' shape on a labelled `Dataset`, with a line for each epoch.

    Returns:
      Its folded float32 weights.
    """
    shape = dataset.images.shape[1:]
    own = {"num_classes": dataset.num_classes, "dropout": recipe.dropout, "batch_norm": True}
    network = from_linen(classifier_of(shape, **own))
    num = len(dataset.images)
    batch_size = BATCH_SIZE if num >= SMALL else min(SMALL_BATCH, max(8, num // 20), num)
    num_steps = num // batch_size
    schedule = optax.cosine_onecycle_schedule(
        num_steps * num_epochs, PEAK_LEARNING_RATE * (batch_size / BATCH_SIZE) ** 0.5, pct_start=0.2
    )
    tx = optax.adamw(schedule, weight_decay=WEIGHT_DECAY)
    init_key, train_key = jax.random.split(jax.random.key(seed))
    params, model_state = jax.jit(network.init)(init_key, jnp.zeros((2, *shape)))
    state = (params, model_state, tx.init(params))
    print(f"{sum(leaf.size for leaf in jax.tree.leaves(params)):,} parameters in training")
    epoch = make_epoch(network, tx, recipe, num_steps, batch_size, dataset.num_classes)
    images, labels = jnp.asarray(dataset.images), jnp.asarray(dataset.labels)
    for number in range(num_epochs):
        started = time.monotonic()
        state, loss, accuracy = epoch(state, images, labels, jax.random.fold_in(train_key, number))
        print(
            f"epoch {number + 1:2d} of {num_epochs}: loss {float(loss):.4f}, training accuracy "
            f"{float(accuracy):.2%}, {time.monotonic() - started:.0f} s",
            flush=True,
        )
    return jax.jit(fold_batch_norm)(*state[:2])


def make_epoch(network, tx, recipe: Recipe, num_steps: int, batch_size: int, num_classes: int):
    """Compile one pass: `(state, images, labels, key) -> (state, mean loss, accuracy)` on varied images."""

    def step(state, batch):
        params, model_state, opt_state = state
        images, labels, key = batch
        augment_key, dropout_key = jax.random.split(key)
        images = augment(recipe, augment_key, images)

        def objective(params):
            outputs, new_model_state = network.apply(
                params, model_state, images, train=True, key=dropout_key
            )
            _, logits = split_outputs(outputs, num_classes)
            losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
            return jnp.mean(losses), (new_model_state, jnp.mean(jnp.argmax(logits, -1) == labels))

        (loss, (model_state, hits)), grads = jax.value_and_grad(objective, has_aux=True)(params)
        updates, opt_state = tx.update(grads, opt_state, params)
        return (optax.apply_updates(params, updates), model_state, opt_state), (loss, hits)

    def epoch(state, images, labels, key):
        order_key, step_key = jax.random.split(key)
        order = jax.random.permutation(order_key, len(images))[: num_steps * batch_size]

        def body(state, inputs):
            chosen, number = inputs
            batch = (images[chosen], labels[chosen], jax.random.fold_in(step_key, number))
            return step(state, batch)

        inputs = (order.reshape(num_steps, batch_size), jnp.arange(num_steps))
        state, (losses, hits) = jax.lax.scan(body, state, inputs)
        return state, jnp.mean(losses), jnp.mean(hits)

    return jax.jit(epoch, donate_argnums=0)


def augment(recipe: Recipe, key, images):
    """Rotate, zoom, shift and mirror uint8 images [B, H, W, C] at random; return them in [-1, 1]."""
    height, width = images.shape[1:3]
    middle_row, middle_column = (height - 1) / 2, (width - 1) / 2

    def one(image, draws):
        angle, zoom, down, right, side = draws
        angle, zoom = jnp.deg2rad(recipe.rotation * angle), 1.0 + recipe.zoom * zoom
        mirror = jnp.where(side < 0, -1.0, 1.0) if recipe.mirror else 1.0
        rows, columns = jnp.mgrid[
            :height, :width
        ]  # of the new image; the old one is read elsewhere
        y, x = rows - middle_row, columns - middle_column
        rows = zoom * (jnp.cos(angle) * y - jnp.sin(angle) * x) + middle_row + recipe.shift * down
        columns = zoom * (jnp.sin(angle) * y + jnp.cos(angle) * x) * mirror + middle_column
        columns = columns + recipe.shift * right
        read = partial(map_coordinates, order=1, mode=recipe.edge, cval=-1.0)
        return jax.vmap(lambda channel: read(channel, [rows, columns]), 2, 2)(image)

    draws = jax.random.uniform(key, (len(images), 5), minval=-1.0)
    return jax.vmap(one)(to_signed(images), draws)
