"""What real data score: unseen images measured like generated ones, and how each measure moves with their number.

    python -m experiments.floors --dataset=mnist --data_dir=FOLDER --out=floors.png
    python -m experiments.floors --data_dir=PICTURES --image_size=64 --features=pictures.safetensors

The test images stand in for a perfect generator's. A measure that is not at its floor for unseen real images says
something of the generator; one that still moves with n says something of n. Several random subsets of each size give
the spread. Prints a table and one JSON line; --out draws the Frechet distance against n.

Pictures of one's own are split as experiments.images splits them by the same flags, and read through the network of
--features, which experiments.train_features wrote. Without --sizes n is the number of those that are held out.
"""

import json
import os

from absl import flags

from experiments.command import own_data, program

DATASET = flags.DEFINE_string(
    "dataset",
    None,
    "images that are known by name, in --data_dir; unset: mnist, with --features pictures in --data_dir",
)
FEATURES = flags.DEFINE_string(
    "features", None, "frozen network: mnist, fashion_mnist, or a file of experiments.train_features; unset: the data's"
)  # fmt: skip
DATA_DIR = flags.DEFINE_string(
    "data_dir",
    os.environ.get("GAN_JAX_DATA", "data"),
    "folder of the data set's IDX files; or pictures of your own",
)
SIZES = flags.DEFINE_list(
    "sizes",
    None,
    "numbers of images; unset: 500,1000,2000,5000,10000, of pictures of your own all that are unseen",
)
CHOSEN = flags.DEFINE_list(
    "measures", ["frechet", "kernel", "manifold", "classes"], "measures of images, as experiments.evaluate has them"
)  # fmt: skip
SUBSETS = flags.DEFINE_integer("subsets", 5, "random subsets of each size", 1, 1000)
OUT = flags.DEFINE_string("out", None, "picture to write, .png, .svg or .pdf; unset: none")

own_data.define_picture_flags()


def main() -> int:
    """Measure, print, draw."""
    import numpy as np

    from experiments.measuring import floor, measures

    if OUT.value and not OUT.value.endswith((".png", ".svg", ".pdf")):
        raise program.UserError(f"--out={OUT.value} must end in .png, .svg or .pdf")
    if OUT.value and "frechet" not in CHOSEN.value:
        raise program.UserError("--out draws the Frechet distance: put frechet among --measures")
    sizes, chosen = _sizes(), measures.of_kind("images", measures.named(CHOSEN.value))
    train, test = _load()
    sizes = sizes or [len(test.images)]
    if max(sizes) > len(test.images):
        raise program.UserError(f"--sizes: there are only {len(test.images):,} unseen images")
    kind = measures.kind_named("pictures" if _are_own() else "images", FEATURES.value)
    yardstick = kind.yardstick(train, FEATURES.value)
    unseen, sha256 = yardstick.read(test.images), yardstick.facts["features_sha256"]
    name = train.name
    rng = np.random.default_rng(0)
    rows = [floor.row(chosen, yardstick.train, unseen, size, SUBSETS.value, rng) for size in sizes]
    print(f"{name}, network {sha256[:8]}, test images against the training images")
    print(floor.table(rows))
    print(json.dumps({"dataset": name, "features_sha256": sha256, "rows": rows}))
    if OUT.value:
        _draw(rows, OUT.value, name)
    return 0


def _are_own() -> bool:
    return bool(FEATURES.value) and not DATASET.value


def _load():
    from gan_jax import data

    name, place = DATASET.value or "mnist", DATA_DIR.value
    if _are_own():
        return data.load_pictures(
            place, own_data.picture_options(flags.FLAGS), cache=flags.FLAGS.data_cache
        )
    return [data.load(name, split=split, data_dir=place) for split in ("train", "test")]


def _sizes() -> list[int]:
    """Read --sizes; none stands for all unseen images."""
    if SIZES.value is None:
        return [] if _are_own() else [500, 1000, 2000, 5000, 10_000]
    try:
        sizes = [int(text) for text in SIZES.value]
    except ValueError as error:
        raise program.UserError(f"--sizes={','.join(SIZES.value)} are no whole numbers") from error
    if not sizes or min(sizes) < 100:
        raise program.UserError("--sizes: at least 100 images each")
    return sizes


def _draw(rows: list[dict[str, float]], path: str, name: str) -> None:
    from gan_jax import plots

    sizes = [row["num_samples"] for row in rows]
    drawn = {"frechet": "Frechet distance", "frechet_infinity": "extrapolated to infinite n"}
    series = {label: (sizes, [row[name] for row in rows]) for name, label in drawn.items()}
    spread = {label: [row[f"{name}_std"] for row in rows] for name, label in drawn.items()}
    title = f"unseen real images of {name} against the training images; bars: subsets' deviation"
    names = {"x_label": "images n", "y_label": "squared features"}
    plots.save_lines(series, path, **names, title=title, errors=spread)
    print(f"wrote {path}")


if __name__ == "__main__":
    program.run(main)
