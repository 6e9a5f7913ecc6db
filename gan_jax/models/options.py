"""What a family of networks is asked for: the numbers from which its file builds both players."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp


class PlayerOptions(NamedTuple):
    """Wishes for a pair of players; a family refuses what it cannot do.

    Attributes:
      sample_shape: of one sample: (H, W, C) for images, (D,) for points.
      width: factor on the hidden channels of G.
      d_width: the same for D.
      g_hidden: widths of G's hidden dense layers; empty for the family's own.
      d_hidden: the same for D.
      bias_std: standard deviation of hidden dense biases at the start.
      num_classes: classes that both players are told of by labels; 0 for none.
      spectral_norm: whether each of D's layers is divided by its largest singular value.
      image_layer: G's last layer, one of dcgan.IMAGE_LAYERS.
      paired: the loss compares each real image with a generated one, so no player should normalise over a batch; the
        article's G, which is as published, does.
      uncoupled: D's samples must not influence one another (penalties, the one-stage update).
      dtype: type of the products' operands; what is not a product is float32.
      phase_shuffle: samples by which the wave family's D moves its maps at random, at most; others have no use for it.
    """

    sample_shape: tuple[int, ...]
    width: float = 1.0
    d_width: float = 1.0
    g_hidden: tuple[int, ...] = ()
    d_hidden: tuple[int, ...] = ()
    bias_std: float = 0.0
    paired: bool = False
    uncoupled: bool = False
    dtype: Any = jnp.float32
    image_layer: str = "conv"
    num_classes: int = 0
    spectral_norm: bool = False
    phase_shuffle: int = 0


def image_shape(options: PlayerOptions) -> tuple[int, int, int]:
    """Give (H, W, C).

    Raises:
      ValueError: the samples are no images, or hidden biases are to be drawn.
    """
    if len(options.sample_shape) != 3:
        shape = options.sample_shape
        raise ValueError(f"needs images [H, W, C], got samples of shape {shape}; try mlp")
    if options.bias_std:
        raise ValueError("draws no hidden biases: leave --bias_std at 0, or try mlp")
    height, width, channels = options.sample_shape
    return height, width, channels


def channels_of_28x28(options: PlayerOptions) -> int:
    """Give the channels of 28x28 images.

    Raises:
      ValueError: the samples are others, or what is asked for the published networks lack.
    """
    height, width, channels = image_shape(options)
    if (height, width) != (28, 28):
        raise ValueError(f"makes 28x28 images, got {height}x{width}; try dcgan or mlp")
    if options.spectral_norm:
        raise ValueError("is as published, without spectral norm; try dcgan or mlp")
    if options.g_hidden or options.d_hidden:
        raise ValueError("has no hidden dense layers to choose; try dcgan or mlp")
    refuse_image_layer(options)
    return channels


def refuse_image_layer(options: PlayerOptions) -> None:
    """Refuse a choice of G's last layer, for families that have none.

    Raises:
      ValueError: another than "conv" is asked for.
    """
    if options.image_layer != "conv":
        raise ValueError("has no last layer to choose: leave --image_layer at conv, or try dcgan")


def stages(size: int | Sequence[int]) -> list[tuple[int, int]]:
    """List the sizes from the smallest map to the image: 28 -> [(7, 7), (14, 14), (28, 28)].

    Both sides are halved as long as both are even and stay above 3 pixels; the first halving may reach 3.

    Args:
      size: (H, W) of the image, pixels; one number for a square.

    Raises:
      ValueError: a side is odd or below 6 pixels.
    """
    height, width = (size, size) if isinstance(size, int) else size
    if height % 2 or width % 2 or min(height, width) < 6:
        raise ValueError(
            f"needs an even height and width of at least 6 pixels, got {height}x{width}"
        )
    sizes = [(height // 2, width // 2), (height, width)]
    while all(side % 2 == 0 and side >= 8 for side in sizes[0]):
        sizes.insert(0, (sizes[0][0] // 2, sizes[0][1] // 2))
    return sizes


def scaled(channels: int, width: float) -> int:
    """Multiply a number of channels by a width, and keep at least one."""
    return max(1, round(channels * width))
