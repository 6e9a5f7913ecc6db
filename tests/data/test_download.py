"""Downloads, without a network: a server on this machine, and hosts that are silent or absent."""

import contextlib
import functools
import gc
import hashlib
import http.server
import os
import socket
import sys
import tempfile
import threading
import time

import pytest
from idx_files import write_set

import gan_jax.data.download as downloads
from gan_jax.data import DataError, load
from gan_jax.data.download import download, why_unreachable
from gan_jax.data.idx import ALL_FILES

# Pooch leaves the socket of a broken connection to the garbage collector, which may come in a later test.
LEAKY = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def collected():
    yield
    gc.collect()


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
        pretend(monkeypatch, folder, f"http://127.0.0.1:{server.server_port}/")
        yield folder
        server.shutdown()
        thread.join()


def pretend(monkeypatch, folder, *hosts: str) -> None:
    """Let our files be mnist's, and lie with these hosts."""
    contents = [(folder / f"{stem}.gz").read_bytes() for stem in ALL_FILES]
    sums = tuple(hashlib.sha256(content).hexdigest() for content in contents)
    monkeypatch.setitem(downloads.SHA256, "mnist", sums)
    monkeypatch.setitem(downloads.HOSTS, "mnist", hosts)
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


def test_no_further_package_is_needed(host, tmp_path, monkeypatch):
    for extra in ("tensorflow_datasets", "tensorflow", "array_record", "tqdm"):
        monkeypatch.setitem(sys.modules, extra, None)  # what an absent package looks like
    assert len(load("mnist", data_dir=tmp_path, download=True, warn=ignore).images) == 12


def test_nothing_is_told_on_the_way_and_others_may_read_the_files(host, tmp_path, capfd):
    folder = download("mnist", tmp_path)
    assert capfd.readouterr() == ("", "")
    (tmp_path / "usual").touch()
    modes = {path.stat().st_mode for path in [*folder.iterdir(), tmp_path / "usual"]}
    assert len(modes) == 1


@LEAKY
@pytest.mark.parametrize("damage", ["tampered", "cut short", "absent"])
def test_a_file_that_is_not_the_published_one_is_refused_and_nothing_looks_like_a_data_set(
    host, tmp_path, damage
):
    victim = host / f"{ALL_FILES[-2]}.gz"  # the smallest file answers, the third fails
    content = victim.read_bytes()
    victim.write_bytes(b"tampered" if damage == "tampered" else content[: len(content) // 2])
    if damage == "absent":
        victim.unlink()
    (tmp_path / "mnist").mkdir()
    (tmp_path / "mnist" / "mine.txt").write_text("kept")
    reason = "404" if damage == "absent" else "hash"
    with pytest.raises(DataError, match=f"expected to download mnist from .*{reason}") as error:
        load("mnist", data_dir=tmp_path, download=True, warn=ignore)
    assert "\n" not in str(error.value) and "put its four IDX files there" in str(error.value)
    assert [path.name for path in (tmp_path / "mnist").iterdir()] == ["mine.txt"]
    with pytest.raises(DataError, match="expected train-images"):
        load("mnist", data_dir=tmp_path)


@LEAKY
def test_a_connection_that_breaks_in_the_middle_leaves_nothing(host, tmp_path, monkeypatch):
    def broken(self, source, outputfile):
        outputfile.write(source.read(50))  # less than the length that was promised

    monkeypatch.setattr(Quiet, "copyfile", broken)
    with pytest.raises(DataError, match="expected to download mnist from"):
        download("mnist", tmp_path)
    assert list((tmp_path / "mnist").iterdir()) == []


def test_a_download_ended_by_force_leaves_nothing_that_is_taken_for_data(
    host, tmp_path, monkeypatch
):
    monkeypatch.setattr(downloads.tempfile, "TemporaryDirectory", left_behind)
    monkeypatch.setattr(downloads.os, "replace", lambda *paths: os.fspath(None))
    with pytest.raises(DataError):
        download("mnist", tmp_path)
    monkeypatch.undo()
    assert len(list(tmp_path.rglob("*.gz"))) > 4  # they lie there, but in a folder of no name
    with pytest.raises(DataError, match="expected train-images"):
        load("mnist", data_dir=tmp_path)


@contextlib.contextmanager
def left_behind(prefix: str, dir: str):
    yield tempfile.mkdtemp(prefix=prefix, dir=dir)


def test_the_second_host_is_asked_where_the_first_refuses(host, tmp_path, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        closed = f"http://127.0.0.1:{taken.getsockname()[1]}/"
    (working,) = downloads.HOSTS["mnist"]
    pretend(monkeypatch, host, closed, working)
    assert download("mnist", tmp_path) == tmp_path / "mnist"
    pretend(monkeypatch, host, closed, closed)
    with pytest.raises(DataError, match=f"refused.* from {closed} and .*refused.* from {closed};"):
        download("mnist", tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_nothing_is_downloaded_unasked(host, tmp_path):
    with pytest.raises(DataError, match="expected train-images"):
        load("mnist", data_dir=tmp_path / "mine")
    assert not (tmp_path / "mine").exists()


def test_a_host_that_is_not_there_fails_at_once_and_names_the_way_out(tmp_path, monkeypatch):
    def no_network(*args, **kwargs):
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    monkeypatch.setattr(downloads, "_fetch", None)  # would be a TypeError
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
    url = f"{downloads.HOSTS['mnist'][0]}{ALL_FILES[0]}.gz"
    assert why_unreachable(url, seconds=5) is None
    assert "404" in why_unreachable(f"{url}.nothing", seconds=5)


def test_only_sets_of_four_idx_files_are_downloaded(tmp_path):
    with pytest.raises(DataError, match="mnist, fashion_mnist, kmnist, got 'imagenet'"):
        load("imagenet", data_dir=tmp_path, download=True)


def test_a_folder_that_cannot_be_written_is_an_error(host, tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(DataError, match="expected to download mnist from"):
        download("mnist", tmp_path / "taken")


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "kmnist"])
def test_addresses_and_sums_are_those_that_tfds_knows(name):
    tfds = pytest.importorskip(
        "tensorflow_datasets", reason="TFDS is not installed: pip install gan_jax[tfds]"
    )
    known = {url: info.checksum for url, info in tfds.builder_cls(name).url_infos.items()}
    urls = [f"{downloads.HOSTS[name][0]}{stem}.gz" for stem in ALL_FILES]
    assert known == dict(zip(urls, downloads.SHA256[name], strict=True))


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_the_real_files_have_the_sums_that_a_download_asks_for(data_dir, name):
    for stem, expected in zip(ALL_FILES, downloads.SHA256[name], strict=True):
        content = (data_dir / name / f"{stem}.gz").read_bytes()
        assert hashlib.sha256(content).hexdigest() == expected
