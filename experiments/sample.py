"""Draw samples from a finished (or interrupted) run.

    python -m experiments.sample --workdir=runs/mnist --num_samples=100 --out=samples.png
    python -m experiments.sample --workdir=runs/mnist --num_samples=10000 --out=samples.npz
    python -m experiments.sample --workdir=runs/emoji --num_samples=1000 --out=faces
    python -m experiments.sample --workdir=runs/spoken_digits --out=digits.wav
    python -m experiments.sample --workdir=runs/mnist --checkpoint=best --out=best.png
    python -m experiments.sample --workdir=runs/mnist --num_samples=8 --interpolate --out=walks.png
    python -m experiments.sample --workdir=runs/mnist --truncation=0.7 --rejection --out=picked.png
    python -m experiments.sample --workdir=runs/mnist_classes --label=each --out=classes.png
    python -m experiments.sample --workdir=runs/mnist_classes --label=3:8 --interpolate --num_samples=8 --out=walks.png

An .npz holds the array `images`, uint8 [N, H, W, C] (for sets of the plane `points`, float32 [N, 2]; for sounds
`waves`, float32 [N, T], and `sample_rate`). A .png shows a grid, a .wav plays sounds one after another, and a new
folder gets a file for each sample. With --interpolate each sample is a walk between two latents, 10 images long.

Of a run with --conditional, classes are drawn as often as they occur in the training data; --label asks for one, by
number or name, or for `each`, a row of the grid for each. The .npz holds them as `labels`, int32 [N], and their
`class_names`; a folder has a sub-folder for each. With --interpolate, --label=3:8 walks from class to class while the
latents stand still; the .npz then holds `class_shares`, float32 [N, K].

--truncation cuts the latents off, so that rare samples are not drawn; --rejection lets D choose. Both buy better
looking samples with variety: `experiments.evaluate` takes the same flags and shows what is lost.
"""

from pathlib import Path

from absl import flags

from experiments.command import program

WORKDIR = flags.DEFINE_string("workdir", None, "run folder to sample from")
NUM_SAMPLES = flags.DEFINE_integer("num_samples", 100, "how many samples, or walks", 1, 10**8)
OUT = flags.DEFINE_string(
    "out", "samples.png", "file to write, ending in .png, .npz or .wav, or a new folder"
)
SEED = flags.DEFINE_integer("seed", 0, "seed of the latents", 0, 2**32 - 1)
EMA = flags.DEFINE_bool("ema", True, "use the moving average of the generator's weights")
CHECKPOINT = flags.DEFINE_string("checkpoint", "last", "last, best (by --eval_every), or a step")
INTERPOLATE = flags.DEFINE_bool("interpolate", False, "walk between latents")
LABEL = flags.DEFINE_string(
    "label", None, "class to draw, by number or name; each: all of them alike; 3:8: from one to the other (with "
    "--interpolate); default: as often as they occur in the data"
)  # fmt: skip
TRUNCATION = flags.DEFINE_float(
    "truncation", None, "greatest size of a latent's coordinate, such as 0.7; default: no bound", 0.01, 100
)  # fmt: skip
REJECTION = flags.DEFINE_bool("rejection", False, "let D choose among G's samples")
PERCENTILE = flags.DEFINE_float(
    "rejection_percentile", 80.0, "of G's samples, where D accepts one in two", 0, 99.99
)

BATCH = 256  # images of walks generated at once
WALK = 10  # images of one walk


def main() -> int:
    """Draw and write the samples."""
    out = Path(OUT.value).expanduser()
    _check_place(out)
    if not WORKDIR.value:
        raise program.UserError("--workdir is missing: name the folder of a run")

    if INTERPOLATE.value and REJECTION.value:
        raise program.UserError(
            "--interpolate walks between any two latents, and D does not choose there: leave --rejection out"
        )

    import jax

    from experiments.measuring import saved_samples
    from experiments.measuring.drawing import Way, draw
    from experiments.record import chosen_classes
    from experiments.record.chosen_checkpoint import find_checkpoint
    from experiments.record.restored import restore_run

    workdir = Path(WORKDIR.value).expanduser()
    run = restore_run(workdir, step=find_checkpoint(workdir, CHECKPOINT.value))
    key, _ = keys = jax.random.split(jax.random.key(SEED.value))
    way = Way(TRUNCATION.value, PERCENTILE.value if REJECTION.value else None)
    price = ""
    if INTERPOLATE.value:
        samples, labels = _walks(run, keys, way)
    elif chosen_classes.is_walk(run, LABEL.value):
        raise program.UserError(f"--label={LABEL.value} walks between classes: add --interpolate")
    else:
        labels = chosen_classes.choose_labels(run, LABEL.value, NUM_SAMPLES.value, SEED.value)
        samples, draws, accepted = draw(run, key, NUM_SAMPLES.value, way, labels, ema=EMA.value)
        price = f", of {draws:,} draws ({accepted / draws:.1%} accepted)" * REJECTION.value
    out.parent.mkdir(parents=True, exist_ok=True)
    columns = WALK if INTERPOLATE.value else max(1, round(len(samples) ** 0.5))
    if LABEL.value == "each" and not INTERPOLATE.value:
        columns = -(-len(samples) // len(run.class_names))
    saved_samples.save(run, samples, labels, out, columns=columns)
    print(f"wrote {len(samples)} samples of step {run.step} to {out}{price}")
    return 0


def _check_place(out: Path) -> None:
    """Refuse a place that samples cannot be written to; a name without an ending is a folder's."""
    if out.suffix not in (".png", ".npz", ".wav", "") or out.name.startswith(".") or not out.name:
        raise program.UserError(
            f"--out={out} must end in .png or .npz, or .wav for sounds, or be the name of a new folder"
        )
    if not out.suffix and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise program.UserError(f"--out={out} holds something: name an empty folder, or a new one")


def _walks(run, keys, way):
    """Walk between latents of a class, or, from still latents, between classes; samples, and what they are of."""
    from experiments.record import chosen_classes
    from gan_jax.sampling import interpolate

    num, dim = NUM_SAMPLES.value, run.config.latent_dim
    start, end = (way.latents(key, num, dim) for key in keys)
    if chosen_classes.is_walk(run, LABEL.value):
        latents = start.repeat(WALK, axis=0)
        labels = chosen_classes.walk_between(run, LABEL.value, num, WALK)
    else:
        latents = interpolate(start, end, WALK).reshape(-1, dim)
        labels = chosen_classes.choose_labels(run, LABEL.value, num, SEED.value)
        labels = None if labels is None else labels.repeat(WALK)
    return run.generate(latents, labels, ema=EMA.value, batch=BATCH), labels


if __name__ == "__main__":
    program.run(main)
