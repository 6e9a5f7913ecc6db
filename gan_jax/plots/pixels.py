"""Pictures made of generated pixels: grids, latent walks, and animations of a grid over training."""

import io
import os
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from gan_jax.plots.files import picture_format, write_atomically

GUTTER_LEVEL = 255  # of 255: the colour between the images of a grid, and of the cells left empty
STRIP = 26  # pixels: of the title above a grid
GRID_WIDTH = 600  # pixels: small images are enlarged to about this width
MAX_FRAMES = 60
LAST_FRAME_MILLISECONDS = 2000


def _as_bytes(images) -> np.ndarray:
    """Images [N, H, W, C] as uint8, rounding and clipping floats in [-1, 1]."""
    images = np.asarray(images)
    if images.ndim != 4 or 0 in images.shape or images.shape[-1] not in (1, 3):
        raise ValueError(f"images must have shape [N, H, W, 1 or 3], N > 0, got {images.shape}")
    if images.dtype == np.uint8:
        return images
    if images.dtype.name not in ("float16", "bfloat16", "float32", "float64"):
        raise ValueError(f"images must be uint8, or floats in [-1, 1], got {images.dtype}")
    images = images.astype(np.float32)
    if not np.isfinite(images).all():
        raise ValueError(f"images must be finite, got {(~np.isfinite(images)).sum()} values not so")
    return np.clip(np.rint(images * 127.5 + 127.5), 0, 255).astype(np.uint8)


def grid(images: ArrayLike, columns: int = 5, gutter: int = 1) -> np.ndarray:
    """Tile images, row by row, into one image with gutters between them.

    Args:
      images: [N, H, W, C], C 1 or 3: uint8, or floats in [-1, 1] (what lies outside is clipped).
      columns: images per row; empty cells of the last row stay blank.
      gutter: pixels between neighbours and around the whole.

    Returns:
      uint8 [rows * (H + gutter) + gutter, columns * (W + gutter) + gutter, C].

    Raises:
      ValueError: for another shape or type, values that are not finite, columns < 1 or gutter < 0.
    """
    images = _as_bytes(images)
    if columns < 1 or gutter < 0:
        raise ValueError(f"columns must be >= 1 and gutter >= 0, got {columns} and {gutter}")
    num, height, width, channels = images.shape
    rows = -(-num // columns)
    cell = (height + gutter, width + gutter, channels)
    cells = np.full((rows * columns, *cell), GUTTER_LEVEL, np.uint8)
    cells[:num, :height, :width] = images
    tiled = cells.reshape(rows, columns, *cell).transpose(0, 2, 1, 3, 4)
    tiled = tiled.reshape(rows * cell[0], columns * cell[1], channels)
    return np.pad(tiled, ((gutter, 0), (gutter, 0), (0, 0)), constant_values=GUTTER_LEVEL)


def save_grid(
    images: ArrayLike, path: str | os.PathLike, *, columns: int = 5, title: str = ""
) -> None:
    """Save `grid(images, columns)` as a picture about 600 pixels wide.

    Small images are enlarged by a whole factor without interpolation: every pixel seen was generated.

    Args:
      images: [N, H, W, C], C 1 or 3: uint8, or floats in [-1, 1].
      path: where; the extension names the format (".png" keeps the pixels exactly).
      columns: images per row.
      title: a few words in a strip of `STRIP` pixels above the grid, which a .png says of itself, too; "" for none.

    Raises:
      ValueError: as `grid`.
    """
    from PIL import Image

    tiled = grid(images, columns)
    scale = max(1, round(GRID_WIDTH / tiled.shape[1]))
    tiled = tiled.repeat(scale, axis=0).repeat(scale, axis=1)
    picture = Image.fromarray(tiled[..., 0] if tiled.shape[-1] == 1 else tiled)
    kept = {}
    if title:
        picture = _titled(picture, title)
        kept = {"pnginfo": _png_title(title)} if picture_format(path) == "png" else {}
    write_atomically(path, lambda file: picture.save(file, format=picture_format(path), **kept))


def _titled(picture, title: str):
    """Put a strip with words above a picture."""
    from PIL import Image, ImageDraw, ImageFont

    white = 255 if picture.mode == "L" else (255,) * 3
    titled = Image.new(picture.mode, (picture.width, picture.height + STRIP), white)
    titled.paste(picture, (0, STRIP))
    black = 0 if picture.mode == "L" else (0,) * 3
    ImageDraw.Draw(titled).text((6, 5), title, fill=black, font=ImageFont.load_default(14))
    return titled


def _png_title(title: str):
    from PIL import PngImagePlugin

    info = PngImagePlugin.PngInfo()
    info.add_itxt("Title", title)
    return info


def save_picture(image: ArrayLike, path: str | os.PathLike) -> None:
    """Save one image as it is, pixel for pixel.

    Args:
      image: [H, W, C], C 1 or 3: uint8, or floats in [-1, 1].
      path: where; the extension names the format (".png" keeps the pixels exactly).

    Raises:
      ValueError: as `grid`.
    """
    from PIL import Image

    pixels = _as_bytes(np.asarray(image)[None])[0]
    picture = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    write_atomically(path, lambda file: picture.save(file, format=picture_format(path)))


def save_interpolation(walks: ArrayLike, path: str | os.PathLike, *, title: str = "") -> None:
    """Save latent walks as a grid, one walk per row.

    Args:
      walks: [R, C, H, W, channels]: R walks of C images each, uint8 or floats in [-1, 1].
      path: where.
      title: as of `save_grid`.

    Raises:
      ValueError: if `walks` has another shape, or as `grid`.
    """
    walks = np.asarray(walks)
    if walks.ndim != 5 or 0 in walks.shape:
        raise ValueError(f"walks must have shape [R, C, H, W, channels], got {walks.shape}")
    save_grid(walks.reshape(-1, *walks.shape[2:]), path, columns=walks.shape[1], title=title)


def _open_frame(frame):
    """A saved picture, or an array [H, W], [H, W, 1] or [H, W, 3] of uint8, as a PIL image."""
    from PIL import Image

    if isinstance(frame, str | os.PathLike):
        with Image.open(frame) as picture:
            return picture.convert("L" if picture.mode == "L" else "RGB")
    frame = np.asarray(frame)
    if frame.dtype != np.uint8 or not (frame.ndim == 2 or frame.shape[2:] in ((1,), (3,))):
        expected = "a path, or uint8 [H, W], [H, W, 1] or [H, W, 3]"
        raise ValueError(f"a frame must be {expected}, got {frame.dtype} {frame.shape}")
    return Image.fromarray(frame[..., 0] if frame.shape[2:] == (1,) else frame)


def _encode_gif(pictures, colours: int, seconds_per_frame: float) -> bytes:
    """One looping GIF, each picture reduced to a palette of its own, without dithering."""
    milliseconds = [round(1000 * seconds_per_frame)] * len(pictures)
    milliseconds[-1] += LAST_FRAME_MILLISECONDS
    reduced = [picture.quantize(colours, dither=0) for picture in pictures]
    file = io.BytesIO()
    options = {"duration": milliseconds, "loop": 0, "optimize": False, "disposal": 1}
    reduced[0].save(file, "GIF", save_all=True, append_images=reduced[1:], **options)
    return file.getvalue()


def save_animation(
    frames: Sequence[str | os.PathLike | np.ndarray],
    path: str | os.PathLike,
    *,
    seconds_per_frame: float = 0.2,
    max_bytes: int = 2_000_000,
) -> None:
    """Save a GIF that loops over grids of the same latents through training.

    At most 60 frames are kept, evenly spaced, always the first and the last; the last is held for two
    seconds more. If the file is larger than `max_bytes`, the colours, then the size, then the number of
    frames are reduced until it fits (two frames are always kept). Equal frames in a row become one, held
    as long as they all were.

    Args:
      frames: paths of pictures, or uint8 arrays [H, W], [H, W, 1] or [H, W, 3], all of one size.
      path: where, ending in ".gif".
      seconds_per_frame: time per frame (GIF counts in hundredths of a second).
      max_bytes: the largest file wanted.

    Raises:
      ValueError: if there is no frame, the frames differ in size, or one is not of the kinds above.
      OSError: if a frame's file cannot be read.
    """
    if not len(frames):
        raise ValueError("an animation needs at least one frame, got none")
    kept = _spread(len(frames), MAX_FRAMES)
    pictures = [_open_frame(frames[index]) for index in kept]
    sizes = {picture.size for picture in pictures}
    if len(sizes) > 1:
        raise ValueError(f"frames must be of one size, got {sorted(sizes)} (width, height)")
    for colours, shrink in ((64, 1), (16, 1), (16, 2)):
        small = [picture.reduce(shrink) if shrink > 1 else picture for picture in pictures]
        encoded = _encode_gif(small, colours, seconds_per_frame)
        if len(encoded) <= max_bytes:
            break
    while len(encoded) > max_bytes and len(small) > 2:
        fewer = min(int(len(small) * max_bytes / len(encoded)), len(small) - 1)
        small = [small[index] for index in _spread(len(small), fewer)]
        encoded = _encode_gif(small, colours, seconds_per_frame)
    write_atomically(path, lambda file: file.write(encoded))


def _spread(num: int, most: int) -> list[int]:
    """At most `most` indices of range(num), evenly spaced, with both ends."""
    return np.linspace(0, num - 1, min(num, max(most, 2))).round().astype(int).tolist()
