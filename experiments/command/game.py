"""From a `Config` to a `GAN` and its rule: where flags meet the library."""

import math

import jax
import jax.numpy as jnp
import optax

from experiments.command.config import (
    CROSS_ENTROPIES,
    PENALTIES,
    Config,
    augmentations,
    hidden_widths,
)
from experiments.command.program import UserError
from gan_jax import losses, optimizers, penalties, rules
from gan_jax.adaptive import behind
from gan_jax.augmentations import by_chance, in_turn
from gan_jax.models import NETWORKS
from gan_jax.models.options import PlayerOptions
from gan_jax.networks import from_linen
from gan_jax.steps import init_state
from gan_jax.types import GAN, AdversarialLoss, Augment, Batch, Network, Penalty, Rule


def build_gan(
    config: Config, sample_shape: tuple[int, ...], num_classes: int = 0, rule: Rule | None = None
) -> GAN:
    """Assemble the game for samples of a shape, (H, W, C) for images, (D,) for points, and of so many classes, or none.

    Args:
      config: the flags.
      sample_shape: of one sample.
      num_classes: of the samples; 0: they have none.
      rule: how the game is played, whose turns the learning rates count; None: as --update says.

    Raises:
      UserError: the network cannot make samples of that shape.
    """
    updates = (rule or choose_rule(config)).updates
    try:
        generator, discriminator = NETWORKS[config.network](
            _options(config, sample_shape, num_classes)
        )
    except ValueError as error:
        raise UserError(f"--network={config.network}: {error}") from error
    return GAN(
        generator=from_linen(generator),
        discriminator=_discriminator(config, from_linen(discriminator)),
        g_tx=_optimizer(config, config.g_lr, updates, config.g_warmup_steps),
        d_tx=_optimizer(config, config.d_lr, updates),
        loss=_loss(config),
        latent_dim=config.latent_dim,
        augment=_augment(config, sample_shape),
        penalties=_penalties(config),
        ema_half_life_images=config.ema_half_life_images,
        n_dis=config.n_dis,
    )


def choose_rule(config: Config) -> Rule:
    """Give the update rule that --update names, with the weight that is asked for."""
    if config.update not in rules.WEIGHED:
        return rules.RULES[config.update]
    weight = () if config.update_weight is None else (config.update_weight,)
    steps = {"steps": config.lookahead_steps} if config.update == "lookahead_minimax" else {}
    return rules.WEIGHED[config.update](*weight, **steps)


def let_penalties_fall(config: Config, rule: Rule) -> Rule:
    """Let a rule play with penalties whose weights change as --penalty_last says."""
    if config.penalty_last is None:
        return rule
    return rules.falling_penalties(rule, config.penalty_last, config.num_steps)


def refuse_falling_nothing(config: Config, gan: GAN) -> None:
    """Raise UserError if --penalty_last is given to a game that has no penalties."""
    if config.penalty_last is not None and not gan.penalties:
        raise UserError(
            "--penalty_last is of penalties: give one a weight, such as --r1_gamma=1, or leave it out"
        )


def _options(config: Config, sample_shape: tuple[int, ...], num_classes: int) -> PlayerOptions:
    # Without batch norm where penalties or a paired loss work on single samples (see docs/design.md).
    paired = config.loss == "relativistic"
    return PlayerOptions(
        sample_shape,
        width=config.width,
        d_width=config.width if config.d_width is None else config.d_width,
        g_hidden=hidden_widths(config.g_hidden),
        d_hidden=hidden_widths(config.d_hidden),
        bias_std=config.bias_std,
        paired=paired,
        uncoupled=bool(_penalties(config)) or config.update == "one_stage",
        dtype=jnp.dtype(config.dtype),
        image_layer=config.image_layer,
        num_classes=num_classes,
        spectral_norm=config.spectral_norm,
        phase_shuffle=config.phase_shuffle,
    )


def _penalties(config: Config) -> tuple[Penalty, ...]:
    weights = {name: getattr(config, name) for name in PENALTIES}
    return tuple(
        Penalty(penalties.PENALTIES[name], weight)
        for name, weight in weights.items()
        if weight is not None
    )


def _discriminator(config: Config, network: Network) -> Network:
    if config.augment_target is None:
        return network
    return behind(network, by_chance(augmentations(config.augment)))


def _augment(config: Config, sample_shape: tuple[int, ...]) -> Augment | None:
    if not config.augment:
        return None
    if len(sample_shape) != 3:
        raise UserError(
            f"--augment={config.augment} is of images, samples have shape {sample_shape}: leave it out"
        )
    if config.augment_target is not None:
        return None  # it stands before D itself, which keeps its strength
    return in_turn(augmentations(config.augment))


def _loss(config: Config) -> AdversarialLoss:
    if config.loss in CROSS_ENTROPIES:
        return losses.LOSSES[config.loss](config.real_label, config.fake_label)
    return losses.LOSSES[config.loss]()


def last_learning_rates(config: Config, num_steps: int) -> tuple[float, float]:
    """Give both players' learning rates in the last update of so many steps, at least one; G's first.

    D's schedule counts its own turns: `n_dis` in a step, two in one of the article's.
    """
    turns = 2 if config.update == "article" else config.n_dis
    g_rate = _schedule(config, config.g_lr, config.g_warmup_steps)
    d_rate = _schedule(config, config.d_lr)
    counts = ((g_rate, num_steps - 1), (d_rate, num_steps * turns - 1))
    return tuple(float(rate(count)) if callable(rate) else rate for rate, count in counts)


def _schedule(config: Config, lr: float, warmup_steps: int = 0) -> optax.ScalarOrSchedule:
    """Make a player's learning rate, which counts its turns."""
    schedule = {
        "constant": lambda: lr,
        "linear": lambda: optax.linear_schedule(lr, 0.0, config.num_steps),
        "cosine": lambda: optax.cosine_decay_schedule(lr, config.num_steps),
    }[config.lr_schedule]()
    return _warmed_up(schedule, warmup_steps) if warmup_steps else schedule


def _optimizer(
    config: Config, lr: float, updates: int, warmup_steps: int = 0
) -> optax.GradientTransformation:
    schedule = _schedule(config, lr, warmup_steps)
    if updates > 1:
        schedule = _counting_steps(schedule, updates)
    return optimizers.OPTIMIZERS[config.optimizer](
        schedule, b1=config.b1, b2=config.b2, eps=config.adam_eps
    )


def _counting_steps(schedule: optax.ScalarOrSchedule, updates: int) -> optax.ScalarOrSchedule:
    """Let a schedule count turns where a turn updates an optimizer several times."""
    if not callable(schedule):
        return schedule
    return lambda count: schedule(count // updates)


def _warmed_up(schedule: optax.ScalarOrSchedule, steps: int) -> optax.Schedule:
    """Let a learning rate rise in equal parts: 1/steps of it in the first step, all of it from step `steps` on."""

    def rate(count: jax.Array) -> jax.Array:
        full = schedule(count) if callable(schedule) else schedule
        return full * jnp.minimum(1.0, (count + 1) / steps)

    return rate


def check(config: Config, gan: GAN, rule: Rule, sample: Batch) -> None:
    """Trace one step without computing it, so that a game that cannot be played is refused before it starts.

    Args:
      config: the flags.
      gan: the game.
      rule: how it is played.
      sample: shapes of one real sample, without a batch axis.

    Raises:
      UserError: the update rule, the loss, the penalties or the shapes do not fit together.
    """
    init_key, step_key = jax.random.split(jax.random.key(0))
    state = shapes_of_state(gan, sample, config.batch_size, init_key)

    def one_step(state, batch):
        return rule.step(gan, state, batch, key=step_key)

    try:
        jax.eval_shape(one_step, state, batch_of(sample, config.batch_size * rule.batches(gan)))
    except ValueError as error:
        raise UserError(f"--update={config.update}: {error}") from error


def shapes_of_state(gan: GAN, sample: Batch, batch_size: int, key: jax.Array):
    """Give the shapes and types of a game's state.

    Raises:
      UserError: the players cannot take samples of that shape.
    """
    try:
        return jax.eval_shape(lambda b: init_state(gan, key, b), batch_of(sample, batch_size))
    except ValueError as error:
        raise UserError(f"--network: {error}") from error


def batch_of(sample: Batch, num: int) -> Batch:
    """Give the shapes of a batch of so many samples."""
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((num, *leaf.shape), leaf.dtype), sample)


def count_weights(tree) -> int:
    """Count the numbers in a tree of arrays or shapes."""
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))
