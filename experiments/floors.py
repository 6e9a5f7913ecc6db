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
SUBSETS = flags.DEFINE_integer("subsets", 5, "random subsets of each size", 1, 1000)
OUT = flags.DEFINE_string("out", None, "picture to write, .png, .svg or .pdf; unset: none")


def main() -> int:
    """Measure, print, draw."""
    import numpy as np

    from experiments.measuring import measures
    from gan_jax import data
    from gan_jax.evaluation.features import load_features

    if OUT.value and not OUT.value.endswith((".png", ".svg", ".pdf")):
        raise program.UserError(f"--out={OUT.value} must end in .png, .svg or .pdf")
    sizes = _sizes()
    network = load_features(DATASET.value)
    train, test = (
        measures.embed_images(network, data.load(DATASET.value, split=s, data_dir=DATA_DIR.value).images)
        for s in ("train", "test")
    )  # fmt: skip
    if max(sizes) > len(test.images):
        raise program.UserError(f"--sizes: there are only {len(test.images):,} unseen images")
    rng = np.random.default_rng(0)
    rows = [_measure(train, test, size, rng) for size in sizes]
    print(f"{DATASET.value}, network {network.sha256[:8]}, test images against the training images")
    print(_table(rows))
    print(json.dumps({"dataset": DATASET.value, "features_sha256": network.sha256, "rows": rows}))
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


def _measure(train, test, size: int, rng) -> dict[str, float]:
    """Average each measure over random subsets [size] of the test images; `_std` is the spread over subsets."""
    import numpy as np

    from gan_jax.evaluation.frechet import frechet_distance, frechet_distance_infinity
    from gan_jax.evaluation.kernel import kernel_distance
    from gan_jax.evaluation.manifold import manifold_scores

    found: dict[str, list[float]] = {}
    for _ in range(SUBSETS.value):
        unseen, seen = (
            features[rng.permutation(len(features))[:size]]
            for features in (test.features, train.features)
        )
        values = {
            "frechet": frechet_distance(train.features, unseen),
            "frechet_infinity": frechet_distance_infinity(train.features, unseen),
            "kernel": kernel_distance(seen, unseen),
            **manifold_scores(seen, unseen)._asdict(),
        }
        for name, value in values.items():
            found.setdefault(name, []).append(float(value))
    row: dict[str, float] = {"num_samples": size}
    for name, column in found.items():
        row |= {name: float(np.mean(column)), f"{name}_std": float(np.std(column))}
    return row


def _table(rows: list[dict[str, float]]) -> str:
    names = [name for name in rows[0] if not name.endswith("_std") and name != "num_samples"]
    lines = [f"{'n':>7}" + "".join(f"{name:>24}" for name in names)]
    for row in rows:
        cells = (f"{row[name]:.4g} +- {row[f'{name}_std']:.2g}" for name in names)
        lines.append(f"{row['num_samples']:>7,}" + "".join(f"{cell:>24}" for cell in cells))
    return "\n".join(lines)


def _draw(rows: list[dict[str, float]], path: str) -> None:
    from gan_jax import plots

    sizes = [row["num_samples"] for row in rows]
    series = {
        "Frechet distance": (sizes, [row["frechet"] for row in rows]),
        "extrapolated to infinite n": (sizes, [row["frechet_infinity"] for row in rows]),
    }
    title = f"unseen real images of {DATASET.value} against the training images"
    plots.save_lines(series, path, x_label="images n", y_label="squared features", title=title)
    print(f"wrote {path}")


if __name__ == "__main__":
    program.run(main)
