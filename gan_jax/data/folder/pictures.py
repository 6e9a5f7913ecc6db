"""One picture file as pixels of a chosen shape, whatever it is inside: palette, 16 bits, CMYK, transparency, rotation.

What a file is, its first bytes tell and not its name: a JPEG called .png is read, a text called .png is not.
"""

import contextlib
import io
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from gan_jax.data.folder.files import UnreadableError
from gan_jax.data.folder.workers import Budget

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif")
FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
MAX_PIXELS = 2**27  # of one picture: beyond any camera's, and 0.5 GB in colour
_AT_ONCE = Budget(2**27)  # pixels that all threads decode at the same time
_ORIENTATION = 0x0112  # in EXIF; from 5 on a picture lies on its side
_GREY_MODES = ("1", "L", "LA", "La", "I")

Fit = Literal["crop", "pad"]


class Recipe(NamedTuple):
    """What becomes of every picture.

    Attributes:
      height: of the result, pixels.
      width: of the result, pixels.
      channels: 1, grey by ITU-R 601's weights, or 3.
      fit: "crop" scales until the frame is filled and cuts off what protrudes, evenly; "pad" scales until all is in
        the frame and fills it up with the background.
      background: colour 0..255 behind transparency and around padded pictures.
    """

    height: int
    width: int
    channels: int
    fit: Fit = "crop"
    background: tuple[int, int, int] = (255, 255, 255)


class Header(NamedTuple):
    """What a picture says of itself: its size in pixels as it is meant to be seen, and whether it has colour."""

    height: int
    width: int
    is_grey: bool


def read_header(content: bytes) -> Header:
    """Read what stands before the pixels.

    Args:
      content: of the file.

    Returns:
      The header.

    Raises:
      UnreadableError: it is no picture, or a gigantic one.
    """
    with _opened(content) as picture:
        width, height = picture.size
        if _orientation(picture) >= 5:
            width, height = height, width
        return Header(height, width, picture.mode.split(";")[0] in _GREY_MODES)


def read_pixels(content: bytes, recipe: Recipe) -> np.ndarray:
    """Decode a picture, the first one if it moves.

    It is turned upright, laid over the background, and made grey or not, at its full size; then resized by Lanczos
    filtering, unless it has the size already: then its pixels are kept.

    Args:
      content: of the file.
      recipe: what it is to become.

    Returns:
      uint8 [height, width, channels].

    Raises:
      UnreadableError: it is no picture, a gigantic one, or damaged.
    """
    with _opened(content) as picture, _AT_ONCE.hold(picture.width * picture.height):
        return fit(_flat(_upright(picture), recipe), recipe)


def fit(picture: "Picture", recipe: Recipe) -> np.ndarray:
    """Resize a picture without transparency to a shape.

    Args:
      picture: of mode L or RGB, as `recipe.channels` has it.
      recipe: the shape, and how it is reached.

    Returns:
      uint8 [height, width, channels].
    """
    from PIL import Image

    frame, size = (recipe.width, recipe.height), picture.size
    if size != frame and recipe.fit == "crop":
        part = min(s / f for s, f in zip(size, frame, strict=True))
        kept = [part * f for f in frame]
        left, top = ((s - k) / 2 for s, k in zip(size, kept, strict=True))
        box = (left, top, left + kept[0], top + kept[1])
        picture = picture.resize(frame, Image.Resampling.LANCZOS, box=box)
    elif size != frame:
        part = min(f / s for s, f in zip(size, frame, strict=True))
        scaled = tuple(max(1, round(part * s)) for s in size)
        picture = picture.resize(scaled, Image.Resampling.LANCZOS)
        padded = Image.new("RGB", frame, recipe.background).convert(picture.mode)
        padded.paste(picture, tuple((f - s) // 2 for f, s in zip(frame, scaled, strict=True)))
        picture = padded
    return np.asarray(picture).reshape(recipe.height, recipe.width, recipe.channels)


@contextlib.contextmanager
def _opened(content: bytes) -> Iterator["Picture"]:
    """Open a picture; whatever goes wrong with it inside the block is the file's fault."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise UnreadableError(f"{picture.width} x {picture.height} pixels are too many")
            yield picture
    except UnreadableError:
        raise
    except Image.DecompressionBombError as error:
        raise UnreadableError("it has too many pixels") from error
    except UnidentifiedImageError as error:
        raise UnreadableError("no PNG, JPEG, WebP or GIF inside") from error
    except Exception as error:  # decoders raise anything on damaged files
        raise UnreadableError(f"damaged: {str(error).strip() or type(error).__name__}") from error


def _orientation(picture: "Picture") -> int:
    if (
        "exif" not in picture.info
    ):  # and not behind the pixels, where looking for it would decode them
        return 1
    try:
        found = picture.getexif().get(_ORIENTATION, 1)
    except Exception:  # damaged EXIF, which says nothing of the pixels
        return 1
    return found if found in range(1, 9) else 1


def _upright(picture: "Picture") -> "Picture":
    """Turn a picture as its camera was held."""
    from PIL import Image, ImageOps

    if _orientation(picture) == 1:
        return picture
    try:
        return ImageOps.exif_transpose(picture)
    except Image.DecompressionBombError:
        raise
    except (ValueError, TypeError, SyntaxError):  # the rest of the EXIF data cannot be rewritten
        return picture


def _flat(picture: "Picture", recipe: Recipe) -> "Picture":
    """Make a picture of any mode L or RGB."""
    from PIL import Image

    if picture.mode.startswith("I"):  # 16 bits of grey, which `convert` would clip
        grey = (np.asarray(picture).astype(np.uint32) + 128) // 257
        picture = Image.fromarray(np.minimum(grey, 255).astype(np.uint8))
    if picture.has_transparency_data:
        below = Image.new("RGBA", picture.size, (*recipe.background, 255))
        picture = Image.alpha_composite(below, picture.convert("RGBA"))
    return picture.convert("L" if recipe.channels == 1 else "RGB")


@contextlib.contextmanager
def pillow_is_quiet() -> Iterator[None]:
    """Keep Pillow's warnings of odd files from the terminal, for all threads: what matters is raised."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        from PIL import Image

        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        yield
