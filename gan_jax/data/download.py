"""Download the original IDX files from where TensorFlow Datasets gets them, and only when asked.

The files themselves are kept, not a prepared TFDS folder: they are read many times faster, in their own
order, on any system. TFDS knows their addresses and SHA-256 sums. A blocked download would hang for minutes, so
the host is asked first whether it answers.
"""

import http.client
import os
import shutil
import threading
import urllib.request
import warnings
from pathlib import Path

from gan_jax.data.dataset import DataError
from gan_jax.data.tfds import import_tfds, one_line

DOWNLOADABLE = ("mnist", "fashion_mnist", "kmnist")
_PATIENCE_SECONDS = 5.0


def download(name: str, data_dir: str | os.PathLike, *, seconds: float = _PATIENCE_SECONDS) -> Path:
    """Download the four IDX files from where TFDS gets them, after a quick look whether that host answers.

    Args:
      name: "mnist", "fashion_mnist" or "kmnist".
      data_dir: the files go to data_dir/name under their standard names.
      seconds: how long to wait for the host's first answer (TFDS alone would wait for minutes).

    Returns:
      The folder data_dir/name.

    Raises:
      DataError: if the name is another, TFDS is not installed, the host does not answer, a file differs from
        the SHA-256 that TFDS keeps, or data_dir cannot be written.
    """
    if name not in DOWNLOADABLE:
        raise DataError(
            f"expected a data set that can be downloaded, one of {', '.join(DOWNLOADABLE)}, got {name!r}; "
            "fetch it by hand as IDX files or as a prepared TFDS folder"
        )
    tfds = import_tfds()
    checksums = tfds.builder_cls(name).url_infos  # URL of each file -> its size and SHA-256
    folder = Path(data_dir, name)
    url = next(iter(checksums))
    reason = why_unreachable(url, seconds=seconds)
    if reason is not None:
        raise DataError(
            f"expected to download {name} from {url}, got {reason}; put its four IDX files into {folder}, "
            "or use --dataset=digits, which needs no download"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        manager = tfds.download.DownloadManager(
            download_dir=Path(data_dir, "downloads"),
            dataset_name=name,
            url_infos=checksums,
            force_checksums_validation=True,
        )
        with warnings.catch_warnings(action="ignore"):
            fetched = manager.download({Path(url).name: url for url in checksums})
        for file_name, path in fetched.items():
            partial = shutil.copyfile(path, folder / f"{file_name}.partial")
            os.replace(partial, folder / file_name)  # a file under its own name is whole
    except Exception as error:  # requests, TFDS and the file system each have their own
        raise DataError(
            f"expected to download {name} into {folder}, got {one_line(error)}; try again, or put its four "
            "IDX files there"
        ) from error
    return folder


def why_unreachable(url: str, *, seconds: float) -> str | None:
    """Ask for a URL's headers and give up in time, whatever blocks: name look-up, connection or answer.

    The environment's proxies are used, as a download would use them.

    Args:
      url: http or https address.
      seconds: the longest wait.

    Returns:
      None if it answers, else the reason in words.
    """
    reasons: list[str | None] = []

    def ask() -> None:
        request = urllib.request.Request(url, method="HEAD")
        try:
            with urllib.request.urlopen(request, timeout=seconds):
                reasons.append(None)
        except (OSError, http.client.HTTPException) as error:
            reasons.append(f"no connection ({error})")

    # A name look-up ignores time-outs, so it waits in a thread of its own, which nobody has to join.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(seconds)
    return reasons[0] if reasons else f"no answer within {seconds:g} s"
