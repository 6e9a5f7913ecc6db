"""TensorFlow Datasets without TensorFlow: read a prepared folder, or prepare one.

Prepared folders are read through array_record, which exists for Linux only. TFDS itself cannot prepare MNIST
without TensorFlow, so `prepare_from_idx` hands it images as PNG bytes.
"""

import glob
import io
import os
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np

from gan_jax.data import idx
from gan_jax.data.dataset import DataError
from gan_jax.data.feature_classes import check_feature_classes

_VERSION = "3.0.1"  # of TFDS's own mnist, fashion_mnist and kmnist, so that they are found by name


def find_folder(name: str, data_dir: str | os.PathLike) -> Path | None:
    """Find data_dir/name/[config/]version with a dataset_info.json, the newest version, or None."""
    root = Path(data_dir, name)  # glob.glob passes over what cannot be read, Path.glob raises
    patterns = ("*/dataset_info.json", "*/*/dataset_info.json")
    found = [path for pattern in patterns for path in glob.glob(pattern, root_dir=root)]
    return max((root.joinpath(path).parent for path in found), key=_version, default=None)


def read(split: str, folder: str | os.PathLike) -> tuple[np.ndarray, np.ndarray]:
    """Read one split of a prepared folder, in TFDS's order (shuffled by a hash).

    Args:
      split: "train" or "test".
      folder: holds dataset_info.json; its features are `image` (one shape) and `label`.

    Returns:
      images uint8 [N, H, W, C], labels int32 [N].

    Raises:
      DataError: if TFDS or array_record is not installed, the folder names classes of other packages, or it cannot
        be read so.
    """
    check_feature_classes(Path(folder))
    tfds = import_tfds()
    try:
        with warnings.catch_warnings(action="ignore"):
            source = tfds.builder_from_directory(folder).as_data_source(split)
            examples = source.__getitems__(range(len(source)))
        images = np.stack([example["image"] for example in examples])
        labels = np.array([example["label"] for example in examples])
        if images.dtype != np.uint8 or labels.dtype.kind != "i" or labels.ndim != 1:
            raise TypeError(f"images {images.dtype}, labels {labels.dtype} {labels.shape}")
    except Exception as error:  # damaged folders raise anything, RuntimeError from C++ included
        raise DataError(
            f"{folder}: expected a TFDS folder in array_record format with split {split}, images of one "
            f"shape and labels, got {one_line(error)}; prepare it again, or use IDX files"
        ) from error
    return images, labels.astype(np.int32)


def prepare_from_idx(name: str, idx_dir: str | os.PathLike, out_dir: str | os.PathLike) -> Path:
    """Turn four IDX files into a prepared TFDS folder, without TensorFlow.

    Args:
      name: data set's name, in snake case; `tfds.data_source(name, data_dir=out_dir)` then finds it.
      idx_dir: holds the four IDX files.
      out_dir: TFDS's data_dir; the folder becomes out_dir/name/3.0.1.

    Returns:
      The prepared folder.

    Raises:
      DataError: if the IDX files cannot be read, the folder exists, or TFDS cannot write it.
    """
    splits = {
        split: idx.read_split(name, split, idx_dir, warn=lambda line: None) for split in idx.FILES
    }
    folder = Path(out_dir, name, _VERSION)
    if folder.exists():
        raise DataError(
            f"{folder}: expected no such folder, found one; remove it to prepare it anew"
        )
    tfds = import_tfds()
    try:
        with warnings.catch_warnings(action="ignore"):
            builder = _builder(tfds, name, splits)(data_dir=out_dir, file_format="array_record")
            builder.download_and_prepare()
    except Exception as error:
        raise DataError(
            f"{folder}: expected TFDS to write it, got {one_line(error)}; use the IDX files themselves"
        ) from error
    return folder


def _builder(tfds: ModuleType, name: str, splits: dict) -> type:
    """A TFDS builder of arrays in memory, under the given name and outside TFDS's registry."""
    shape = splits["train"][0].shape[1:]
    num_classes = 1 + max(int(labels.max()) for _, labels in splits.values())
    features = {
        "image": tfds.features.Image(shape=shape),
        "label": tfds.features.ClassLabel(num_classes=num_classes),
    }

    class FromArrays(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        VERSION = tfds.core.Version(_VERSION)

        def _info(self):
            return tfds.core.DatasetInfo(
                builder=self,
                features=tfds.features.FeaturesDict(features),
                supervised_keys=("image", "label"),
            )

        def _split_generators(self, dl_manager):
            del dl_manager  # nothing to download
            return {split: self._generate_examples(*arrays) for split, arrays in splits.items()}

        def _generate_examples(self, images, labels) -> Iterator[tuple[int, dict]]:
            for index, (image, label) in enumerate(zip(images, labels, strict=True)):
                yield index, {"image": _png(image), "label": int(label)}

    FromArrays.name = name
    return FromArrays


def _png(image: np.ndarray) -> io.BytesIO:
    """Encode uint8 [H, W, 1]; given arrays, TFDS would call TensorFlow to do it."""
    from PIL import Image

    encoded = io.BytesIO()
    Image.fromarray(image[..., 0]).save(encoded, "PNG")
    encoded.seek(0)
    return encoded


def _version(folder: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", folder.name)]


def import_tfds() -> ModuleType:
    """Import TFDS, its warnings aside; a `DataError` says how to install it."""
    try:
        with warnings.catch_warnings(action="ignore"):
            import tensorflow_datasets
    except ImportError as error:
        raise DataError(
            f"expected TensorFlow Datasets to be installed, got {one_line(error)}; "
            "run: pip install gan_jax[tfds]"
        ) from error
    return tensorflow_datasets


def one_line(error: Exception) -> str:
    """Name an error and the first line of what it says."""
    return f"{type(error).__name__}: {str(error).strip()}".splitlines()[0]
