"""Pictures and batches of a game with labels: which classes go with which latents."""

import jax.numpy as jnp
import numpy as np

from gan_jax.types import Labels, Latents

ROWS = 16  # classes that a picture shows, at most


def class_rows(latents: Latents, num_classes: int) -> tuple[Latents, Labels]:
    """Lay out a grid with a row for each class and a column for each of the latents.

    Of many classes it shows some, evenly from the first to the last.

    Args:
      latents: [C, Z].
      num_classes: how many there are.

    Returns:
      Latents [R * C, Z] and classes i32[R * C], row by row.
    """
    rows = np.unique(np.linspace(0, num_classes - 1, min(ROWS, num_classes)).round().astype(int))
    labels = jnp.asarray(np.repeat(rows, len(latents)), jnp.int32)
    return jnp.tile(latents, (len(rows), 1)), labels
