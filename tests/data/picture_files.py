"""A folder of pictures that no one prepared, made by hand: sizes and modes as they come."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image


def encoded(picture: Image.Image, kind: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def noise(height: int, width: int, mode: str = "RGB", seed: int = 0) -> Image.Image:
    channels = len(Image.new(mode, (1, 1)).getbands())
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)
    return Image.frombytes(mode, (width, height), pixels.tobytes())


def sixteen_bits(value: int, height: int = 9, width: int = 7) -> Image.Image:
    return Image.fromarray(np.full((height, width), value, np.uint16))


def gigantic(width: int = 60_000, height: int = 60_000) -> bytes:
    """A PNG of a hundred bytes that promises 3.6 billion pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


def moving() -> bytes:
    """A GIF of a red picture and a blue one."""
    red, blue = (Image.new("RGB", (8, 8), colour) for colour in ("red", "blue"))
    return encoded(red, "GIF", save_all=True, append_images=[blue])


def unprepared() -> dict[str, bytes]:
    """Files by name; each can be read, and no two are alike in size or mode."""
    palette = noise(12, 20).quantize(8)
    clear = noise(30, 10).quantize(16)
    clear.info["transparency"] = 3
    turned = Image.Exif()
    turned[0x0112] = 6
    return {
        "a colour.png": encoded(noise(20, 20)),
        "palette.png": encoded(palette),
        "palette, clear.png": encoded(clear),
        "sixteen.png": encoded(sixteen_bits(25_700)),
        "bits.png": encoded(noise(16, 24, "L").convert("1")),
        "grey, clear.png": encoded(noise(9, 11, "LA")),
        "clear.webp": encoded(noise(16, 12, "RGBA"), "WEBP"),
        "cmyk.jpg": encoded(noise(24, 16, "CMYK"), "JPEG"),
        "turned.JPEG": encoded(noise(40, 20), "JPEG", exif=turned),
        "moves.gif": moving(),
        "thin.png": encoded(noise(1, 300)),
        "a jpeg.png": encoded(noise(15, 15, seed=1), "JPEG"),
        "猫 ñandú \U0001f600.png": encoded(noise(18, 22, seed=2)),
        "LICENSE": b"not a picture, and not called one",
        ".hidden.png": b"nor this",
    }


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def solid(count: int, size: int = 8) -> dict[str, bytes]:
    """Pictures of one grey level each: 0.png is black."""
    pictures = (Image.new("L", (size, size), level) for level in range(count))
    return {f"{number}.png": encoded(picture) for number, picture in enumerate(pictures)}
