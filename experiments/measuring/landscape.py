"""The dynamics of a run at its checkpoints: numbers, words and pictures of what gan_jax.dynamics computes."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.command import game
from experiments.command.experiment import Task, run_keys
from experiments.command.program import UserError
from experiments.measuring.real_data import source_of
from experiments.record.restored import restore_run
from gan_jax.checkpoint import Checkpoints
from gan_jax.dynamics import gap, path, spectrum
from gan_jax.dynamics.field import Field, adam_multipliers, game_field, weights_of
from gan_jax.dynamics.overfitting import overfitting
from gan_jax.dynamics.rotation import rotation
from gan_jax.jacobian import linearise
from gan_jax.steps import init_state
from gan_jax.types import GAN, Batch, GANState, Key, Players

AsPlayed = Callable[[GANState], GAN]
ALPHAS = np.linspace(0.0, 1.5, 61)  # along the way from the start to the end, and beyond


class Request(NamedTuple):
    """What is asked for.

    Attributes:
      num_eigenvalues: of the game's Jacobian; half as many of each player's Hessian.
      num_samples: real samples, and latents, on which the field is computed.
      gap_steps: that each player trains on, for the duality gap.
      seed: of latents, real samples and directions.
      data_dir: folder of the data; None for the run's own.
      steps: checkpoints to look at; None for the start and all that the folder keeps.
    """

    num_eigenvalues: int = 40
    num_samples: int = 256
    gap_steps: int = 100
    seed: int = 0
    data_dir: str | None = None
    steps: tuple[int, ...] | None = None


class Opened(NamedTuple):
    """A run with its data, and its states by step: the first one drawn again from the seed."""

    task: Task
    gan: GAN
    states: dict[int, GANState]


def open_run(folder: Path, request: Request) -> Opened:
    """Read a run with its optimizers; nothing in the folder is changed.

    Raises:
      UserError: it is no run, its data are others, or it has no such checkpoint.
    """
    run = restore_run(folder)
    task = Task(run.experiment, run.config, source_of(run, request.data_dir))
    gan, checkpoints = task.gan, Checkpoints(folder / "checkpoints")
    key = run_keys(run.config.seed).init
    like = game.batch_of(task.sample, run.config.batch_size)
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), like)
    first = jax.jit(partial(init_state, gan))(key, zeros)
    kept = checkpoints.steps()
    asked = (0, *kept) if request.steps is None else request.steps
    if missing := sorted(set(asked) - {0, *kept}):
        there = ", ".join(map(str, (0, *kept)))
        raise UserError(
            f"--steps={missing[0]}: {folder} has no such checkpoint; there are: {there}"
        )
    states = {
        step: first if step == 0 else checkpoints.restore(first, step=step).state
        for step in sorted(set(asked))
    }
    return Opened(task, gan, states)


def measure(opened: Opened, request: Request) -> dict[str, Any]:
    """Compute everything of every checkpoint, and the path from the first to the last.

    Returns:
      Plain values, for landscape.json.
    """
    task, gan, states = opened
    data_key, field_key, direction_key, gap_key = jax.random.split(jax.random.key(request.seed), 4)
    data = jax.tree.map(jnp.asarray, task.data)
    num = request.num_samples * (1 + gan.loss.needs_real)
    batch = task.experiment.draw_real(data_key, data, num)
    as_played = partial(task.as_played, gan)
    krylov = jax.jit(partial(_krylov, as_played, 2 * request.num_eigenvalues))
    turning = jax.jit(partial(_turning, as_played))
    duality = jax.jit(partial(_duality, task, gan, request))
    found = []
    for step, state in states.items():
        of_state = partial(krylov, state, batch, field_key)
        multipliers, num = _multipliers(task, state, step), request.num_eigenvalues
        spectra = _spectra(of_state, state, multipliers, num, direction_key)
        turned = turning(
            state, batch, field_key, spectrum.random_direction(direction_key, weights_of(state))
        )
        row = {"step": step, **spectra, **{name: _floats(each) for name, each in turned.items()}}
        row["duality_gap"] = _floats(duality(state, data, gap_key)._asdict())
        found.append(row | _overfitting(task, gan, state, request.num_samples))
    steps = list(states)
    return {
        "checkpoints": found,
        "path": _path(as_played, states[steps[0]], states[steps[-1]], batch, field_key, steps),
        **request._asdict(),
    }


def _linearised(as_played: AsPlayed, state: GANState, batch: Batch, key: Key):
    field = game_field(as_played(state), state, batch, key=key)
    v, jacobian, _ = linearise(lambda w: (field(w), None), weights_of(state))
    return v, jacobian


def _krylov(
    as_played: AsPlayed,
    depth: int,
    state: GANState,
    batch: Batch,
    key: Key,
    factors: Players,
    start: Players,
):
    """Project factors * J on the Krylov space of a direction.

    One compiled program serves the plain field (factors 1), Adam's (its multipliers), and each player's Hessian (-1 for
    its weights and 0 for the other's, with a start among its weights).
    """
    _, jacobian = _linearised(as_played, state, batch, key)

    def times(u: Players) -> Players:
        return jax.tree.map(jnp.multiply, factors, jacobian.times(u))

    return spectrum.arnoldi(times, start, depth)


def _turning(as_played: AsPlayed, state: GANState, batch: Batch, key: Key, u: Players):
    """Compute the field's norms, and the rotation along it and along a direction."""
    v, jacobian = _linearised(as_played, state, batch, key)
    both = jax.tree.map(lambda a, b: jnp.stack([a, b]), v, u)
    along_field, along_u = jax.lax.map(partial(rotation, jacobian), both)
    norms = {
        "generator": optax.tree.norm(v.generator),
        "discriminator": optax.tree.norm(v.discriminator),
    }
    return {"field_norm": norms, "rotation": {"field": along_field, "random": along_u}}


def _spectra(
    krylov, state: GANState, multipliers: Players | None, num: int, key: Key
) -> dict[str, Any]:
    """Compute eigenvalues of the field's Jacobian, of that of the field that Adam follows, and of both Hessians."""
    at = weights_of(state)
    start, ones = spectrum.random_direction(key, at), jax.tree.map(jnp.ones_like, at)
    zeros = jax.tree.map(jnp.zeros_like, at)
    row: dict[str, Any] = {}
    for name, factors in (("plain", ones), ("adam", multipliers)):
        if factors is not None:
            values, residuals = spectrum.eigenvalues(jax.device_get(krylov(factors, start)), num)
            row[f"{name}_eigenvalues"] = [[float(z.real), float(z.imag)] for z in values]
            row[f"{name}_residuals"] = [float(r) for r in residuals]
    for name, player in (("g_hessian", "generator"), ("d_hessian", "discriminator")):
        own = zeros._replace(**{player: getattr(ones, player)})
        there = zeros._replace(**{player: getattr(start, player)})
        space = krylov(jax.tree.map(jnp.negative, own), there)
        found = spectrum.eigenvalues(jax.device_get(space), max(1, num // 2), symmetric=True)
        row[f"{name}_eigenvalues"] = [float(value) for value in found.values]
    return row


def _multipliers(task: Task, state: GANState, step: int) -> Players | None:
    """Read both players' multipliers; None before the first step, and of a game without Adam."""
    if step == 0:
        return None
    config = task.config
    numbers = {"b2": config.b2, "eps": config.adam_eps}
    rates = game.last_learning_rates(config, step)
    pairs = list(zip((state.generator, state.discriminator), rates, strict=True))
    try:
        return Players(*(adam_multipliers(p.opt_state, rate, **numbers) for p, rate in pairs))
    except ValueError:
        return None


def _duality(task: Task, gan: GAN, request: Request, state: GANState, data: Batch, key: Key):
    sizes = {"batch_size": task.config.batch_size, "num_samples": request.num_samples}
    draw = task.experiment.draw_real
    sizes["num_steps"] = request.gap_steps
    return gap.duality_gap(task.as_played(gan, state), state, draw, data, key=key, **sizes)


def _overfitting(task: Task, gan: GAN, state: GANState, num: int) -> dict[str, Any]:
    """Compare D's logits on training samples with those on unseen ones, where there are any."""
    if task.source.held_out is None:
        return {}
    unseen = Task(task.experiment, task.config, task.source._replace(train=task.source.held_out))
    judge = jax.jit(partial(gan.discriminator.apply, train=False))
    logits = []
    for number, each in enumerate((task, unseen)):
        data = jax.tree.map(jnp.asarray, each.data)
        batch = task.experiment.draw_real(jax.random.key(number), data, num)
        logits.append(judge(*state.discriminator[:2], batch.images, batch.labels)[0])
    return {"overfitting": _floats(overfitting(*logits)._asdict())}


def _path(
    as_played: AsPlayed, start: GANState, end: GANState, batch: Batch, key: Key, steps: list[int]
):
    if len(steps) < 2:
        return None

    def follow(start: GANState, end: GANState) -> path.Path:
        field: Field = game_field(as_played(end), end, batch, key=key)
        return path.path(field, weights_of(start), weights_of(end), jnp.asarray(ALPHAS))

    norm, cosine = jax.device_get(jax.jit(follow)(start, end))
    changes = path.sign_changes(ALPHAS, cosine)
    return {
        "from": steps[0],
        "to": steps[-1],
        "alphas": ALPHAS.tolist(),
        **_floats({"norm": norm, "cosine": cosine}),
        "sign_changes": changes,
    }


def _floats(values: dict[str, Any]) -> dict[str, Any]:
    """Turn arrays into numbers that JSON has; what is not finite becomes None."""

    def number(value: float) -> float | None:
        return float(value) if np.isfinite(value) else None

    return {
        name: [number(v) for v in np.asarray(value)] if np.ndim(value) else number(value)
        for name, value in values.items()
    }
