"""From a folder, a .zip or a file of arrays to two data sets: one to learn from, one that is never seen."""

import hashlib
import math
import os
import re
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gan_jax.data.dataset import DataError, Dataset, make_dataset
from gan_jax.data.folder import arrays, pictures, saved
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
      image_column: of what Hugging Face's datasets saved: the column of the pictures; "" finds it.
      label_column: likewise of the classes; "none" for no classes.
    """

    size: tuple[int, int] | None = None
    channels: int | None = None
    fit: Fit = "crop"
    background: str = "white"
    naming: Naming = Naming()
    image_column: str = ""
    label_column: str = ""


DEFAULT = PictureOptions()


class Parts(NamedTuple):
    """The two sides of a data set."""

    train: Dataset
    held_out: Dataset


class Loaded(NamedTuple):
    """Files with what is known of them.

    Attributes:
      place: where they lie, for errors.
      files: N of them.
      labels: int32 [N], or None.
      class_names: of the labels.
    """

    place: str
    files: list[File]
    labels: np.ndarray | None
    class_names: tuple[str, ...]

    def of_classes(self, naming: Naming) -> "Loaded":
        """Leave all but the wanted classes out.

        Raises:
          DataError: there is no such class.
        """
        if not naming.classes:
            return self
        chosen, labels, names = of_classes(self.labels, self.class_names, naming.classes)
        return Loaded(self.place, [self.files[i] for i in chosen], labels, names)


class _Reader(NamedTuple):
    """How one of the files is read."""

    header: Callable[[bytes], Header]
    pixels: Callable[[bytes, Recipe], np.ndarray]


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
        .npy with `images`, uint8 [N, H, W, C], and maybe `labels` and `class_names`; or a folder that `save_to_disk` of
        Hugging Face's datasets wrote.
      options: what they are to become.
      name: of the data set; "" for that of the path.
      cache: folder that keeps the decoded pictures; "" for none.

    Returns:
      Both sides: images uint8 [N, H, W, C], labels where there are classes.

    Raises:
      DataError: in one line, for everything that can be wrong with path, files and options.
    """
    found, reader = _collect(Path(path).expanduser(), options)
    found = found.of_classes(options.naming)
    with pictures.pillow_is_quiet():
        facts = list(for_each(found.files, partial(_survey, reader.header), "reading", found.place))
        recipe = _recipe(options, found, [header for _, header in facts])
        shape = (recipe.height, recipe.width, recipe.channels)
        return divide(
            *(found, [digest for digest, _ in facts], options.naming),
            *(partial(reader.pixels, recipe=recipe), shape, ("pictures", recipe)),
            name=name or name_of(path),
            cache=cache,
        )


def divide(
    found: Loaded,
    digests: Sequence[bytes],
    naming: Naming,
    decode: Callable[[bytes], np.ndarray],
    shape: tuple[int, ...],
    facts: tuple[object, ...],
    *,
    name: str,
    cache: str | os.PathLike,
    dtype: type[np.generic] = np.uint8,
) -> Parts:
    """Decode files into one array, unless it is kept already, and cut it in two without copying it.

    Args:
      found: the files.
      digests: SHA-256 of each.
      naming: what is held out.
      decode: bytes -> array of `shape` and `dtype`.
      shape: of one sample.
      facts: whatever `decode` depends on.
      name: of the data set.
      cache: folder that keeps the array; "" for none.
      dtype: of the numbers.

    Returns:
      Both sides: training samples in the order of the files, held-out ones in that of their hashes, so that the first
      hundred are as good as any.

    Raises:
      DataError: a file cannot be decoded, or the cache not be written.
    """
    held_out = is_held_out([file.name for file in found.files], digests, naming)
    order = sorted(range(len(digests)), key=lambda i: digests[i] if held_out[i] else b"")
    in_order, each = [found.files[i] for i in order], math.prod(shape) * np.dtype(dtype).itemsize
    rows = for_each(in_order, decode, "decoding", found.place, result_bytes=each)
    key = content_key([digests[i] for i in order], *facts)
    images = kept_array(cache, key, (len(order), *shape), dtype, rows)
    num_train = int((~held_out).sum())
    labels = None if found.labels is None else found.labels[order]

    def part(s: slice) -> Dataset:
        of_part = None if labels is None else labels[s]
        return make_dataset(images[s], of_part, name, found.class_names)

    return Parts(part(slice(None, num_train)), part(slice(num_train, None)))


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


def _collect(path: Path, options: PictureOptions) -> tuple[Loaded, _Reader]:
    naming = options.naming
    if saved.is_saved(path):
        label_column = "none" if naming.label_by == "none" else options.label_column
        rows = saved.read_saved(path, options.image_column, label_column)
        return Loaded(str(path), *rows), _Reader(pictures.read_header, pictures.read_pixels)
    if options.image_column or options.label_column not in ("", "none"):
        raise DataError(
            f"{path}: expected what save_to_disk of Hugging Face's datasets wrote, of which --image_column and "
            "--label_column are, got another folder; leave them out"
        )
    if path.suffix.lower() in arrays.SUFFIXES and not path.is_dir():
        found = arrays.read_arrays(path)
        shape = found.images.shape[1:]
        header = Header(*shape[:2], shape[2] == 1)
        loaded = Loaded(str(path), found.files(), found.labels, found.class_names)
        return loaded, _Reader(lambda content: header, partial(_resize, shape))
    files = find_files(path, pictures.SUFFIXES)
    loaded = Loaded(str(path), files, *classes_of([file.name for file in files], naming))
    return loaded, _Reader(pictures.read_header, pictures.read_pixels)


def _survey(header: Callable[[bytes], Header], content: bytes) -> tuple[bytes, Header]:
    return hashlib.sha256(content).digest(), header(content)


def _resize(shape: tuple[int, int, int], content: bytes, recipe: Recipe) -> np.ndarray:
    """Make pixels of raw ones [H, W, C]."""
    from PIL import Image

    pixels = np.frombuffer(content, np.uint8).reshape(shape)
    picture = Image.fromarray(pixels[..., 0] if shape[2] == 1 else pixels)
    return pictures.fit(picture.convert("L" if recipe.channels == 1 else "RGB"), recipe)


def _recipe(options: PictureOptions, found: Loaded, headers: Sequence[Header]) -> Recipe:
    from PIL import ImageColor

    try:
        background = ImageColor.getrgb(options.background)[:3]
    except ValueError as error:
        raise DataError(
            f"expected --background as a colour's name or #rrggbb, got {options.background!r}"
        ) from error
    channels = options.channels or (1 if all(header.is_grey for header in headers) else 3)
    return Recipe(*_size(options, found, headers), channels, options.fit, background)


def _size(options: PictureOptions, found: Loaded, headers: Sequence[Header]) -> tuple[int, int]:
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
