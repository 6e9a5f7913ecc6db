"""Generators that come with the package, trained by its own recipes: samples without training and without files.

    generator = gan_jax.pretrained("digits")
    images = generator.sample(16, seed=0)  # f32[16, 28, 28, 1] in [-1, 1]
    print(generator.card)

Each lies in a folder of its own, as `experiments.export --files=weights --half` writes it: about 1 MB.
"""

from importlib import resources
from pathlib import Path

from gan_jax.export import Generator, load_generator

FOLDER = Path(str(resources.files("gan_jax.shipped")))


def names() -> list[str]:
    """Name the generators that are shipped."""
    return sorted(folder.parent.name for folder in FOLDER.glob("*/generator.json"))


def pretrained(name: str) -> Generator:
    """Load a generator that comes with the package, after checking its weights' SHA-256.

    Args:
      name: "digits" or another of `names()`.

    Returns:
      The generator, with its card.

    Raises:
      ValueError: there is none of that name, or its files were changed (`ExportError`).
    """
    if name not in names():
        raise ValueError(f"name must be one of {', '.join(names())}, got {name!r}")
    return load_generator(FOLDER / name)
