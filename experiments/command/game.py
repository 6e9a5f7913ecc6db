"""From a `Config` to a `GAN`: where flags meet the library."""

import math

import jax
import jax.numpy as jnp
import optax

from experiments.command.config import CROSS_ENTROPIES, Config
from experiments.command.program import UserError
from gan_jax import losses, rules
from gan_jax.models.article import ArticleDiscriminator, ArticleGenerator
from gan_jax.models.dcgan import DCGANDiscriminator, DCGANGenerator
from gan_jax.models.mlp import MLPDiscriminator, MLPGenerator
from gan_jax.models.unrolled import UnrolledDiscriminator, UnrolledGenerator
from gan_jax.networks import from_linen
from gan_jax.steps import init_state
from gan_jax.types import GAN, AdversarialLoss

LOSSES = {
    "non_saturating": losses.non_saturating,
    "minimax": losses.minimax,
    "least_squares": losses.least_squares,
    "hinge": losses.hinge,
    "wasserstein": losses.wasserstein,
    "relativistic": losses.relativistic,
}

UPDATES = {
    "alternating": rules.alternating,
    "article": rules.article,
    "one_stage": rules.one_stage,
}


def build_gan(config: Config, sample_shape: tuple[int, ...]) -> GAN:
    """Assemble the game for samples of a shape: (H, W, C) for images, (D,) for points.

    Raises:
      UserError: the network cannot make samples of that shape.
    """
    try:
        generator, discriminator = _networks(config, sample_shape)
    except ValueError as error:
        raise UserError(f"--network={config.network}: {error}") from error
    return GAN(
        generator=from_linen(generator),
        discriminator=from_linen(discriminator),
        g_tx=_adam(config, config.g_lr, config.g_warmup_steps),
        d_tx=_adam(config, config.d_lr),
        loss=_loss(config),
        latent_dim=config.latent_dim,
        r1_gamma=config.r1_gamma,
        r2_gamma=config.r2_gamma,
        gp_weight=config.gp_weight,
        dragan_weight=config.dragan_weight,
        ema_half_life_images=config.ema_half_life_images,
        n_dis=config.n_dis,
    )


def _networks(config: Config, sample_shape: tuple[int, ...]):
    dtype = jnp.dtype(config.dtype)
    d_width = config.width if config.d_width is None else config.d_width
    if config.network == "mlp":
        hidden, d_hidden = ((max(1, round(128 * width)),) * 3 for width in (config.width, d_width))
        bounded = len(sample_shape) == 3
        start = {"dtype": dtype, "bias_std": config.bias_std}
        generator = MLPGenerator(sample_shape, hidden, bounded=bounded, **start)
        return generator, MLPDiscriminator(d_hidden, **start)
    if len(sample_shape) != 3:
        raise ValueError(f"needs images [H, W, C], got samples of shape {sample_shape}; try mlp")
    height, width, channels = sample_shape
    if config.network == "article":
        if (height, width) != (28, 28):
            raise ValueError(f"makes 28x28 images, got {height}x{width}; try dcgan or mlp")
        generator = ArticleGenerator(config.width, channels, dtype)
        return generator, ArticleDiscriminator(d_width, dtype=dtype)
    if height != width:
        raise ValueError(f"needs square images, got {height}x{width}; try mlp")
    # Without batch norm where R1/R2 or a paired loss work on single samples (see docs/design.md).
    batch_norm = config.loss != "relativistic"
    if config.network == "unrolled":
        if (height, width) != (28, 28):
            raise ValueError(f"makes 28x28 images, got {height}x{width}; try dcgan or mlp")
        bases = (max(1, round(8 * factor)) for factor in (config.width, d_width))
        return _unrolled(config, channels, *bases, dtype)
    base_g = max(1, round(32 * config.width))
    base_d = max(1, round(64 * d_width))
    generator = DCGANGenerator(height, channels, base_g, batch_norm, dtype)
    return generator, DCGANDiscriminator(base_d, dtype)


def _unrolled(config: Config, channels: int, base_g: int, base_d: int, dtype):
    paired = config.loss == "relativistic"
    weights = (config.r1_gamma, config.r2_gamma, config.gp_weight, config.dragan_weight)
    single = paired or config.update == "one_stage" or any(weight is not None for weight in weights)
    generator = UnrolledGenerator(channels, base_g, not paired, dtype)
    return generator, UnrolledDiscriminator(base_d, not single, dtype)


def _loss(config: Config) -> AdversarialLoss:
    if config.loss in CROSS_ENTROPIES:
        return LOSSES[config.loss](config.real_label, config.fake_label)
    return LOSSES[config.loss]()


def _adam(config: Config, lr: float, warmup_steps: int = 0) -> optax.GradientTransformation:
    schedule = {
        "constant": lambda: lr,
        "linear": lambda: optax.linear_schedule(lr, 0.0, config.num_steps),
        "cosine": lambda: optax.cosine_decay_schedule(lr, config.num_steps),
    }[config.lr_schedule]()
    if warmup_steps:
        schedule = _warmed_up(schedule, warmup_steps)
    return optax.adam(schedule, b1=config.b1, b2=config.b2, eps=config.adam_eps)


def _warmed_up(schedule: optax.ScalarOrSchedule, steps: int) -> optax.Schedule:
    """Let a learning rate rise in equal parts: 1/steps of it in the first step, all of it from step `steps` on."""

    def rate(count: jax.Array) -> jax.Array:
        full = schedule(count) if callable(schedule) else schedule
        return full * jnp.minimum(1.0, (count + 1) / steps)

    return rate


def check(config: Config, gan: GAN, sample_shape: tuple[int, ...]) -> None:
    """Trace one step without computing it, so that a game that cannot be played is refused before it starts.

    Raises:
      UserError: the update rule, the loss, the penalties or the shapes do not fit together.
    """
    rule = UPDATES[config.update]
    batch = config.batch_size * rules.real_batches_per_step(rule, gan)
    images = jax.ShapeDtypeStruct((batch, *sample_shape), jnp.float32)
    init_key, step_key = jax.random.split(jax.random.key(0))

    def one_step(images):
        return rule(gan, init_state(gan, init_key, images), images, key=step_key)

    try:
        jax.eval_shape(one_step, images)
    except ValueError as error:
        raise UserError(f"--update={config.update}: {error}") from error


def count_weights(tree) -> int:
    """Count the numbers in a tree of arrays or shapes."""
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))
