"""Measure the diminished gradient: what G hears from a D that has learnt too well.

    python -m experiments.vanishing_gradient                       # built-in digits, about a minute
    python -m experiments.vanishing_gradient --dataset=mnist --data_dir=DIR

Two measurements, each a picture and numbers in results.json:

* `gradient.png`: G stands still while D trains towards its optimum. The norm of G's gradient is taken all along, under
  the minimax loss, where it vanishes as D grows sure, and under the non-saturating loss, where it does not.
* `optimum.png`: real points from N(1, 1/2), fixed "generated" points from N(0, 1); the trained D is compared with
  the optimum p / (p + q) of Proposition 1.

Reference: Goodfellow et al. 2014, sections 3 and 4.1, arXiv:1406.2661.
"""

from absl import flags

from experiments.command import program

DATASET = flags.DEFINE_string("dataset", "digits", "28x28 images: digits (built in), mnist, ...")
DATA_DIR = flags.DEFINE_string("data_dir", None, "folder with the data set's IDX files")
WORKDIR = flags.DEFINE_string(
    "workdir", "runs/vanishing_gradient", "folder for pictures and numbers"
)
SEED = flags.DEFINE_integer("seed", 0, "seed of everything random", 0, 2**32 - 1)
NUM_STEPS = flags.DEFINE_integer("num_steps", 200, "steps of D against the still G", 1, 10**6)
OPTIMUM_STEPS = flags.DEFINE_integer("optimum_steps", 3000, "steps of D on the line", 1, 10**6)
BATCH_SIZE = flags.DEFINE_integer("batch_size", 64, "samples in a step", 1, 10**5)
MEASURE_EVERY = flags.DEFINE_integer("measure_every", 5, "steps between measurements", 1, 10**6)

if __name__ == "__main__":  # --help and wrong flags answer before the slow imports below
    program.begin()

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.record.run_folder import write_text
from gan_jax import data, losses, plots
from gan_jax.evaluation import balance
from gan_jax.gradients import generator_gradients
from gan_jax.models.dcgan import DCGANDiscriminator, DCGANGenerator
from gan_jax.models.mlp import MLPDiscriminator
from gan_jax.networks import from_linen
from gan_jax.sampling import sample_latents, sample_real
from gan_jax.steps import discriminator_step, init_state, make_chunk
from gan_jax.types import GAN, Batch, Network, Rule


def main() -> int:
    """Take both measurements."""
    folder = Path(WORKDIR.value).expanduser()
    dataset = data.load(DATASET.value, data_dir=DATA_DIR.value, warn=print)
    if dataset.images.shape[1:] != (28, 28, 1):
        raise program.UserError(f"--dataset={DATASET.value} does not hold 28x28 grey images")
    folder.mkdir(parents=True, exist_ok=True)
    gradients = measure_gradients(dataset.images)
    _plot_gradients(gradients, folder / "gradient.png")
    optimum = compare_with_optimum()
    _plot_optimum(optimum, folder / "optimum.png")
    numbers = {"gradients": gradients, "optimum_error": optimum["error"]}
    write_text(folder / "results.json", json.dumps(numbers, indent=2) + "\n")
    last = gradients[-1]
    print(
        f"after {last['step']} steps D is right with probability {last['dis_acc']:.4f}: G's gradient has norm "
        f"{last['minimax']:.2e} under minimax and {last['non_saturating']:.2e} under the non-saturating loss"
    )
    print(
        f"on the line D differs from p / (p + q) by {optimum['error']:.4f} on average; see {folder}"
    )
    return 0


def measure_gradients(images) -> list[dict[str, float]]:
    """Train D against a still G; return step, dis_acc and G's gradient norm under both losses."""
    gan = _still_game()
    games = {"minimax": gan._replace(loss=losses.minimax()), "non_saturating": gan}
    init_key, train_key, test_key, real_key = jax.random.split(jax.random.key(SEED.value), 4)
    samples = Batch(jnp.asarray(images))
    real = sample_real(real_key, samples, 256)
    latents = sample_latents(test_key, 256, gan.latent_dim)

    @jax.jit
    def step(state, samples, key):
        batch_key, step_key = jax.random.split(key)
        batch = sample_real(batch_key, samples, BATCH_SIZE.value)
        return discriminator_step(gan, state, batch, key=step_key)[0]

    @jax.jit
    def measure(state):
        def norm(game):
            return generator_gradients(game, state, latents, real, key=test_key)[2]["g_grad_norm"]

        fake, _ = gan.generator.apply(*state.generator[:2], latents, train=True)
        real_logits, _ = gan.discriminator.apply(*state.discriminator[:2], real.images, train=False)
        fake_logits, _ = gan.discriminator.apply(*state.discriminator[:2], fake, train=False)
        norms = {name: norm(game) for name, game in games.items()}
        return {"dis_acc": balance.dis_acc(real_logits, fake_logits), **norms}

    state = jax.jit(lambda key: init_state(gan, key, real))(init_key)
    rows = []
    for number in range(NUM_STEPS.value + 1):
        if number % MEASURE_EVERY.value == 0 or number == NUM_STEPS.value:
            rows.append({"step": number, **{k: float(v) for k, v in measure(state).items()}})
        state = step(state, samples, jax.random.fold_in(train_key, number))
    return rows


def _still_game():
    return GAN(
        from_linen(DCGANGenerator(base=16)),
        from_linen(DCGANDiscriminator(base=32)),
        g_tx=optax.identity(),
        d_tx=optax.adam(2e-4, b1=0.5),
        loss=losses.non_saturating(),
        latent_dim=100,
    )


def compare_with_optimum() -> dict:
    """Train D on the line against N(0, 1) and compare it with p / (p + q) where samples fall."""
    # A generator that hands its latents on: its samples are N(0, 1) for ever.
    still = Network(
        init=lambda key, x, labels: ({}, {}),
        apply=lambda params, model_state, x, labels, *, train, key=None: (x, model_state),
    )
    schedule = optax.cosine_decay_schedule(2e-3, OPTIMUM_STEPS.value)
    gan = GAN(
        still,
        from_linen(MLPDiscriminator((64, 64))),
        g_tx=optax.identity(),
        d_tx=optax.adam(schedule),
        loss=losses.non_saturating(),
        latent_dim=1,
    )
    law = data.mixture("gaussian_1d")
    points = Batch(jnp.asarray(data.load("gaussian_1d").images))
    init_key, train_key = jax.random.split(jax.random.key(SEED.value))

    def d_alone(gan, state, batch, *, key):
        state, metrics = discriminator_step(gan, state, batch, key=key)
        return state._replace(step=state.step + 1), metrics

    rule = Rule(d_alone, batches=lambda gan: 1)
    sizes = {"batch_size": 512, "num_steps": OPTIMUM_STEPS.value}
    chunk = make_chunk(gan, rule, sample_real, **sizes)
    state, _ = chunk(init_state(gan, init_key, points), points, train_key)
    x = np.linspace(-3.0, 3.0, 301, dtype=np.float32)
    logits, _ = gan.discriminator.apply(*state.discriminator[:2], x[:, None], train=False)
    p = _normal_density(x, float(law.centres[0, 0]), law.sigma)
    q = _normal_density(x, 0.0, 1.0)
    learnt, best = np.asarray(jax.nn.sigmoid(logits)), p / (p + q)
    error = float(np.sum(np.abs(learnt - best) * (p + q)) / np.sum(p + q))
    return {"x": x, "p": p, "q": q, "learnt": learnt, "best": best, "error": error}


def _normal_density(x, mean: float, sigma: float):
    return np.exp(-0.5 * ((x - mean) / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi))


def _plot_gradients(rows: list[dict[str, float]], path: Path) -> None:
    accuracy = [row["dis_acc"] for row in rows]
    plots.save_lines(
        {
            "minimax (saturating)": (accuracy, [row["minimax"] for row in rows]),
            "non-saturating": (accuracy, [row["non_saturating"] for row in rows]),
        },
        path,
        x_label="dis_acc: how sure D is, while G stands still",
        y_label="norm of G's gradient",
        title="As D grows sure, only the non-saturating loss still teaches G",
        log_y=True,
    )


def _plot_optimum(found: dict, path: Path) -> None:
    curves = {
        "p": "real density p",
        "q": "generated density q",
        "learnt": "D, trained",
        "best": "p / (p + q)",
    }
    plots.save_lines(
        {label: (found["x"], found[name]) for name, label in curves.items()},
        path,
        x_label="x",
        y_label="density, or D(x)",
        title="D trained on the line, and the optimum of Proposition 1",
    )


if __name__ == "__main__":
    program.run(main)
