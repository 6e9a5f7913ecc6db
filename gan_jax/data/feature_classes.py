"""Which classes a prepared TFDS folder may name: TFDS imports any module that its JSON files name.

Class names lie in features.json, and may lie in dataset_info.json. Both are searched first, and what could hide a name
(a feature as JSON within a string, or TFDS's format before 2022, which array_record files never had) is refused.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from gan_jax.data.dataset import DataError

_ROOM = "tensorflow_datasets.core.features."
ALLOWED = tuple(
    _ROOM + name
    for name in (
        "features_dict.FeaturesDict",
        "image_feature.Image",
        "class_label_feature.ClassLabel",
        "scalar.Scalar",
        "tensor_feature.Tensor",
        "text_feature.Text",
    )
)


def check_feature_classes(folder: Path) -> None:
    """Refuse a prepared folder that names other classes than those we read, before TFDS opens it.

    Args:
      folder: holds dataset_info.json and, as a rule, features.json.

    Raises:
      DataError: another class is named or could be hidden, or a file is unreadable or no JSON.
    """
    for file in (folder / "features.json", folder / "dataset_info.json"):
        if not file.exists():
            continue
        for named in _named_classes(file):
            if named not in ALLOWED:
                short = ", ".join(name.rsplit(".", 1)[1] for name in ALLOWED)
                raise DataError(
                    f"{file}: expected features of TFDS's own classes {short}, got {named!r}, whose code reading the "
                    "folder would run; prepare it again, or use IDX files"
                )


def _named_classes(file: Path) -> Iterator[object]:
    """Every class that a JSON file names, whatever else it is, and what may hide one."""
    pairs: list[tuple[str, object]] = []

    def keep(found: list[tuple[str, object]]) -> dict[str, object]:
        pairs.extend(found)  # a key that stands twice stands here twice
        return dict(found)

    try:
        json.loads(file.read_text("utf-8"), object_pairs_hook=keep)
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(
            f"{file}: expected readable JSON, got {error}; prepare the folder again"
        ) from error
    for key, value in pairs:
        key = key.replace("_", "").lower()  # protocol buffers take both spellings
        is_old_format = file.name == "features.json" and key == "type" and isinstance(value, str)
        if key in ("pythonclassname", "jsonfeature") or is_old_format:
            yield value
