"""Published checksums of MNIST and Fashion-MNIST: are these the files everyone else means?

A file that differs may be deliberate (a subset, a variant), so it is said and not refused.

Reference: the MD5 sums of the .gz files are published in Fashion-MNIST's README
(github.com/zalandoresearch/fashion-mnist) and in torchvision's `datasets/mnist.py`.
"""

import hashlib
import os
import struct
from collections.abc import Callable

import numpy as np

Warn = Callable[[str], object]

# name -> file -> MD5 of the published .gz, MD5 of what it holds (for files unpacked or packed again)
MD5 = {
    "mnist": {
        "train-images-idx3-ubyte": (
            "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "6bbc9ace898e44ae57da46a324031adb",
        ),
        "train-labels-idx1-ubyte": (
            "d53e105ee54ea40749a09fcbcd1e9432",
            "a25bea736e30d166cdddb491f175f624",
        ),
        "t10k-images-idx3-ubyte": (
            "9fb629c4189551a2d022fa330f9573f3",
            "2646ac647ad5339dbf082846283269ea",
        ),
        "t10k-labels-idx1-ubyte": (
            "ec29112dd5afa0611ce80d1b7f02629c",
            "27ae3e4e09519cfbb04c329615203637",
        ),
    },
    "fashion_mnist": {
        "train-images-idx3-ubyte": (
            "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        ),
        "train-labels-idx1-ubyte": (
            "25c81989df183df01b3e8a0aad5dffbe",
            "9018921c3c673c538a1fc5bad174d6f9",
        ),
        "t10k-images-idx3-ubyte": (
            "bef4ecab320f06d8554ea6380940ec79",
            "8181f5470baa50b63fa0f6fddb340f0a",
        ),
        "t10k-labels-idx1-ubyte": (
            "bb300cfdad3c16e7a12a480ee83cd310",
            "15d484375f8d13e6eb1aabb0c3f46965",
        ),
    },
}


def check_published(
    name: str, stem: str, path: str | os.PathLike, array: np.ndarray, *, warn: Warn
) -> None:
    """Warn if a file of mnist or fashion_mnist is neither the published one nor the same content.

    Args:
      name: data set's name; others than the two are not checked.
      stem: the file's standard name without .gz.
      path: the file as it lies on disk.
      array: what was read from it.
      warn: called with one line on a mismatch.
    """
    if name not in MD5:
        return
    published, content = MD5[name][stem]
    with open(path, "rb") as file:
        got = hashlib.file_digest(file, _md5).hexdigest()
    if got == published:
        return
    got_content = content_md5(array)
    if got_content != content:
        warn(
            f"{path}: expected MD5 {published} of {name}'s published file, got {got}{_owner(got_content)}; "
            "figures measured on it do not compare with published ones"
        )


def content_md5(array: np.ndarray) -> str:
    """MD5 of the unzipped IDX file that holds `array`, uint8 of any dimensions."""
    header = struct.pack(f">{1 + array.ndim}I", 0x0800 + array.ndim, *array.shape)
    return _md5(header + array.tobytes()).hexdigest()


def _owner(content: str) -> str:
    """Name the file that was put in another's place, if it is a known one."""
    known = {sums[1]: (name, stem) for name, files in MD5.items() for stem, sums in files.items()}
    return " (it is {}'s {})".format(*known[content]) if content in known else ""


def _md5(content: bytes = b"") -> "hashlib._Hash":
    return hashlib.md5(content, usedforsecurity=False)  # a fingerprint here, nothing secret
