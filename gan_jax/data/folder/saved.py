"""Data sets that Hugging Face's `datasets` wrote by `save_to_disk`, read from their Arrow files.

The library itself is not needed, nothing is downloaded, and nothing in the folder is executed: its JSON tells which
files there are and what the columns mean, pyarrow maps the files, and each picture is decoded as any other.
"""

import json
import math
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gan_jax.data.dataset import DataError
from gan_jax.data.folder.files import MAX_FILE_BYTES, File, UnreadableError

INFO, STATE, PARTS = "dataset_info.json", "state.json", "dataset_dict.json"
_MAX_JSON = 2**24
_HOW = "save it anew by save_to_disk of Hugging Face's datasets"


class Saved(NamedTuple):
    """What a folder holds.

    Attributes:
      files: a picture each, called row/00000007.png, or test/row/00000007.png where there are parts.
      labels: int32 [N], or None.
      class_names: of the labels.
    """

    files: list[File]
    labels: np.ndarray | None
    class_names: tuple[str, ...]


class _Part(NamedTuple):
    """One part: its Arrow record batches, and what its columns are."""

    prefix: str
    batches: list[Any]
    features: Mapping[str, Any]


def is_saved(path: Path) -> bool:
    """Whether a folder was written by `save_to_disk`."""
    return (path / PARTS).is_file() or all((path / name).is_file() for name in (INFO, STATE))


def read_saved(path: Path, image_column: str = "", label_column: str = "") -> Saved:
    """List the pictures of a data set that `save_to_disk` wrote, and their classes.

    Args:
      path: of the folder; of one with several parts, such as train and test, all are read.
      image_column: holds the pictures; "" for the one that does, or is called image or img.
      label_column: holds the classes; "" for the one that does, or is called label; "none" for no classes.

    Returns:
      The pictures in their order.

    Raises:
      DataError: pyarrow is not installed, the folder is damaged, or there is no such column, or more than one.
    """
    try:
        parts = list(_parts(path))
        of_images, of_labels = _columns(path, parts[0], image_column, label_column)
        files = [file for part in parts for file in _pictures(part, of_images)]
        if not files:
            raise DataError(f"{path}: expected pictures, got a data set without rows")
        if not of_labels:
            return Saved(files, None, ())
        return Saved(files, *_classes(path, parts, of_labels))
    except ImportError as error:
        raise DataError(
            f"{path}: expected pyarrow to read what Hugging Face's datasets saved, got none; pip install "
            "'gan_jax[huggingface]'"
        ) from error
    except DataError:
        raise
    except (OSError, ArithmeticError, LookupError, AttributeError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]  # Arrow's errors are ValueErrors
        raise DataError(
            f"{path}: expected a sound data set of Hugging Face's datasets, got {reason}; {_HOW}"
        ) from error


def _parts(path: Path) -> Iterator[_Part]:
    if not (path / PARTS).is_file():
        yield _Part("", list(_batches(path)), _json(path / INFO)["features"])
        return
    for name in _json(path / PARTS)["splits"]:
        folder = path / _plain(name)
        yield _Part(f"{name}/", list(_batches(folder)), _json(folder / INFO)["features"])


def _json(file: Path) -> Any:
    if file.stat().st_size > _MAX_JSON:
        raise ValueError(f"{file.name}, which is too large")
    return json.loads(file.read_bytes())


def _plain(name: Any) -> str:
    """Refuse a name that leads out of the folder."""
    if not isinstance(name, str) or not name or Path(name).name != name:
        raise ValueError(f"{name!r}, which is no file's name")
    return name


def _batches(folder: Path) -> Iterator[Any]:
    import pyarrow as pa

    state = _json(folder / STATE)
    if state.get("_indices_data_files") or state.get("_indices_files"):
        raise DataError(
            f"{folder}: expected rows in their order, got rows chosen by indices; call flatten_indices() and {_HOW}"
        )
    for entry in state["_data_files"]:
        file = folder / _plain(entry["filename"])
        size, total = file.stat().st_size, 0
        with pa.memory_map(str(file)) as mapped:
            for batch in pa.ipc.open_stream(mapped):
                batch.validate(full=True)
                total += batch.nbytes
                if total > size:
                    raise ValueError(f"{file.name}, which swells when it is read")
                yield batch


def _columns(path: Path, part: _Part, image_column: str, label_column: str) -> tuple[str, str]:
    images = _column(path, part, "image", image_column, "Image", ("image", "img"))
    if not images:
        raise DataError(
            f"{path}: expected a column of pictures, got {', '.join(part.features)}; name it by --image_column"
        )
    if label_column == "none":
        return images, ""
    return images, _column(path, part, "label", label_column, "ClassLabel", ("label", "labels"))


def _column(
    path: Path, part: _Part, what: str, asked: str, kind: str, usual: tuple[str, ...]
) -> str:
    """Choose a column: the one that is asked for, else the only one of its kind, else one of a usual name; or ""."""
    if asked:
        if asked not in part.features:
            raise DataError(
                f"{path}: expected --{what}_column from {', '.join(part.features)}, got {asked}; choose among those"
            )
        return asked
    found = [name for name, said in part.features.items() if _kind(said) == kind]
    called = [name for name in usual if name in (found or part.features)]
    if len(found) > 1 and not called:
        raise DataError(
            f"{path}: expected one {what} column, got {', '.join(found)}; choose one by --{what}_column"
        )
    return (called or found or [""])[0]


def _kind(said: Any) -> str:
    return str(said.get("_type", "")) if isinstance(said, dict) else ""


def _pictures(part: _Part, column: str) -> Iterator[File]:
    import pyarrow as pa

    row = 0
    for batch in part.batches:
        values = batch.column(column)
        if isinstance(values, pa.StructArray):
            values = values.field("bytes")
        if not (pa.types.is_binary(values.type) or pa.types.is_large_binary(values.type)):
            raise ValueError(f"{column} as {values.type}, no files of pictures")
        for place in range(len(values)):
            yield File(f"{part.prefix}row/{row:08d}.png", partial(_read, values, place))
            row += 1


def _read(values: Any, place: int) -> bytes:
    content = values[place].as_buffer()
    if content is None:
        raise UnreadableError("not in the data set, which only says where it once lay")
    if content.size > MAX_FILE_BYTES:
        raise UnreadableError(f"more than {MAX_FILE_BYTES >> 20} MiB")
    return content.to_pybytes()


def _classes(
    path: Path, parts: list[_Part], column: str
) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Number the classes: as ClassLabel does, or words and whole numbers in their order."""
    values = [
        value for part in parts for b in part.batches for value in b.column(column).to_pylist()
    ]
    names = tuple(map(str, parts[0].features[column].get("names") or ()))
    if any(
        part.features[column].get("names") != parts[0].features[column].get("names")
        for part in parts
    ):
        raise ValueError("parts that name other classes than one another")
    if not all(type(value) is (int if names else type(values[0])) for value in values):
        raise ValueError(
            f"{column} with rows that have no class; leave classes out by --label_column=none"
        )
    if not names:
        if not isinstance(values[0], int | str):
            raise ValueError(f"{column} as {type(values[0]).__name__}, no class")
        ordered = sorted(set(values))
        if len(ordered) < 2 or len(ordered) > math.ceil(len(values) / 2):
            return None, ()
        names = tuple(map(str, ordered))
        values = [ordered.index(value) for value in values]
    labels = np.array(values, np.int64)
    if labels.min() < 0 or labels.max() >= len(names):
        raise ValueError(
            f"classes from {labels.min()} to {labels.max()}, of which {len(names)} have names"
        )
    return labels.astype(np.int32), names
