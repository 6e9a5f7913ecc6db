"""Draw samples of a run: as G makes them, from truncated latents, or chosen by D; and say what that cost."""

import itertools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.command.program import UserError
from experiments.record.restored import RestoredRun
from gan_jax import rejection
from gan_jax.sampling import sample, sample_latents, sample_truncated_latents
from gan_jax.types import Images, Key, Labels, Latents, Logits

BURN_IN = 10_000  # samples that set D's bar
PATIENCE = 1_000  # draws for a sample, on average, before D is told to be too picky
BATCH = 256


class Way(NamedTuple):
    """How samples are drawn.

    Attributes:
      truncation: greatest size of a latent's coordinate; None: they are normal.
      rejection: percentile of D's bar; None: all samples are taken.
    """

    truncation: float | None = None
    rejection: float | None = None

    def __str__(self) -> str:
        words = []
        if self.truncation is not None:
            words.append(f"latents truncated at {self.truncation:g}")
        if self.rejection is not None:
            words.append(f"chosen by D above its percentile {self.rejection:g}")
        return ", ".join(words) or "as G makes them"

    def latents(self, key: Key, num: int, dim: int) -> Latents:
        """Draw latents [num, dim]."""
        if self.truncation is None:
            return sample_latents(key, num, dim)
        return sample_truncated_latents(key, num, dim, self.truncation)


PLAIN = Way()


class Drawn(NamedTuple):
    """Samples [N, ...] and their price.

    Attributes:
      samples: [N, ...], as G gives them.
      draws: generated in all, after the burn-in; N where none were rejected.
      accepted: of those; more than N where the last batch had some to spare.
    """

    samples: np.ndarray
    draws: int
    accepted: int


def draw(
    run: RestoredRun,
    key: Key,
    num: int,
    way: Way = PLAIN,
    labels: Labels | None = None,
    *,
    ema: bool = True,
) -> Drawn:
    """Draw samples of a run; the same arguments, the same samples.

    Args:
      run: whose G, and D where it chooses.
      key: of all that is random.
      num: how many.
      way: how.
      labels: the classes of the samples of a labelled game, i32[num]; D chooses within each.
      ema: use the moving average of G's weights.

    Raises:
      UserError: D accepts hardly any sample, or its logits are not finite.
    """
    if way.rejection is None:
        latents = way.latents(key, num, run.config.latent_dim)
        return Drawn(run.generate(latents, labels, ema=ema), num, num)
    return _chosen_by_d(run, key, num, way, labels, ema)


def _chosen_by_d(
    run: RestoredRun, key: Key, num: int, way: Way, labels: Labels | None, ema: bool
) -> Drawn:
    one_batch = _judged(run, way, ema)
    burn_key, draw_key, coin_key = jax.random.split(key, 3)
    bar = _burn_in(one_batch, burn_key, way.rejection, labels, num)
    samples: np.ndarray | None = None
    left, draws, accepted = np.arange(num), 0, 0
    for turn in itertools.count():
        places = np.resize(left, BATCH)
        images, logits = one_batch(jax.random.fold_in(draw_key, turn), _at(labels, places))
        bar, taken = jax.device_get(_accept(jax.random.fold_in(coin_key, turn), logits, bar))
        samples = np.empty((num, *images.shape[1:]), images.dtype) if samples is None else samples
        # A place that several draws would fill takes the first of them.
        filled, first = np.unique(places[taken], return_index=True)
        samples[filled] = images[taken][first]
        left = np.setdiff1d(left, filled)
        draws, accepted = draws + BATCH, accepted + int(taken.sum())
        if not len(left):
            return Drawn(samples, draws, accepted)
        if draws > PATIENCE * max(num, BATCH):
            raise UserError(
                f"D has accepted {accepted:,} of {draws:,} samples: choose a lower percentile by --rejection_percentile"
            )
    raise AssertionError("unreachable")


@jax.jit
def _accept(key: Key, logits: Logits, bar: rejection.Bar) -> tuple[rejection.Bar, jax.Array]:
    bar = rejection.raise_bar(bar, logits)
    return bar, rejection.accept(key, logits, bar)


def _judged(
    run: RestoredRun, way: Way, ema: bool
) -> Callable[[Key, Labels | None], tuple[np.ndarray, Logits]]:
    """Make the function that draws a batch and asks D what it thinks of it."""

    @jax.jit
    def compiled(state, key: Key, labels: Labels | None) -> tuple[Images, Logits]:
        latents = way.latents(key, BATCH, run.gan.latent_dim)
        images = sample(run.gan, state, latents, labels, ema=ema)
        player = state.discriminator
        logits, _ = run.gan.discriminator.apply(
            player.params, player.model_state, images, labels, train=False
        )
        return images, logits

    def one_batch(key: Key, labels: Labels | None) -> tuple[np.ndarray, Logits]:
        images, logits = compiled(run.state, key, labels)
        return jax.device_get(images), logits

    return one_batch


def _burn_in(one_batch, key: Key, percentile: float | None, labels, num: int) -> rejection.Bar:
    found = []
    for turn in range(-(-BURN_IN // BATCH)):
        places = np.arange(turn * BATCH, (turn + 1) * BATCH) % num
        found.append(one_batch(jax.random.fold_in(key, turn), _at(labels, places))[1])
    logits = jnp.concatenate(found)
    if not np.isfinite(logits).all():
        raise UserError("D's logits are not finite: the run has diverged")
    return rejection.set_bar(logits, percentile)


def _at(labels: Labels | None, places: np.ndarray) -> Labels | None:
    return None if labels is None else jnp.asarray(labels)[places]
