"""From a folder, a .zip or a file of arrays to two data sets: one to learn from, one that is never seen."""

import hashlib
import os
import re
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gan_jax.data.dataset import DataError, Dataset, make_dataset
from gan_jax.data.folder import arrays, pictures
from gan_jax.data.folder.cache import content_key, kept_array
from gan_jax.data.folder.files import File, find_files
from gan_jax.data.folder.naming import Naming, classes_of, is_held_out, of_classes
from gan_jax.data.folder.pictures import Fit, Header, Recipe
from gan_jax.data.folder.workers import for_each


class PictureOptions(NamedTuple):
    """What pictures are to become.

    Attributes:
      size: (height, width) in pixels; None where all have the same.
      channels: 1 or 3; None for 1 if all pictures are grey, else 3.
      fit: see `Recipe`.
      background: a colour's name, or #rrggbb.
      naming: classes, and what is held out.
    """

    size: tuple[int, int] | None = None
    channels: int | None = None
    fit: Fit = "crop"
    background: str = "white"
    naming: Naming = Naming()


DEFAULT = PictureOptions()


class Parts(NamedTuple):
    """The two sides of a data set."""

    train: Dataset
    held_out: Dataset


class _Collection(NamedTuple):
    """Files with what is known of them, and how to read one."""

    place: str
    files: list[File]
    labels: np.ndarray | None
    class_names: tuple[str, ...]
    header: Callable[[bytes], Header]
    decode: Callable[[bytes, Recipe], np.ndarray]


def load_pictures(
    path: str | os.PathLike,
    options: PictureOptions = DEFAULT,
    *,
    name: str = "",
    cache: str | os.PathLike = "",
) -> Parts:
    """Load pictures of one's own.

    Args:
      path: a folder or .zip with PNG, JPEG, WebP or GIF files, flat or one sub-folder for each class; or an .npz or
        .npy with `images`, uint8 [N, H, W, C], and maybe `labels` and `class_names`.
      options: what they are to become.
      name: of the data set; "" for that of the path.
      cache: folder that keeps the decoded pictures; "" for none.

    Returns:
      Both sides: images uint8 [N, H, W, C], labels where there are classes.

    Raises:
      DataError: in one line, for everything that can be wrong with path, files and options.
    """
    found = _of_classes(_collect(Path(path).expanduser(), options.naming), options.naming)
    with pictures.pillow_is_quiet():
        facts = list(for_each(found.files, partial(_survey, found.header), "reading", found.place))
        recipe = _recipe(options, found, [header for _, header in facts])
        digests = [digest for digest, _ in facts]
        held_out = is_held_out([file.name for file in found.files], digests, options.naming)
        order = np.argsort(held_out, kind="stable")
        rows = for_each(
            *([found.files[i] for i in order], lambda content: found.decode(content, recipe)),
            *("decoding", found.place),
        )
        shape = (len(order), recipe.height, recipe.width, recipe.channels)
        key = content_key([digests[i] for i in order], "pictures", recipe)
        images = kept_array(cache, key, shape, np.uint8, rows)
    labels = None if found.labels is None else found.labels[order]
    return _divided(
        images, labels, int((~held_out).sum()), name or name_of(path), found.class_names
    )


def name_of(path: str | os.PathLike) -> str:
    """Name a data set after the folder or file that holds it.

    Args:
      path: as `load_pictures` takes it.

    Returns:
      Letters, digits, "_", "-" and "." only.
    """
    path = Path(os.path.abspath(os.path.expanduser(path)))
    stem = path.stem if path.suffix.lower() in (".zip", *arrays.SUFFIXES) else path.name
    return re.sub(r"[^\w.-]+", "_", stem).strip("_.-") or "pictures"


def _collect(path: Path, naming: Naming) -> _Collection:
    if path.suffix.lower() in arrays.SUFFIXES and not path.is_dir():
        found = arrays.read_arrays(path)
        height, width, channels = found.images.shape[1:]
        header = Header(height, width, channels == 1)
        decode = partial(_resize, found.images.shape[1:])
        return _Collection(
            str(path),
            found.files(),
            found.labels,
            found.class_names,
            lambda content: header,
            decode,
        )
    files = find_files(path, pictures.SUFFIXES)
    labels, class_names = classes_of([file.name for file in files], naming)
    return _Collection(
        str(path), files, labels, class_names, pictures.read_header, pictures.read_pixels
    )


def _of_classes(found: _Collection, naming: Naming) -> _Collection:
    if not naming.classes:
        return found
    chosen, labels, names = of_classes(found.labels, found.class_names, naming.classes)
    return found._replace(files=[found.files[i] for i in chosen], labels=labels, class_names=names)


def _survey(header: Callable[[bytes], Header], content: bytes) -> tuple[bytes, Header]:
    return hashlib.sha256(content).digest(), header(content)


def _resize(shape: tuple[int, int, int], content: bytes, recipe: Recipe) -> np.ndarray:
    """Make pixels of raw ones [H, W, C]."""
    from PIL import Image

    pixels = np.frombuffer(content, np.uint8).reshape(shape)
    picture = Image.fromarray(pixels[..., 0] if shape[2] == 1 else pixels)
    return pictures.fit(picture.convert("L" if recipe.channels == 1 else "RGB"), recipe)


def _recipe(options: PictureOptions, found: _Collection, headers: Sequence[Header]) -> Recipe:
    from PIL import ImageColor

    try:
        background = ImageColor.getrgb(options.background)[:3]
    except ValueError as error:
        raise DataError(
            f"expected --background as a colour's name or #rrggbb, got {options.background!r}"
        ) from error
    channels = options.channels or (1 if all(header.is_grey for header in headers) else 3)
    return Recipe(*_size(options, found, headers), channels, options.fit, background)


def _size(
    options: PictureOptions, found: _Collection, headers: Sequence[Header]
) -> tuple[int, int]:
    if options.size is not None:
        return options.size
    sizes = Counter((header.height, header.width) for header in headers)
    (usual, count), *others = sizes.most_common()
    if others:
        odd = next(i for i, header in enumerate(headers) if header[:2] != usual)
        height, width = headers[odd][:2]
        raise DataError(
            f"{found.place}: expected pictures of one size, got {len(sizes)} sizes: {count:,} of {len(headers):,} are "
            f"{usual[0]}x{usual[1]} (height x width), but {found.files[odd].name} is {height}x{width}; choose one by "
            "--image_size=64"
        )
    return usual


def _divided(
    images: np.ndarray, labels: Any, num_train: int, name: str, class_names: tuple[str, ...]
) -> Parts:
    """Cut one array in two, without copying it."""
    sides = (slice(None, num_train), slice(num_train, None))
    return Parts(
        *(
            make_dataset(images[s], None if labels is None else labels[s], name, class_names)
            for s in sides
        )
    )
