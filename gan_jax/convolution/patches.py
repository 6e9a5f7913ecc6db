"""Patches of images and their sum back: the two data movements of a convolution by matrix product.

Tap i of a kernel reads pixel `s * o + i - before` for output pixel o, with stride s and the padding of "SAME".
`gather_patches` copies those pixels side by side; `scatter_patches`, its adjoint, adds them back where they came
from. Both use only unit steps and static slices, the forms that XLA:CPU turns into plain copies: scattering builds
each of the s * s interleaved sub-images from shifted sums and interleaves once, instead of adding KH * KW dilated
images. Mirrored (stride one only), tap i reads pixel `o - i + before`.

Taps first is the layout for few channels, as an image has: a row of pixels then lies side by side in memory and is
moved whole, where taps last would move numbers one by one (2 to 5 times slower on CPU with one channel). Batch last,
[C, H, W, B], does the same for networks that have few channels throughout: neither side is ever turned.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import lax

from gan_jax.types import Array

Pair = tuple[int, int]


def gather_patches(
    x: Array,
    kernel: Pair,
    strides: Pair,
    *,
    mirrored: bool = False,
    taps_first: bool = False,
    batch_last: bool = False,
) -> Array:
    """Lay out the pixels under the kernel.

    x [B, H, W, C] -> [B, ceil(H/s), ceil(W/s), KH * KW * C], or, taps first, [KH * KW * C, B, ceil(H/s), ceil(W/s)];
    batch last, x [C, H, W, B] -> [KH * KW * C, ceil(H/s), ceil(W/s), B].
    """
    height, width = (2, 3) if taps_first else (1, 2)
    x = x.transpose(3, 0, 1, 2) if taps_first else x
    rows = _reads(x.shape[height], kernel[0], strides[0], mirrored)
    columns = _reads(x.shape[width], kernel[1], strides[1], mirrored)
    padded = _pad(x, {height: rows.padding, width: columns.padding})

    def under(top: int, left: int) -> Array:
        band = lax.slice_in_dim(padded, top, top + rows.extent, strides[0], axis=height)
        return lax.slice_in_dim(band, left, left + columns.extent, strides[1], axis=width)

    patches = [under(top, left) for top in rows.starts for left in columns.starts]
    return jnp.concatenate(patches, axis=0 if taps_first or batch_last else 3)


def scatter_patches(
    patches: Array,
    kernel: Pair,
    strides: Pair,
    size: Pair,
    *,
    mirrored: bool = False,
    taps_first: bool = False,
    batch_last: bool = False,
) -> Array:
    """Add patches, of any form that `gather_patches` gives, back to pixels of the form it took; size is (H, W)."""
    height, width = (2, 3) if taps_first else (1, 2)
    tap_axis = 0 if taps_first or batch_last else 3
    channels = patches.shape[tap_axis] // (kernel[0] * kernel[1])
    rows = _writes(size[0], kernel[0], strides[0], mirrored)
    columns = _writes(size[1], kernel[1], strides[1], mirrored)
    padded = _pad(patches, {height: rows.padding, width: columns.padding})

    def shifted(row_tap: Pair, column_tap: Pair) -> Array:
        (i, top), (j, left) = row_tap, column_tap
        first = (i * kernel[1] + j) * channels
        tap = lax.slice_in_dim(padded, first, first + channels, axis=tap_axis)
        band = lax.slice_in_dim(tap, top, top + rows.count, axis=height)
        return lax.slice_in_dim(band, left, left + columns.count, axis=width)

    def sub_image(row_phase: int, column_phase: int) -> Array:
        taps = [
            shifted(row_tap, column_tap)
            for row_tap in rows.taps[row_phase]
            for column_tap in columns.taps[column_phase]
        ]
        if taps:
            return sum(taps[1:], start=taps[0])
        extents = {tap_axis: channels, height: rows.count, width: columns.count}
        return jnp.zeros([extents.get(i, n) for i, n in enumerate(patches.shape)], patches.dtype)

    bands = [
        jnp.stack([sub_image(a, b) for b in range(strides[1])], axis=width + 1)
        for a in range(strides[0])
    ]
    interleaved = jnp.stack(bands, axis=height + 1)  # [..., count, s, count, s, ...]
    if taps_first:
        interleaved = jnp.moveaxis(interleaved, 0, -1)
    outer, inner = (channels, -1) if batch_last else (-1, channels)
    whole = (outer, rows.count * strides[0], columns.count * strides[1], inner)
    return interleaved.reshape(whole)[:, : size[0], : size[1]]


def _pad(x: Array, padding: dict[int, Pair]) -> Array:
    return jnp.pad(x, [padding.get(axis, (0, 0)) for axis in range(x.ndim)])


def padding_before(size: int, kernel: int, stride: int) -> int:
    """Count the pixels that "SAME" adds at the low side: the smaller half of what is missing."""
    outputs = -(-size // stride)
    return max((outputs - 1) * stride + kernel - size, 0) // 2


class _Reads(NamedTuple):
    """Where along one axis each tap begins to read, once the axis is padded."""

    padding: Pair
    starts: list[int]  # one for each tap
    extent: int  # pixels from a tap's first read to one past its last


def _reads(size: int, kernel: int, stride: int, mirrored: bool) -> _Reads:
    before = padding_before(size, kernel, stride)
    offsets = [before - i if mirrored else i - before for i in range(kernel)]
    extent = (-(-size // stride) - 1) * stride + 1
    low = max(0, -min(offsets))
    high = max(0, max(offsets) + extent - size)
    return _Reads((low, high), [low + offset for offset in offsets], extent)


class _Writes(NamedTuple):
    """Which taps reach each interleaved sub-image of one axis, and from where in the padded patches."""

    padding: Pair
    taps: list[list[Pair]]  # for each phase, (tap, start)
    count: int  # pixels of one sub-image


def _writes(size: int, kernel: int, stride: int, mirrored: bool) -> _Writes:
    before = padding_before(size, kernel, stride)

    def shift(phase: int, tap: int) -> int | None:
        # Pixel s * q + phase hears tap i of output o where s * o + i - before is that pixel.
        distance = tap - before if mirrored else phase + before - tap
        return None if distance % stride else distance // stride

    reach = [
        [(tap, shift(phase, tap)) for tap in range(kernel) if shift(phase, tap) is not None]
        for phase in range(stride)
    ]
    shifts = [distance for taps in reach for _, distance in taps]
    low = max(0, -min(shifts))
    taps = [[(tap, low + distance) for tap, distance in phase] for phase in reach]
    return _Writes((low, max(0, max(shifts))), taps, -(-size // stride))
