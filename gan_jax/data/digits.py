"""Real handwritten digits that need no download: scikit-learn's 1,797, enlarged to MNIST's 28x28.

The source has 8x8 pixels of 0..16 (counts of ink in 4x4 blocks), filled from top to bottom. Each digit is
enlarged 2.5 times, to MNIST's box of 20 pixels with a margin of 4, and its contrast is raised, since enlarging
leaves grey where a pen leaves an edge. Shares of black (below 20), grey and white (above 235) pixels:
0.81, 0.10, 0.10; MNIST's are 0.82, 0.09, 0.09.

Reference: Alpaydin and Kaynak, "Optical recognition of handwritten digits" (1998), UCI repository (test part).
"""

import importlib.util
from pathlib import Path

import numpy as np

TRAIN_DIGITS, TEST_DIGITS = 1500, 297
_BLACK, _WHITE = 80, 200  # grey levels that become 0 and 255


def digits(split: str) -> tuple[np.ndarray, np.ndarray]:
    """Load one split; every class gives the same share of its digits to each.

    Args:
      split: "train" (1,500 digits) or "test" (297).

    Returns:
      images uint8 [N, 28, 28, 1], labels int32 [N], in the source's order.
    """
    table = _table()
    pixels, labels = table[:, :-1].reshape(-1, 8, 8), table[:, -1].astype(np.int32)
    chosen = split_indices(labels, TEST_DIGITS)[split]
    images = np.stack([enlarge(digit) for digit in pixels[chosen]])
    return images[..., None], labels[chosen]


def _table() -> np.ndarray:
    """Read scikit-learn's digits, f64[1797, 65], of pixels and class; from its file, as importing it takes seconds."""
    package = importlib.util.find_spec("sklearn")
    for folder in package.submodule_search_locations or () if package else ():
        file = Path(folder, "datasets", "data", "digits.csv.gz")
        if file.is_file():
            return np.loadtxt(file, delimiter=",")
    from sklearn.datasets import load_digits  # it keeps its file elsewhere

    source = load_digits()
    return np.column_stack([source.data, source.target])


def split_indices(labels: np.ndarray, num_test: int) -> dict[str, np.ndarray]:
    """Split by taking every k-th sample of the list sorted by class, so both parts are balanced.

    Args:
      labels: classes [N].
      num_test: number of test samples, at most N.

    Returns:
      "train" and "test": increasing indices, which together are each index once.
    """
    by_class = np.argsort(labels, kind="stable")
    test = np.zeros(len(labels), bool)
    test[by_class[(2 * np.arange(num_test) + 1) * len(labels) // (2 * num_test)]] = True
    return {"train": np.flatnonzero(~test), "test": np.flatnonzero(test)}


def enlarge(pixels: np.ndarray) -> np.ndarray:
    """Turn one digit [8, 8] of 0..16 into uint8 [28, 28]."""
    from PIL import Image

    padded = np.pad(pixels, 2).astype(np.float32) * (255 / 16)  # the margin stops ink at the edge
    smooth = np.asarray(Image.fromarray(padded).resize((30, 30), Image.Resampling.LANCZOS))
    contrast = (smooth[1:-1, 1:-1] - _BLACK) * (255 / (_WHITE - _BLACK))
    return np.clip(np.rint(contrast), 0, 255).astype(np.uint8)
