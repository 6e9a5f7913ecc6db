"""Pictures and sounds inside a page, as data URIs: pictures at one pixel for each generated one."""

import base64
import io
import wave
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gan_jax.plots.pixels import STRIP

MOST_BYTES = 450_000  # of all pictures over training together
MOST_SOUND = 1_500_000  # of a file of sounds
MOST_FRAMES = 40
MOST_PIXELS = 4_000_000  # of a file that is read
ENLARGED = 64  # at most, by `plots.save_grid`


class Picture(NamedTuple):
    """A picture in a page: its URI and its size in pixels."""

    uri: str
    width: int
    height: int


def of_array(image: np.ndarray) -> Picture:
    """Inline an image, uint8 [H, W, 1 or 3]."""
    from PIL import Image

    file = io.BytesIO()
    shown = image[..., 0] if image.shape[-1] == 1 else image
    Image.fromarray(shown).save(file, format="png", optimize=True)
    uri = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
    return Picture(uri, image.shape[1], image.shape[0])


def of_file(path: Path) -> Picture | None:
    """Inline a picture of a run folder, drawn anew so that nothing but its pixels comes along; None if it is none."""
    from PIL import Image

    try:
        with Image.open(path, formats=("png",)) as image:
            if image.width * image.height > MOST_PIXELS:
                return None
            if image.info.get("Title") and image.height > STRIP:  # the page has words of its own
                image = image.crop((0, STRIP, image.width, image.height))
            pixels = np.asarray(image.convert("L" if image.mode == "L" else "RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    return of_array(_unenlarged(pixels if pixels.ndim == 3 else pixels[..., None]))


def _unenlarged(pixels: np.ndarray) -> np.ndarray:
    """Undo an enlargement by a whole factor without interpolation."""
    for factor in range(ENLARGED, 1, -1):
        height, width = pixels.shape[:2]
        if height % factor or width % factor:
            continue
        small = pixels[::factor, ::factor]
        if np.array_equal(small.repeat(factor, 0).repeat(factor, 1), pixels):
            return small
    return pixels


def over_training(paths: list[Path]) -> list[tuple[int, Picture]]:
    """Inline the pictures of a run's steps, evenly chosen among them, the first and the last included."""
    kept: list[tuple[int, Picture]] = []
    num = min(len(paths), MOST_FRAMES)
    while num:
        places = np.unique(np.linspace(len(paths) - 1, 0, num).round().astype(int))
        found = [(int(paths[i].stem), of_file(paths[i])) for i in places]
        kept = [(step, picture) for step, picture in found if picture is not None]
        size = sum(len(picture.uri) for _, picture in kept)
        if size <= MOST_BYTES or num == 1:
            return kept
        num = max(1, int(num * MOST_BYTES / size))
    return kept


def sound_of(path: Path) -> str | None:
    """Inline a run's sounds, written anew so that nothing but their samples comes along; None if there are none."""
    if not path.is_file() or path.stat().st_size > MOST_SOUND:
        return None
    file = io.BytesIO()
    try:
        with wave.open(str(path), "rb") as sound, wave.open(file, "wb") as copy:
            copy.setparams(sound.getparams())
            copy.writeframes(sound.readframes(sound.getnframes()))
    except (wave.Error, EOFError, OSError, ValueError):
        return None
    return "data:audio/wav;base64," + base64.b64encode(file.getvalue()).decode()
