"""Play the Dirac-GAN: two numbers, every loss, update rule and penalty, and the eigenvalues that explain what is seen.

    python -m experiments.dirac                      # seconds
    python -m experiments.dirac --loss=wasserstein --rate=0.1

The data are the point 0, G makes the point theta, D's logit is psi x; (0, 0) is the equilibrium. Does the game come
in, go around, or leave? Writes `rules.png` and `rules.gif` (each rule under --loss), `losses.png` (each loss under
--update), both with each penalty, and results.json: how far each of 245 games is from the equilibrium in the end, and
the field's eigenvalues beside their closed forms. In float64, by the steps that train every other game.

Reference: Mescheder et al. 2018, sections 2-4, arXiv:1801.04406.
"""

from absl import flags

from experiments.command import program, vocabulary

NAMES = vocabulary.names("losses", "LOSSES")
LOSS = flags.DEFINE_enum("loss", "minimax", NAMES, "loss of the picture of all rules")
UPDATE = flags.DEFINE_enum(
    "update", "alternating", vocabulary.names("rules", "RULES"), "rule of the picture of all losses"
)
RATE = flags.DEFINE_float("rate", 0.2, "step of plain gradient descent, both players'", 1e-6, 10.0)
GAMMA = flags.DEFINE_float("gamma", 0.3, "weight of each penalty", 0.0, 100.0)
NUM_STEPS = flags.DEFINE_integer("num_steps", 500, "steps of each game", 2, 10**6)
WORKDIR = flags.DEFINE_string("workdir", "runs/dirac", "folder for pictures and numbers")

if __name__ == "__main__":  # --help and wrong flags answer before the slow imports below
    program.begin()

import json
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.record.run_folder import write_text
from gan_jax import losses, penalties, plots, rules
from gan_jax.dynamics.dirac import (
    STILL_AT_EQUILIBRIUM,
    dirac_data,
    dirac_eigenvalues,
    dirac_game,
    dirac_state,
    fate,
)
from gan_jax.dynamics.field import game_field, weights_of
from gan_jax.types import Penalty, Players

START = (1.0, 0.5)  # theta, psi
EXTENT = 1.7  # of a picture
PAYING = (None, *penalties.PENALTIES)  # which penalty a game has


def main() -> int:
    """Play every game; draw, write and tell."""
    folder = Path(WORKDIR.value).expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    with jax.enable_x64(True):
        ways = {name: play(name) for name in rules.RULES}
        fields = jax.device_get(fields_of_games())
        found = jax.device_get(jacobians_of_games())
    _draw(ways, fields, folder)
    numbers = {
        "rate": RATE.value,
        "gamma": GAMMA.value,
        "num_steps": NUM_STEPS.value,
        "eigenvalues": compare_eigenvalues(found),
        "distance": {rule: _ends(way) for rule, way in ways.items()},
    }
    write_text(folder / "results.json", json.dumps(numbers, indent=2, allow_nan=False) + "\n")
    print("\n".join(in_words(ways, numbers["eigenvalues"])))
    print(f"wrote rules.png, rules.gif, losses.png and results.json to {folder}")
    return 0


def _game(loss_weights, penalty_weights, names=NAMES):
    # One compiled program plays every loss: the weights are 0 but for a 1.
    terms = zip(penalties.PENALTIES.values(), penalty_weights, strict=False)
    paid = tuple(Penalty(function, weight) for function, weight in terms)
    loss = losses.mixed([losses.LOSSES[name]() for name in names], loss_weights)
    return dirac_game(loss, paid, optax.sgd(RATE.value))


def _over_all_games(function, *, losses_played=NAMES, paying=PAYING):
    """Map `(loss weights, penalty weights) -> tree` over losses and penalties: [losses, penalties, ...]."""
    num = len(paying) - 1
    choices = GAMMA.value * np.concatenate([np.zeros((1, num)), np.eye(num)])
    each = jax.vmap(jax.vmap(function, (None, 0)), (0, None))
    return jax.jit(each)(np.eye(len(losses_played)), choices)


def play(name: str) -> np.ndarray:
    """Play a rule's games from the same start.

    Returns:
      [losses, penalties, steps + 1, 2]; not a number where the rule refuses the game.
    """
    rule, refuses = rules.RULES[name], name == "article"
    played = tuple(n for n in NAMES if not (refuses and losses.LOSSES[n]().needs_real))
    paying = PAYING[:1] if refuses else PAYING

    def way(loss_weights, penalty_weights):
        gan = rule.equip(_game(loss_weights, penalty_weights, played))
        real = dirac_data(rule.batches(gan))

        def step(state, key):
            new, _ = rule.step(gan, state, real, key=key)
            return new, jnp.stack([new.generator.params, new.discriminator.params])

        start = dirac_state(gan, *START, jax.random.key(0))
        keys = jax.random.split(jax.random.key(1), NUM_STEPS.value)
        return jnp.concatenate([jnp.array([START]), jax.lax.scan(step, start, keys)[1]])

    ways = np.full((len(NAMES), len(PAYING), NUM_STEPS.value + 1, 2), np.nan)
    rows = [NAMES.index(n) for n in played]
    ways[rows, : len(paying)] = _over_all_games(way, losses_played=played, paying=paying)
    return ways


def _field_at(loss_weights, penalty_weights):
    gan = _game(loss_weights, penalty_weights)
    state = dirac_state(gan, 0.0, 0.0, jax.random.key(0))
    return game_field(gan, state, dirac_data(2), key=jax.random.key(1)), weights_of(state)


def fields_of_games():
    """Compute the field of every game on a grid: [losses, penalties, rows, columns, 2]."""
    side = np.linspace(-EXTENT, EXTENT, 13)
    theta, psi = np.meshgrid(side, side)

    def vectors(loss_weights, penalty_weights):
        field, _ = _field_at(loss_weights, penalty_weights)
        at = jax.vmap(jax.vmap(lambda t, p: jnp.stack(field(Players(t, p)))))
        return at(theta, psi)

    return _over_all_games(vectors)


def jacobians_of_games():
    """Compute the Jacobian of every game's field at the equilibrium: [losses, penalties, 2, 2]."""

    def jacobian(loss_weights, penalty_weights):
        field, _ = _field_at(loss_weights, penalty_weights)
        return jax.jacrev(lambda w: jnp.stack(field(Players(*w))))(jnp.zeros(2))

    return _over_all_games(jacobian)


def compare_eigenvalues(jacobians: np.ndarray) -> list[dict]:
    """Set the eigenvalues of the field beside the closed forms; WGAN-GP and DRAGAN have a kink there, and none."""
    table = []
    for loss, row in zip(NAMES, jacobians, strict=True):
        for penalty, jacobian in zip(PAYING, row, strict=True):
            if penalty not in (None, *STILL_AT_EQUILIBRIUM):
                continue
            theory = dirac_eigenvalues(loss, GAMMA.value if penalty else 0.0)
            found = sorted(np.linalg.eigvals(jacobian), key=lambda z: (-z.imag, -z.real))
            error = max(abs(a - b) for a, b in zip(found, theory, strict=True))
            pairs = {
                name: [[complex(z).real, complex(z).imag] for z in values]
                for name, values in (("found", found), ("theory", theory))
            }
            table.append({"loss": loss, "penalty": penalty, **pairs, "error": float(error)})
    return table


def _ends(ways: np.ndarray) -> list[dict]:
    return [
        {"loss": loss, "penalty": penalty, "start": _length(way[0]), "end": _length(way[-1]), "fate": fate(way)}
        for loss, row in zip(NAMES, ways, strict=True)
        for penalty, way in zip(PAYING, row, strict=True)
    ]  # fmt: skip


def _length(point: np.ndarray) -> float | None:
    with np.errstate(over="ignore"):
        length = float(np.linalg.norm(point))
    return length if np.isfinite(length) else None


def in_words(ways: dict[str, np.ndarray], table: list[dict]) -> list[str]:
    """Tell what the rules do under the loss of the picture, and how well the eigenvalues agree."""
    row = NAMES.index(LOSS.value)
    wide = max(map(len, ways))
    names = [penalty or "no penalty" for penalty in PAYING]
    lines = [f"{LOSS.value}, rate {RATE.value:g}, penalties of weight {GAMMA.value:g}:"]
    lines.append(" " * wide + "".join(f"{name:>17}" for name in names))
    for rule, way in ways.items():
        lines.append(f"{rule:{wide}}" + "".join(f"{fate(each):>17}" for each in way[row]))
    for entry in table:
        if entry["loss"] == LOSS.value:
            first, second = (f"{a:+.3f}{b:+.3f}i" for a, b in entry["theory"])
            lines.append(
                f"eigenvalues, {entry['penalty'] or 'no penalty'}: {first}, {second}; found within {entry['error']:.0e}"
            )
    return lines


def _draw(ways: dict[str, np.ndarray], fields: np.ndarray, folder: Path) -> None:
    row = NAMES.index(LOSS.value)
    labels = {"extent": EXTENT, "x_label": "theta (G)", "y_label": "psi (D)"}

    def panel(title: str, way: np.ndarray, loss: int, penalty: int) -> plots.Flow:
        said = fate(way)
        inside = np.clip(way[np.isfinite(way).all(axis=1)], -2 * EXTENT, 2 * EXTENT)
        return plots.Flow(f"{title}: {said}", inside, fields[loss, penalty])

    names = [penalty or "no penalty" for penalty in PAYING]
    every = range(len(PAYING))
    by_rule = [
        [panel(f"{rule.replace('_', ' ')[:28]}\n{names[p]}", way[row, p], row, p) for p in every]
        for rule, way in ways.items()
    ]
    by_loss = [
        [panel(f"{loss}\n{names[p]}", ways[UPDATE.value][number, p], number, p) for p in every]
        for number, loss in enumerate(NAMES)
    ]
    first = [panels[0] for panels in by_rule]
    save = partial(plots.save_flows, **labels)
    save(by_rule, folder / "rules.png", title=f"The Dirac-GAN, loss {LOSS.value}")
    save(by_loss, folder / "losses.png", title=f"The Dirac-GAN, update {UPDATE.value}")
    plots.save_flow_animation(
        [first[:3], first[3:6], first[6:9]],
        folder / "rules.gif",
        title=f"The Dirac-GAN, loss {LOSS.value}, no penalty",
        **labels,
    )


if __name__ == "__main__":
    program.run(main)
