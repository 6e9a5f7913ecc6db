"""How the judges of spoken digits are trained: what they learn from, and for how long; see `train_judges`."""

import time
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.measuring.spoken_digits import Recordings
from gan_jax import signals
from gan_jax.evaluation import control_sounds, judges
from gan_jax.models.classifier import fold_batch_norm
from gan_jax.networks import from_linen
from gan_jax.sampling import to_signed
from gan_jax.types import Params

BATCH_SIZE = 60
PEAK_LEARNING_RATE = 4e-3
WEIGHT_DECAY = 0.02
DROPOUT = 0.2
SHIFT = 8  # columns, at most, to either side
LEVEL = 0.1  # of the range from black to white, at most, louder or fainter
GAUSSIANS = (16, 64, 256)  # directions of those that draw pictures


class Examples(NamedTuple):
    """Pictures uint8 [N, 64, 64, 1] with the digit 0..10 and the speaker 0..6 of each, i32[N]; the last is "none"."""

    pictures: np.ndarray
    digits: np.ndarray
    speakers: np.ndarray


def gather(train: Recordings, rng: np.random.Generator) -> Examples:
    """Make the sounds to learn from of recordings."""
    waves = train.waves
    half, quarter, few = (waves[rng.permutation(len(waves))[: len(waves) // n]] for n in (2, 4, 6))
    none = [
        *(control_sounds.backwards(half), control_sounds.mixed(half, rng)),
        control_sounds.hissed(quarter, rng),
        control_sounds.white_noise(len(few), waves.shape[1], rng),
    ]
    for sounds in none:  # half of them goes there and back, too, or the way back would tell
        sounds[::2] = led_back(sounds[::2])
    drawn = [
        control_sounds.gaussian_pictures(pictures_of(waves), len(few), rng, components=components)
        for components in GAUSSIANS
    ]
    none.append(signals.to_waves(np.concatenate(drawn), judges.SOUND))
    pictures = np.concatenate([pictures_of(each) for each in (waves, led_back(waves), *none)])
    labels = (
        np.concatenate([each, each, np.full(sum(map(len, none)), num, np.int32)])
        for each, num in ((train.digits, judges.DIGITS), (train.speakers, len(judges.SPEAKERS)))
    )
    return Examples(pictures, *labels)


def led_back(waves: np.ndarray) -> np.ndarray:
    """Draw waves [N, T] as pictures and lead these back to waves."""
    return signals.to_waves(pictures_of(waves), judges.SOUND)


def pictures_of(waves: np.ndarray) -> np.ndarray:
    """Draw waves [N, T]."""
    return signals.to_pictures(waves, judges.SOUND)


def fit(examples: Examples, seed: int, num_epochs: int) -> Params:
    """Train; return the folded float32 weights."""
    network = from_linen(judges.network(dropout=DROPOUT, batch_norm=True))
    num_steps = len(examples.digits) // BATCH_SIZE
    schedule = optax.cosine_onecycle_schedule(
        num_steps * num_epochs, PEAK_LEARNING_RATE, pct_start=0.2
    )
    tx = optax.adamw(schedule, weight_decay=WEIGHT_DECAY)
    init_key, train_key = jax.random.split(jax.random.key(seed))
    params, model_state = jax.jit(network.init)(init_key, jnp.zeros((2, *judges.SOUND.shape)))
    state = (params, model_state, tx.init(params))
    print(f"{sum(leaf.size for leaf in jax.tree.leaves(params)):,} parameters in training")
    epoch = make_epoch(network, tx, num_steps)
    examples = jax.tree.map(jnp.asarray, examples)
    for number in range(num_epochs):
        started = time.monotonic()
        state, loss = epoch(state, examples, jax.random.fold_in(train_key, number))
        seconds = time.monotonic() - started
        print(f"epoch {number + 1:2d}: loss {float(loss):.4f}, {seconds:.0f} s", flush=True)
    return jax.jit(fold_batch_norm)(*state[:2])


def make_epoch(network, tx, num_steps: int):
    """Compile one pass: `(state, examples, key) -> (state, mean loss)` on varied pictures."""

    def step(state, batch):
        params, model_state, opt_state = state
        (pictures, digits, speakers), key = batch
        vary_key, dropout_key = jax.random.split(key)
        pictures = vary(vary_key, pictures)

        def objective(params):
            outputs, new_state = network.apply(
                params, model_state, pictures, train=True, key=dropout_key
            )
            _, digit_logits, speaker_logits = judges.split_outputs(outputs)
            losses = optax.softmax_cross_entropy_with_integer_labels(digit_logits, digits)
            losses += optax.softmax_cross_entropy_with_integer_labels(speaker_logits, speakers)
            return jnp.mean(losses), new_state

        (loss, model_state), grads = jax.value_and_grad(objective, has_aux=True)(params)
        updates, opt_state = tx.update(grads, opt_state, params)
        return (optax.apply_updates(params, updates), model_state, opt_state), loss

    def epoch(state, examples, key):
        order_key, step_key = jax.random.split(key)
        order = jax.random.permutation(order_key, len(examples.digits))[: num_steps * BATCH_SIZE]

        def body(state, inputs):
            chosen, number = inputs
            batch = jax.tree.map(lambda array: array[chosen], examples)
            return step(state, (batch, jax.random.fold_in(step_key, number)))

        inputs = (order.reshape(num_steps, BATCH_SIZE), jnp.arange(num_steps))
        state, losses = jax.lax.scan(body, state, inputs)
        return state, jnp.mean(losses)

    return jax.jit(epoch, donate_argnums=0)


def vary(key, pictures):
    """Shift uint8 pictures [B, 64, 64, 1] in time and level at random; black stays black. Return them in [-1, 1]."""
    shift_key, level_key = jax.random.split(key)
    shifts = jax.random.randint(shift_key, (len(pictures),), 0, 2 * SHIFT + 1)
    levels = jax.random.uniform(level_key, (len(pictures), 1, 1, 1), minval=-LEVEL, maxval=LEVEL)
    padded = jnp.pad(pictures, ((0, 0), (0, 0), (SHIFT, SHIFT), (0, 0)))
    width = pictures.shape[2]
    moved = jax.vmap(lambda p, s: jax.lax.dynamic_slice_in_dim(p, s, width, axis=1))(padded, shifts)
    signed = to_signed(moved)
    return jnp.where(moved > 0, jnp.clip(signed + 2 * levels, -1, 1), -1.0)
