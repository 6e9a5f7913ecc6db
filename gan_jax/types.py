"""The vocabulary: role-named aliases, function protocols, and five NamedTuples.

Two kinds of bundle, never mixed. *Bundles of functions* (`Network`, `AdversarialLoss`, `GAN`) are static
and bound once with `functools.partial`. *Bundles of arrays* (`NetworkState`, `GANState`) are pytrees that
flow through `jit`, `scan` and `vmap`; a checkpoint is exactly a `GANState`.
"""

from typing import Any, NamedTuple, Protocol

import jax
import optax

Array = jax.Array
Key = jax.Array  # a typed PRNG key, as from jax.random.key
Images = jax.Array  # [B, H, W, C] in [-1, 1]; points of the 2-D sets are [B, 2]
Latents = jax.Array  # [B, latent_dim]
Logits = jax.Array  # [B], real numbers before the sigmoid
Scalar = jax.Array | float  # f32[]: a Python number or a traced scalar
Params = Any  # pytree of weights
ModelState = (
    Any  # pytree of what is not trained by gradient (batch statistics, spectral norm); {} if none
)
Metrics = dict[str, jax.Array]  # name -> f32[]; under scan, f32[num_steps]


class InitFn(Protocol):
    """Draw a network's weights for inputs of the shape of `x`."""

    def __call__(self, key: Key, x: Array) -> tuple[Params, ModelState]: ...


class ApplyFn(Protocol):
    """Run a network; `train` selects batch statistics and dropout, `key` feeds the dropout."""

    def __call__(
        self,
        params: Params,
        model_state: ModelState,
        x: Array,
        *,
        train: bool,
        key: Key | None = None,
    ) -> tuple[Array, ModelState]: ...


class LogitFn(Protocol):
    """A discriminator with everything but the images bound: [B, ...] -> [B]."""

    def __call__(self, images: Images) -> Logits: ...


class DiscriminatorLossFn(Protocol):
    """What D minimises, from its logits on real and on generated images: f32[]."""

    def __call__(self, real_logits: Logits, fake_logits: Logits) -> Array: ...


class GeneratorLossFn(Protocol):
    """What G minimises. `real_logits` is None unless the loss says `needs_real`."""

    def __call__(self, real_logits: Logits | None, fake_logits: Logits) -> Array: ...


class SampleBatch(Protocol):
    """Draw the real images of one step: a pure function of its key and the step."""

    def __call__(self, key: Key, step: Array) -> Images: ...


class Network(NamedTuple):
    """A network as two pure functions.

    Attributes:
      init: `(key, x) -> (params, model_state)`.
      apply: `(params, model_state, x, *, train, key=None) -> (y, new_model_state)`.
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


class GAN(NamedTuple):
    """A whole game: functions and numbers, no arrays that change.

    Weights of penalties are None (absent), a number, or a traced scalar, so that a sweep over them is a
    `vmap`. They are never tested for truth.

    Attributes:
      generator: maps latents [B, latent_dim] to images [B, H, W, C] in [-1, 1] (or points [B, 2]).
      discriminator: maps images to logits [B].
      g_tx: the generator's optimizer.
      d_tx: the discriminator's optimizer.
      loss: what the two minimise.
      latent_dim: number of latent variables.
      r1_gamma: weight of gamma/2 * |grad D(real)|^2.
      r2_gamma: weight of gamma/2 * |grad D(fake)|^2.
      gp_weight: weight of (|grad D(mix)| - 1)^2 on mixtures of real and fake (WGAN-GP).
      dragan_weight: weight of (|grad D(noisy real)| - 1)^2 (DRAGAN).
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
    r1_gamma: Scalar | None = None
    r2_gamma: Scalar | None = None
    gp_weight: Scalar | None = None
    dragan_weight: Scalar | None = None
    ema_half_life_images: Scalar | None = None
    n_dis: int = 1


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
