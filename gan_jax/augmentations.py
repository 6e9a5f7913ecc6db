"""Augmentations of what D sees, real and generated alike, for small data sets: `AUGMENTATIONS` names them.

Each is `(key, images) -> images`, differentiable by the images and drawn for each image on its own. G learns through
them, and since none hides which images are real, it does not learn to draw them.

Reference: Zhao et al. 2020, "Differentiable Augmentation for Data-Efficient GAN Training", arXiv:2006.10738, with the
ranges of its code.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from gan_jax.types import Array, Augment, Images, Key

AugmentBy = Callable[[Key, Images, Array], Images]  # `(key, images, strength) -> images`
REACH = 1 / 8  # of the size: the farthest translation
HOLE = 1 / 2  # of the size: a side of what is cut out


def colour(key: Key, images: Images) -> Images:
    """Change brightness by up to 0.5, saturation by a factor of 0 to 2, and contrast by one of 0.5 to 1.5.

    Args:
      key: draws all three for each image.
      images: [B, H, W, C] in [-1, 1]; grey ones have no saturation.

    Returns:
      [B, H, W, C], which may leave [-1, 1].
    """
    keys = jax.random.split(key, 3)
    brightness, saturation, contrast = (
        jax.random.uniform(each, (images.shape[0], 1, 1, 1), images.dtype) for each in keys
    )
    images = images + (brightness - 0.5)
    images = _stretch(images, 2.0 * saturation, axes=(3,))
    return _stretch(images, contrast + 0.5, axes=(1, 2, 3))


def _stretch(images: Images, factor: Array, axes: tuple[int, ...]) -> Images:
    mean = images.mean(axis=axes, keepdims=True)
    return (images - mean) * factor + mean


def translation(key: Key, images: Images) -> Images:
    """Move each image by up to an eighth of its height and width; what comes in at the edge is middle grey.

    Moves are products with a matrix of zeros and ones for each axis, which are fast on every platform, in both
    directions of a gradient.

    Args:
      key: draws both moves of each image, whole pixels, each as likely.
      images: [B, H, W, C] in [-1, 1].

    Returns:
      [B, H, W, C].
    """
    rows, columns = _sources(key, images)
    return _taken(images, rows, columns)  # a source outside is no pixel


def shift(key: Key, images: Images) -> Images:
    """Move each image as `translation` does; what comes in at the edge repeats the outermost pixels.

    On a background of one colour nothing but the move is seen, where `translation` brings in grey bars.

    Args:
      key: draws both moves of each image, whole pixels, each as likely.
      images: [B, H, W, C].

    Returns:
      [B, H, W, C].
    """
    rows, columns = _sources(key, images)
    height, width = images.shape[1:3]
    return _taken(images, rows.clip(0, height - 1), columns.clip(0, width - 1))


def _sources(key: Key, images: Images) -> tuple[Array, Array]:
    """From which rows [B, H] and columns [B, W] each image is read once it is moved; some lie outside."""

    def along(key: Key, size: int) -> Array:
        reach = int(size * REACH + 0.5)
        moves = jax.random.randint(key, (images.shape[0], 1), -reach, reach + 1)
        return jnp.arange(size)[None] - moves

    rows_key, columns_key = jax.random.split(key)
    return along(rows_key, images.shape[1]), along(columns_key, images.shape[2])


def _taken(images: Images, rows: Array, columns: Array) -> Images:
    down = jax.nn.one_hot(rows, images.shape[1], dtype=images.dtype)
    across = jax.nn.one_hot(columns, images.shape[2], dtype=images.dtype)
    exact = jax.lax.Precision.HIGHEST  # the pixels themselves, on every platform
    images = jnp.einsum("bij,bjwc->biwc", down, images, precision=exact)
    return jnp.einsum("bij,bhjc->bhic", across, images, precision=exact)


def cutout(key: Key, images: Images) -> Images:
    """Set a rectangle of half the height and half the width to middle grey, its centre anywhere in the image.

    Args:
      key: draws the centre for each image.
      images: [B, H, W, C] in [-1, 1].

    Returns:
      [B, H, W, C].
    """
    inside = [
        _is_cut(each, images.shape[0], size)
        for each, size in zip(jax.random.split(key), images.shape[1:3], strict=True)
    ]
    hole = inside[0][:, :, None, None] & inside[1][:, None, :, None]
    return jnp.where(hole, 0.0, images)


def _is_cut(key: Key, num: int, size: int) -> Array:
    side = int(size * HOLE + 0.5)
    first = jax.random.randint(key, (num, 1), 0, size + 1 - side % 2) - side // 2
    place = jnp.arange(size)[None]
    return (place >= first) & (place < first + side)


AUGMENTATIONS: dict[str, Augment] = {
    "colour": colour,
    "translation": translation,
    "cutout": cutout,
    "shift": shift,
}


def in_turn(names: Sequence[str]) -> Augment:
    """Put augmentations one after another, in the order of `AUGMENTATIONS`.

    Args:
      names: keys of the table, in any order.

    Returns:
      An `Augment`, for `GAN.augment`.

    Raises:
      ValueError: a name is unknown; and from the augmentation, if it is given anything but images [B, H, W, C].
    """
    chosen = _chosen(names)

    def augment(key: Key, images: Images) -> Images:
        if images.ndim != 4:
            raise ValueError(f"augmentations are of images [B, H, W, C], got shape {images.shape}")
        for each, function in zip(jax.random.split(key, len(chosen)), chosen.values(), strict=True):
            images = function(each, images)
        return images

    return augment


def by_chance(names: Sequence[str]) -> AugmentBy:
    """Put augmentations one after another, each of which changes an image only with a probability, its strength.

    Args:
      names: as `in_turn` takes them.

    Returns:
      `(key, images, strength f32[] in [0, 1]) -> images`: at 0 the images as they are, at 1 all of them changed.

    Raises:
      ValueError: as `in_turn`.

    Reference: Karras et al. 2020, section 2.2, arXiv:2006.06676; of their augmentations those of `AUGMENTATIONS`.
    """
    chosen = _chosen(names)

    def augment(key: Key, images: Images, strength: Array) -> Images:
        if images.ndim != 4:
            raise ValueError(f"augmentations are of images [B, H, W, C], got shape {images.shape}")
        for each, function in zip(jax.random.split(key, len(chosen)), chosen.values(), strict=True):
            change_key, chance_key = jax.random.split(each)
            chance = jax.random.uniform(chance_key, (images.shape[0], 1, 1, 1))
            images = jnp.where(chance < strength, function(change_key, images), images)
        return images

    return augment


def _chosen(names: Sequence[str]) -> dict[str, Augment]:
    if unknown := [name for name in names if name not in AUGMENTATIONS]:
        raise ValueError(
            f"{unknown[0]!r} is no augmentation: choose from {', '.join(AUGMENTATIONS)}"
        )
    return {name: function for name, function in AUGMENTATIONS.items() if name in names}
