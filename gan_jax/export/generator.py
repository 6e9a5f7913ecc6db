"""A generator alone: layers and weights, without a game."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from gan_jax import portable

AT_ONCE = 512  # images drawn together: patches of a whole large batch would not fit in memory


class Generator(NamedTuple):
    """A trained generator; calling it runs it by NumPy.

    Attributes:
      program: its layers, with their weights.
      facts: what it was made of and how good it is, as its card says.
      card: that in words, Markdown.
    """

    program: portable.Program
    facts: Mapping[str, Any]
    card: str

    def __call__(self, latents: ArrayLike, labels: ArrayLike | None = None) -> np.ndarray:
        """Generate images.

        Args:
          latents: [N, latent_dim], of a standard normal distribution.
          labels: int[N], the classes to draw, of a generator that knows classes.

        Returns:
          f32[N, H, W, C] in [-1, 1], or points [N, 2].

        Raises:
          ValueError: latents of another width; labels that are missing, superfluous, or no classes.
        """
        latents = np.asarray(latents, np.float32)
        return portable.run(self.program, latents, None if labels is None else np.asarray(labels))

    def sample(self, num: int, seed: int = 0, labels: ArrayLike | None = None) -> np.ndarray:
        """Draw latents and generate images of them; the same seed gives the same images.

        Args:
          num: how many.
          seed: of the latents, and of the classes.
          labels: int[num]; None draws each class with the same chance, where the generator knows any.

        Returns:
          As a call.

        Raises:
          ValueError: as a call; labels of another number.
        """
        rng = np.random.default_rng(seed)
        latents = rng.normal(size=(num, *self.program.input_shape))
        if labels is None and self.program.num_classes is not None:
            labels = rng.integers(self.program.num_classes, size=num)
        if labels is not None and np.shape(labels) != (num,):
            raise ValueError(f"labels must have shape ({num},), got {np.shape(labels)}")
        parts = [slice(start, start + AT_ONCE) for start in range(0, max(num, 1), AT_ONCE)]
        known = [None if labels is None else np.asarray(labels)[part] for part in parts]
        return np.concatenate(
            [self(latents[part], each) for part, each in zip(parts, known, strict=True)]
        )
