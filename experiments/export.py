"""Export a run's generator into a folder that travels: weights, JAX, JavaScript, NumPy, and a card.

    python -m experiments.export --workdir=runs/digits --out=digits_generator
    python -m experiments.export --workdir=runs/digits --out=small --half --files=weights

generator.safetensors and generator.json (any reader; `gan_jax.load_generator(DIR)`), generator_numpy.py (NumPy alone),
generator.stablehlo (JAX on CPU, GPU and TPU), generator.js (an ES module), README.md (the card). Measure the run first
by experiments.evaluate: the card states what was measured, beside what real data reach.

What ships with the package is refreshed so: --out=gan_jax/shipped/digits --half --files=weights --licence=Apache-2.0.
"""

from pathlib import Path

from absl import flags

from experiments.command import program
from experiments.command.config import INCIDENTAL

KINDS = ("weights", "numpy", "stablehlo", "javascript")
# Data whose licence is known; others' is asked for. A folder of one's own may bear the same name.
DATA_LICENCES = {
    "digits": "CC BY 4.0 (Optical Recognition of Handwritten Digits, E. Alpaydin and C. Kaynak, UCI)",
    "mnist": "CC BY-SA 3.0, as is commonly stated (Y. LeCun and C. Cortes)",
    "fashion_mnist": "MIT (Zalando SE)",
    "kmnist": "CC BY-SA 4.0 (ROIS-DS Center for Open Data in the Humanities)",
    "ring": "none needed: drawn by gan_jax",
    "grid": "none needed: drawn by gan_jax",
}
WORKDIR = flags.DEFINE_string("workdir", None, "run folder whose generator is exported")
OUT = flags.DEFINE_string("out", None, "folder to write: a new one, or an earlier export")
CHECKPOINT = flags.DEFINE_string("checkpoint", "last", "last, best (by --eval_every), or a step")
EMA = flags.DEFINE_bool("ema", True, "use the moving average of the generator's weights")
HALF = flags.DEFINE_bool("half", False, "round the weights to float16: half the size")
FILES = flags.DEFINE_list(
    "files", list(KINDS), f"which, of {', '.join(KINDS)}; weights and card always"
)
TITLE = flags.DEFINE_string("title", None, "of the card; default: from the data's name")
DATA_LICENCE = flags.DEFINE_string(
    "data_licence", None, "of the data; default: that of published sets"
)
LICENCE = flags.DEFINE_string("licence", None, "of the exported weights, as the card is to say")


def main() -> int:
    """Export."""
    for flag, value in (("workdir", WORKDIR.value), ("out", OUT.value)):
        if not value:
            raise program.UserError(f"--{flag} is missing: name a folder")
    if unknown := sorted(set(FILES.value) - set(KINDS)):
        raise program.UserError(f"--files={','.join(unknown)}: choose from {', '.join(KINDS)}")

    from experiments.record.chosen_checkpoint import find_checkpoint
    from experiments.record.restored import restore_run
    from gan_jax import portable
    from gan_jax.export import ExportError, write_generator

    workdir = Path(WORKDIR.value).expanduser()
    run = restore_run(workdir, step=find_checkpoint(workdir, CHECKPOINT.value))
    try:
        traced = _traced(run)
        traced = portable.rounded(traced) if HALF.value else traced
        names = write_generator(OUT.value, traced, _facts(run, workdir), _further(run, traced))
    except (portable.UnsupportedError, ExportError) as error:
        raise program.UserError(f"--out={OUT.value}: {error}") from error
    print(f"wrote {', '.join(sorted(names))} of step {run.step} to {OUT.value}")
    return 0


def _classes(run) -> tuple[str, ...]:
    return run.class_names if run.experiment.takes_labels(run.config) else ()


def _params(run):
    return run.state.ema_params if EMA.value else run.state.generator.params


def _traced(run):
    from gan_jax import portable

    network, model_state = run.gan.generator, run.state.generator.model_state
    classes = len(_classes(run)) or None
    return portable.trace(network, _params(run), model_state, (run.config.latent_dim,), classes)


def _further(run, traced) -> dict[str, bytes]:
    from gan_jax.export import javascript_module, numpy_module, stablehlo

    made = {
        "numpy": ("generator_numpy.py", lambda: numpy_module().encode()),
        "javascript": ("generator.js", lambda: javascript_module(traced).encode()),
        "stablehlo": (
            "generator.stablehlo",
            lambda: stablehlo(
                run.gan.generator, _params(run), run.state.generator.model_state,
                run.config.latent_dim, labelled=bool(_classes(run)),
            ),
        ),
    }  # fmt: skip
    return {name: make() for kind, (name, make) in made.items() if kind in FILES.value}


def _facts(run, workdir: Path) -> dict:
    data, name = run.facts["dataset"], run.config.dataset
    is_known = run.experiment.kind not in ("pictures", "sounds")
    return {
        "title": TITLE.value or f"A generator of {name}",
        "dataset": {key: data.get(key) for key in ("name", "samples", "shape", "sha256")},
        "data_licence": DATA_LICENCE.value or (DATA_LICENCES.get(name) if is_known else None),
        "licence": LICENCE.value,
        "class_names": list(_classes(run)),
        "latent_dim": run.config.latent_dim,
        "num_weights": run.facts.get("weights", {}).get("generator"),
        "recipe": _recipe(workdir),
        **{"seed": run.config.seed, "step": run.step, "ema": EMA.value},
        "versions": run.facts.get("versions"),
        "commit": run.facts.get("commit"),
        "measured": _measured(run, workdir),
    }


def _recipe(workdir: Path) -> list[str]:
    file = workdir / "flagfile.txt"
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    flag = {line: line.removeprefix("--").partition("=")[0] for line in lines}
    left_out = {*INCIDENTAL, *(f"no{name}" for name in INCIDENTAL)}
    return [line for line in lines if flag[line] not in left_out]


def _measured(run, workdir: Path):
    """Read what was measured of this step and these weights, if it was."""
    from experiments.record.schema import read_evaluation

    file = workdir / "evaluation.json"
    if not file.is_file():
        return None
    fitting = (
        result
        for result in read_evaluation(file)
        if (result.get("step"), result.get("ema", True)) == (run.step, EMA.value)
    )
    return next(fitting, None)


if __name__ == "__main__":
    program.run(main)
