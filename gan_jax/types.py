"""The vocabulary: role-named aliases, function protocols, and nine NamedTuples.

Two kinds of bundle, never mixed. *Bundles of functions* (`Network`, `AdversarialLoss`, `Penalty`, `GAN`, `Rule`) are
static and bound once with `functools.partial`. *Bundles of arrays* (`Batch`, `Players`, `NetworkState`,
`GANState`) are pytrees that flow through `jit`, `scan` and `vmap`; a checkpoint is exactly a `GANState`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax
import optax

from gan_jax import compiler

compiler.warn_if_faulty()  # every room that computes imports this one

Array = jax.Array
Key = jax.Array  # a typed PRNG key, as from jax.random.key
Images = jax.Array  # [B, H, W, C] in [-1, 1]; points of the 2-D sets are [B, 2]
Latents = jax.Array  # [B, latent_dim]
Labels = jax.Array  # i32[B], classes counted from 0
Logits = jax.Array  # [B], real numbers before the sigmoid
Scalar = jax.Array | float  # f32[]: a Python number or a traced scalar
Params = Any  # pytree of weights
ModelState = (
    Any  # pytree of what is not trained by gradient (batch statistics, spectral norm); {} if none
)
Metrics = dict[str, jax.Array]  # name -> f32[]; under scan, f32[num_steps]


class InitFn(Protocol):
    """Draw a network's weights for inputs of the shape of `x`, and labels if it takes any."""

    def __call__(
        self, key: Key, x: Array, labels: Labels | None = None
    ) -> tuple[Params, ModelState]: ...


class ApplyFn(Protocol):
    """Run a network; `train` selects batch statistics and dropout, `key` feeds the dropout."""

    def __call__(
        self,
        params: Params,
        model_state: ModelState,
        x: Array,
        labels: Labels | None = None,
        *,
        train: bool,
        key: Key | None = None,
    ) -> tuple[Array, ModelState]: ...


class LogitFn(Protocol):
    """A discriminator with everything but the images bound, labels too: [B, ...] -> [B]."""

    def __call__(self, images: Images) -> Logits: ...


class DiscriminatorLossFn(Protocol):
    """What D minimises, from its logits on real and on generated images: f32[]."""

    def __call__(self, real_logits: Logits, fake_logits: Logits) -> Array: ...


class GeneratorLossFn(Protocol):
    """What G minimises. `real_logits` is None unless the loss says `needs_real`."""

    def __call__(self, real_logits: Logits | None, fake_logits: Logits) -> Array: ...


class PenaltyFn(Protocol):
    """How far D is from what is asked of it, per sample: [B].

    `real` and `fake` are [B, ...] each and wear the labels that `logit_fn` has bound; `key` draws points between them.
    """

    def __call__(self, logit_fn: LogitFn, real: Images, fake: Images, *, key: Key) -> Array: ...


class Augment(Protocol):
    """Change images [B, ...] at random, each for itself and differentiably, before D sees them."""

    def __call__(self, key: Key, images: Images) -> Images: ...


class Batch(NamedTuple):
    """Samples with their classes: what a step is given, and the data set on the device.

    Attributes:
      images: [B, H, W, C] in [-1, 1], or points [B, D]; a data set's own type on the device (uint8).
      labels: i32[B], or None where nobody asks for classes: the compiled program is then that of unlabelled images.
    """

    images: Array
    labels: Labels | None = None


class DrawReal(Protocol):
    """Draw `num` real samples from the data set on the device: a pure function of its key."""

    def __call__(self, key: Key, data: Batch, num: int) -> Batch: ...


class SampleBatch(Protocol):
    """Draw the real samples of one step: a pure function of its key and the step."""

    def __call__(self, key: Key, step: Array) -> Batch: ...


class Network(NamedTuple):
    """A network as two pure functions.

    Attributes:
      init: `(key, x, labels=None) -> (params, model_state)`.
      apply: `(params, model_state, x, labels=None, *, train, key=None) -> (y, new_model_state)`.
      couples_batch: True if one sample's output depends on the other samples of its batch (batch norm,
        minibatch statistics). Such a discriminator sees real and generated images in separate passes and is
        refused by the one-stage update.
    """

    init: InitFn
    apply: ApplyFn
    couples_batch: bool = False


class AdversarialLoss(NamedTuple):
    """The two players' losses.

    Attributes:
      discriminator: `(real_logits, fake_logits) -> f32[]`.
      generator: `(real_logits, fake_logits) -> f32[]`; `real_logits` is None unless `needs_real`.
      needs_real: True if the generator's loss looks at real images too (relativistic losses). Otherwise that
        forward pass is not paid.
    """

    discriminator: DiscriminatorLossFn
    generator: GeneratorLossFn
    needs_real: bool = False


class Penalty(NamedTuple):
    """A term of D's objective: a weight times the mean of a function over the batch.

    Attributes:
      function: `(logit_fn, real, fake, *, key) -> [B]`; penalties.PENALTIES has those of the literature.
      weight: a number or a traced scalar, so that a sweep over it is a `vmap`. It is never tested for truth.
    """

    function: PenaltyFn
    weight: Scalar


class GAN(NamedTuple):
    """A whole game: functions and numbers, no arrays that change.

    Attributes:
      generator: maps latents [B, latent_dim] to images [B, H, W, C] in [-1, 1] (or points [B, 2]).
      discriminator: maps images to logits [B].
      g_tx: the generator's optimizer.
      d_tx: the discriminator's optimizer.
      loss: what the two minimise.
      latent_dim: number of latent variables.
      penalties: what D pays besides its loss; each has a key of its own.
      augment: `(key, images) -> images` between images and D in each of its passes; penalties differentiate by the
        images before it. None: D sees the images as they are.
      ema_half_life_images: number of real images after which the moving average of G's weights has forgotten
        half of what it was; None keeps the weights themselves.
      n_dis: discriminator steps per generator step (the k of Algorithm 1, Goodfellow et al. 2014).
    """

    generator: Network
    discriminator: Network
    g_tx: optax.GradientTransformation
    d_tx: optax.GradientTransformation
    loss: AdversarialLoss
    latent_dim: int
    penalties: tuple[Penalty, ...] = ()
    augment: Augment | None = None
    ema_half_life_images: Scalar | None = None
    n_dis: int = 1


class Players(NamedTuple):
    """The same of each player: its weights, its gradient, a direction in which it moves."""

    generator: Params
    discriminator: Params


class NetworkState(NamedTuple):
    """One player: its weights, its statistics, its optimizer's state."""

    params: Params
    model_state: ModelState
    opt_state: optax.OptState


class GANState(NamedTuple):
    """Everything that changes during training, and nothing else.

    There is no random key here: a step's key is `fold_in(root_key, state.step)`, so a resumed run replays
    the same stream.
    """

    step: Array  # i32[], generator steps taken
    generator: NetworkState
    discriminator: NetworkState
    ema_params: Params  # moving average of the generator's weights


def _as_it_is(gan: GAN) -> GAN:
    return gan


class Rule(NamedTuple):
    """A way in which the two players take turns.

    Attributes:
      step: `(gan, state, batch, *, key) -> (state, metrics)`; advances `state.step` by one.
      batches: `gan -> int`, how many batches of real samples one such step takes, one after another in `batch`.
      equip: `gan -> gan`, the game with optimizers whose states also keep what the rule remembers from step to step;
        to be played, and drawn by `init_state`, so equipped. Of a rule that remembers nothing, the same game.
      updates: how often a step updates an optimizer's state beyond the turns that `n_dis` counts: a schedule that
        counts updates runs so much faster than the steps.
    """

    step: Callable[..., tuple[GANState, Metrics]]
    batches: Callable[[GAN], int]
    equip: Callable[[GAN], GAN] = _as_it_is
    updates: int = 1
