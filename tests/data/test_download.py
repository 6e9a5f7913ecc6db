"""Downloads, without a network: a server on this machine, and hosts that are silent or absent."""

import functools
import hashlib
import http.server
import socket
import threading
import time

import pytest
from idx_files import write_set

from gan_jax.data import DataError, load
from gan_jax.data.download import download, why_unreachable
from gan_jax.data.idx import ALL_FILES

tfds = pytest.importorskip(
    "tensorflow_datasets", reason="TFDS is not installed: pip install gan_jax[tfds]"
)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture
def host(tmp_path, monkeypatch):
    """A host that serves a tiny mnist, in the place of the one TFDS knows. Returns its folder."""
    folder = write_set(tmp_path / "host", train=12, test=6)
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        pretend(monkeypatch, f"http://127.0.0.1:{server.server_port}", folder)
        yield folder
        server.shutdown()
        thread.join()


def pretend(monkeypatch, root: str, folder) -> None:
    """Let TFDS know our files' addresses and sums as mnist's."""
    from tensorflow_datasets.core.download.checksums import UrlInfo

    infos = {}
    for name in (f"{stem}.gz" for stem in ALL_FILES):
        content = (folder / name).read_bytes()
        checksum = hashlib.sha256(content).hexdigest()
        infos[f"{root}/{name}"] = UrlInfo(size=len(content), checksum=checksum, filename=name)
    monkeypatch.setattr(tfds.builder_cls("mnist"), "url_infos", infos)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def ignore(line: str) -> None:
    del line  # the tiny files are not the published ones


def test_the_files_arrive_under_their_own_names_and_are_used_from_then_on(host, tmp_path):
    mine = tmp_path / "mine"
    first = load("mnist", data_dir=mine, download=True, warn=ignore)
    assert sorted(path.name for path in (mine / "mnist").iterdir()) == sorted(
        f"{stem}.gz" for stem in ALL_FILES
    )
    assert first.sha256 == load("mnist", data_dir=host, warn=ignore).sha256
    assert first.sha256 == load("mnist", data_dir=mine, warn=ignore).sha256
    assert len(load("mnist", split="test", data_dir=mine, download=True, warn=ignore).images) == 6


def test_a_file_with_another_sum_is_refused_and_not_left_behind(host, tmp_path):
    (host / f"{ALL_FILES[-1]}.gz").write_bytes(b"tampered")
    with pytest.raises(DataError, match="expected to download mnist into"):
        download("mnist", tmp_path / "mine")
    assert list((tmp_path / "mine" / "mnist").iterdir()) == []


def test_nothing_is_downloaded_unasked(host, tmp_path):
    with pytest.raises(DataError, match="expected train-images"):
        load("mnist", data_dir=tmp_path / "mine")
    assert not (tmp_path / "mine").exists()


def test_a_host_that_is_not_there_fails_at_once_and_names_the_way_out(tmp_path, monkeypatch):
    def no_network(*args, **kwargs):
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    monkeypatch.setattr(tfds.download, "DownloadManager", None)  # would be a TypeError
    for proxy in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(proxy, raising=False)
    started = time.monotonic()
    with pytest.raises(DataError, match=r"name resolution.*four IDX files.*--dataset=digits"):
        load("mnist", data_dir=tmp_path, download=True)
    assert time.monotonic() - started < 4


@pytest.mark.parametrize("blocking", ["answer", "look-up"])
def test_a_silent_host_is_given_up_in_time(monkeypatch, blocking):
    release = threading.Event()
    if blocking == "look-up":
        monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: release.wait(20) and [])
    monkeypatch.setenv("NO_PROXY", "*")
    with socket.create_server(("127.0.0.1", 0)) as listening:  # accepts, and says nothing
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
        started = time.monotonic()
        assert why_unreachable(url, seconds=0.3) is not None
        assert time.monotonic() - started < 2
    release.set()


def test_a_host_that_answers_is_reachable_and_one_that_refuses_is_not(host):
    url = next(iter(tfds.builder_cls("mnist").url_infos))
    assert why_unreachable(url, seconds=5) is None
    assert "404" in why_unreachable(f"{url}.nothing", seconds=5)


def test_only_sets_of_four_idx_files_are_downloaded(tmp_path):
    with pytest.raises(DataError, match="mnist, fashion_mnist, kmnist, got 'imagenet'"):
        load("imagenet", data_dir=tmp_path, download=True)


def test_a_folder_that_cannot_be_written_is_an_error(host, tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(DataError, match="expected to download mnist into"):
        download("mnist", tmp_path / "taken")


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "kmnist"])
def test_tfds_knows_the_addresses_and_sums_of_four_files(name):
    infos = tfds.builder_cls(name).url_infos
    assert sorted(url.rsplit("/", 1)[1] for url in infos) == sorted(f"{s}.gz" for s in ALL_FILES)
    assert all(len(info.checksum) == 64 for info in infos.values())
