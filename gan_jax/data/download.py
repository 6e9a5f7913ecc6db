"""Download the original IDX files, and only when asked.

The files themselves are kept, not a prepared TFDS folder: they are read many times faster, in their own order, on any
system. A blocked download would hang for minutes, so the hosts are asked first whether one answers; and files take
their names only when all four are whole, so an interrupted download leaves nothing that looks like a data set.

Reference: the addresses and SHA-256 sums are those of TensorFlow Datasets 4.9; the second host of mnist is that of
torchvision. Of mnist and fashion_mnist they are the files whose MD5 sums `checksums` holds.
"""

import http.client
import logging
import os
import shutil
import tempfile
import threading
import urllib.request
from pathlib import Path

from gan_jax.data.dataset import DataError
from gan_jax.data.idx import ALL_FILES
from gan_jax.data.tfds import one_line

HOSTS = {  # in the order in which they are asked
    "mnist": (
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
    ),
    "fashion_mnist": ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
    "kmnist": ("http://codh.rois.ac.jp/kmnist/dataset/kmnist/",),
}
SHA256 = {  # of the .gz files, in the order of ALL_FILES
    "mnist": (
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    ),
    "fashion_mnist": (
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    ),
    "kmnist": (
        "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4",
        "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17",
        "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5",
        "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c",
    ),
}
DOWNLOADABLE = tuple(HOSTS)
_PATIENCE_SECONDS = 5.0
_STALL_SECONDS = 30.0


def download(name: str, data_dir: str | os.PathLike, *, seconds: float = _PATIENCE_SECONDS) -> Path:
    """Download the four IDX files of a data set, after a quick look whether a host of them answers.

    Args:
      name: "mnist", "fashion_mnist" or "kmnist".
      data_dir: the files go to data_dir/name under their standard names.
      seconds: how long to wait for each host's first answer.

    Returns:
      The folder data_dir/name.

    Raises:
      DataError: if the name is another, no host answers, a file is not the published one, the connection breaks, or
        data_dir cannot be written. What was in the folder stays as it was.
    """
    if name not in DOWNLOADABLE:
        raise DataError(
            f"expected a data set that can be downloaded, one of {', '.join(DOWNLOADABLE)}, got {name!r}; "
            "fetch it by hand as IDX files or as a prepared TFDS folder"
        )
    folder = Path(data_dir, name)
    host = _answering_host(name, folder, seconds)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".download-", dir=folder) as staging:
            for path in _fetch(name, host, Path(staging)):
                os.replace(path, folder / path.name)
    except Exception as error:  # pooch, requests and the file system each have their own
        raise DataError(
            f"expected to download {name} from {host} into {folder}, got {one_line(error)}; try again, or put "
            "its four IDX files there"
        ) from error
    return folder


def _answering_host(name: str, folder: Path, seconds: float) -> str:
    reasons = []
    for host in HOSTS[name]:
        reason = why_unreachable(f"{host}{ALL_FILES[-1]}.gz", seconds=seconds)
        if reason is None:
            return host
        reasons.append(f"{reason} from {host}")
    raise DataError(
        f"expected to download {name}, got {' and '.join(reasons)}; put its four IDX files into {folder}, or use "
        "digits (--dataset=digits), which needs no download"
    )


def _fetch(name: str, host: str, staging: Path) -> list[Path]:
    """Fetch the four files, each checked against its sum, with the permissions of any file that this user makes."""
    import pooch

    pooch.get_logger().setLevel(logging.WARNING)  # it would tell each file on standard error
    sums = dict(zip((f"{stem}.gz" for stem in ALL_FILES), SHA256[name], strict=True))
    fetched = pooch.create(path=staging / "fetched", base_url=host, registry=sums)
    to_disk = pooch.HTTPDownloader(timeout=_STALL_SECONDS)
    return [
        Path(shutil.copyfile(fetched.fetch(file, downloader=to_disk), staging / file))
        for file in sums
    ]


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
