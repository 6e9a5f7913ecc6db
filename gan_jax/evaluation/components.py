"""Principal components of the pixels: a space to compare pictures of any size in that no network was trained for.

A frozen network sees what its training taught it to see, and a recipe that was searched with it may have learnt its
blind spots. The 64 directions in which the training pictures vary most are a judge of another kind: they know nothing
of classes and everything of ink, position and colour.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

FITTED = 10_000  # pictures that the directions are found from, at most
FITTED_NUMBERS = 2**27  # in all of them: as floats 0.5 GB, and some times that on the way
FITTED_LEAST = 256  # however large they are
CHUNK = 1024  # pictures turned into floats at a time


class Components(NamedTuple):
    """The directions in which pictures vary most, and the unit that lengths along them are told in.

    Attributes:
      mean: f32[D], of the pictures, flattened.
      axes: f32[K, D], orthonormal rows, the direction of the greatest variance first.
      scale: root of the variance along all K axes together, in the units of the pictures.
    """

    mean: np.ndarray
    axes: np.ndarray
    scale: float

    def project(self, pictures: ArrayLike) -> np.ndarray:
        """Give each picture its K coordinates, in units of `scale`.

        Args:
          pictures: [N, ...], in the units of those that the components were fitted to.

        Returns:
          f32[N, K].

        Raises:
          ValueError: they are of another size.
        """
        pictures = np.asarray(pictures)
        if pictures.ndim < 2 or np.prod(pictures.shape[1:]) != len(self.mean):
            raise ValueError(
                f"pictures must have {len(self.mean)} values each, got shape {pictures.shape}"
            )
        rows = pictures.reshape(len(pictures), -1)
        parts = [rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK)]
        axes = self.axes.T / np.float32(self.scale)
        return np.concatenate([(part.astype(np.float32) - self.mean) @ axes for part in parts])


def principal_components(pictures: ArrayLike, num: int = 64, *, seed: int = 0) -> Components:
    """Find the directions in which pictures vary most.

    Coordinates along them are divided by the root of the variance that they hold together. So a squared distance in
    these coordinates is a share of that variance, whatever the number of pixels and their range, and a sampler that
    always draws the mean picture is at a Frechet distance of 1 (of the pictures fitted, exactly).

    Args:
      pictures: [N, ...], N >= 2: training pictures as pixels, or any vectors. The directions are found from a random
        choice of 10,000 where there are more; of large pictures fewer (2^27 numbers in all, but 256 pictures at least).
      num: of directions, at least 1; fewer where there are fewer pictures (N - 1) or pixels.
      seed: of that choice, and of the randomised decomposition by which large pictures are taken.

    Returns:
      The components.

    Raises:
      ValueError: there are fewer than 2 pictures, num < 1, values that are not finite, or all pictures are the same.
    """
    from sklearn.decomposition import PCA

    pictures = np.asarray(pictures)
    if pictures.ndim < 2 or len(pictures) < 2 or num < 1:
        raise ValueError(
            f"components need pictures [N, ...] with N >= 2 and num >= 1, got {pictures.shape} and {num}"
        )
    each = max(1, int(np.prod(pictures.shape[1:])))
    most = min(FITTED, max(FITTED_LEAST, FITTED_NUMBERS // each))
    if len(pictures) > most:
        pictures = pictures[np.random.default_rng(seed).permutation(len(pictures))[:most]]
    rows = pictures.reshape(len(pictures), -1).astype(np.float32)
    if not np.ptp(rows, axis=0).any():
        raise ValueError(f"all {len(rows)} pictures are the same: they vary in no direction")
    found = PCA(min(num, len(rows) - 1, rows.shape[1]), random_state=seed).fit(rows)
    scale = float(np.sqrt(found.explained_variance_.sum(dtype=np.float64)))
    return Components(found.mean_, found.components_, scale)
