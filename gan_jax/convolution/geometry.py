"""The static part of a convolution."""

from typing import Any, Literal, NamedTuple

Lowering = Literal["auto", "matmul", "lax"]


class Geometry(NamedTuple):
    """The static part of a convolution: hashable, so that it can be a non-differentiated argument.

    Attributes:
      kernel: (KH, KW), pixels.
      strides: pixels between neighbouring outputs, along height and width.
      size: (H, W) of the side that is larger, pixels.
      lowering: "matmul", "lax", or "auto" (matmul on CPU, lax elsewhere).
      batch_last: images and outputs are [C, H, W, B] instead of [B, H, W, C].
      operands: type to which the operands of products are rounded, before anything is gathered; None: not at all.
    """

    kernel: tuple[int, int]
    strides: tuple[int, int]
    size: tuple[int, int]
    lowering: Lowering = "auto"
    batch_last: bool = False
    operands: Any = None
