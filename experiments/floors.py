"""What real data score: unseen images measured like generated ones, and how each measure moves with their number.

    python -m experiments.floors --dataset=mnist --data_dir=FOLDER --out=floors.png

The test images stand in for a perfect generator's. A measure that is not at its floor for unseen real images says
something of the generator; one that still moves with n says something of n. Several random subsets of each size give
the spread. Prints a table and one JSON line; --out draws the Frechet distance against n.
"""

import json
import os

from absl import flags

from experiments.command import program

DATASET = flags.DEFINE_enum(
    "dataset", "mnist", ("mnist", "fashion_mnist"), "which images, and which frozen network"
)
DATA_DIR = flags.DEFINE_string(
    "data_dir", os.environ.get("GAN_JAX_DATA", "data"), "folder of the data set's IDX files"
)
SIZES = flags.DEFINE_list("sizes", ["500", "1000", "2000", "5000", "10000"], "numbers of images")
CHOSEN = flags.DEFINE_list(
    "measures", ["frechet", "kernel", "manifold", "classes"], "measures of images, as experiments.evaluate has them"
)  # fmt: skip
SUBSETS = flags.DEFINE_integer("subsets", 5, "random subsets of each size", 1, 1000)
OUT = flags.DEFINE_string("out", None, "picture to write, .png, .svg or .pdf; unset: none")


def main() -> int:
    """Measure, print, draw."""
    import numpy as np

    from experiments.measuring import floor, grey_images, measures
    from gan_jax import data

    if OUT.value and not OUT.value.endswith((".png", ".svg", ".pdf")):
        raise program.UserError(f"--out={OUT.value} must end in .png, .svg or .pdf")
    if OUT.value and "frechet" not in CHOSEN.value:
        raise program.UserError("--out draws the Frechet distance: put frechet among --measures")
    sizes, chosen = _sizes(), measures.of_kind("images", measures.named(CHOSEN.value))
    name, place = DATASET.value, DATA_DIR.value
    train, test = (data.load(name, split=split, data_dir=place) for split in ("train", "test"))
    if max(sizes) > len(test.images):
        raise program.UserError(f"--sizes: there are only {len(test.images):,} unseen images")
    yardstick = grey_images.yardstick(train)
    unseen, sha256 = yardstick.read(test.images), yardstick.facts["features_sha256"]
    rng = np.random.default_rng(0)
    rows = [floor.row(chosen, yardstick.train, unseen, size, SUBSETS.value, rng) for size in sizes]
    print(f"{name}, network {sha256[:8]}, test images against the training images")
    print(floor.table(rows))
    print(json.dumps({"dataset": name, "features_sha256": sha256, "rows": rows}))
    if OUT.value:
        _draw(rows, OUT.value)
    return 0


def _sizes() -> list[int]:
    try:
        sizes = [int(text) for text in SIZES.value]
    except ValueError as error:
        raise program.UserError(f"--sizes={','.join(SIZES.value)} are no whole numbers") from error
    if not sizes or min(sizes) < 100:
        raise program.UserError("--sizes: at least 100 images each")
    return sizes


def _draw(rows: list[dict[str, float]], path: str) -> None:
    from gan_jax import plots

    sizes = [row["num_samples"] for row in rows]
    drawn = {"frechet": "Frechet distance", "frechet_infinity": "extrapolated to infinite n"}
    series = {label: (sizes, [row[name] for row in rows]) for name, label in drawn.items()}
    spread = {label: [row[f"{name}_std"] for row in rows] for name, label in drawn.items()}
    title = f"unseen real images of {DATASET.value} against the training images; bars: subsets' deviation"
    names = {"x_label": "images n", "y_label": "squared features"}
    plots.save_lines(series, path, **names, title=title, errors=spread)
    print(f"wrote {path}")


if __name__ == "__main__":
    program.run(main)
