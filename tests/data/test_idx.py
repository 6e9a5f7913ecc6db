"""IDX files: what is written is read, and damage is always a `DataError` or, in raw pixels, only that pixel."""

import gzip
import os
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from idx_files import gz_bytes, idx_bytes, some_images, some_labels, write_set

from gan_jax.data import DataError
from gan_jax.data.idx import find_folder, read_idx, read_split

IMAGES = some_images(7)
RAW, GZ = idx_bytes(IMAGES), gz_bytes(IMAGES)
HEADER = 16
BITS = st.integers(1, 255)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("idx") / "train-images-idx3-ubyte.gz"


def read_bytes(path, content: bytes, ndim: int = 3) -> np.ndarray:
    path.write_bytes(content)
    return read_idx(path, ndim=ndim)


def read_or_none(path, content: bytes) -> np.ndarray | None:
    """None for a `DataError` of one line; any other exception passes and fails the test."""
    try:
        return read_bytes(path, content)
    except DataError as error:
        assert "\n" not in str(error)
        assert str(path) in str(error) and "expected" in str(error) and "got" in str(error)
        return None


def never(line: str) -> None:
    raise AssertionError(line)


@settings(deadline=None)
@given(
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 9)),
    encode=st.sampled_from([idx_bytes, gz_bytes]),
    seed=st.integers(0, 2**32 - 1),
)
def test_what_is_written_is_read(path, shape, encode, seed):
    images = some_images(*shape, seed=seed)
    np.testing.assert_array_equal(read_bytes(path, encode(images)), images)
    labels = images[:, 0, 0]
    np.testing.assert_array_equal(read_bytes(path, encode(labels), ndim=1), labels)


def test_a_known_file_reads_as_its_bytes_say(path):
    content = bytes([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 3, 10, 20, 30, 40, 50, 255])
    assert read_bytes(path, content).tolist() == [[[10, 20, 30]], [[40, 50, 255]]]


@settings(deadline=None, max_examples=200)
@given(place=st.integers(0, len(RAW) - 1), bits=BITS)
def test_a_flipped_raw_byte_is_refused_in_the_header_and_stays_one_pixel_after_it(
    path, place, bits
):
    damaged = bytearray(RAW)
    damaged[place] ^= bits
    result = read_or_none(path, bytes(damaged))
    if place < HEADER:
        assert result is None
    else:
        assert np.flatnonzero(result.ravel() != IMAGES.ravel()).tolist() == [place - HEADER]


@settings(deadline=None, max_examples=200)
@given(place=st.integers(0, len(GZ) - 1), bits=BITS)
def test_a_flipped_gzip_byte_is_refused_or_harmless(path, place, bits):
    damaged = bytearray(GZ)
    damaged[place] ^= bits
    result = read_or_none(path, bytes(damaged))
    assert result is None or np.array_equal(result, IMAGES)


@settings(deadline=None, max_examples=100)
@given(content=st.sampled_from([RAW, GZ]), data=st.data())
def test_a_truncated_file_is_refused(path, content, data):
    length = data.draw(st.integers(0, len(content) - 1))
    assert read_or_none(path, content[:length]) is None


@settings(deadline=None, max_examples=200)
@given(
    place=st.integers(0, len(RAW)),
    inserted=st.binary(min_size=1, max_size=20),
    zipped=st.booleans(),
)
def test_inserted_bytes_are_refused(path, place, inserted, zipped):
    longer = RAW[:place] + inserted + RAW[place:]
    assert read_or_none(path, gzip.compress(longer) if zipped else longer) is None


@settings(deadline=None, max_examples=200)
@given(place=st.integers(0, len(GZ)), inserted=st.binary(min_size=1, max_size=20))
def test_bytes_inserted_into_gzip_are_refused_or_harmless(path, place, inserted):
    result = read_or_none(path, GZ[:place] + inserted + GZ[place:])
    assert result is None or np.array_equal(result, IMAGES)


@settings(deadline=None, max_examples=100)
@given(content=st.binary(max_size=64), zipped=st.booleans())
def test_arbitrary_bytes_are_refused_or_a_sound_file(path, content, zipped):
    result = read_or_none(path, gzip.compress(content) if zipped else content)
    assert result is None or idx_bytes(result) == content


@pytest.mark.parametrize(
    ("content", "claim"),
    [
        (b"", "got an empty file"),
        (RAW[:9], "got only 9 bytes"),
        (RAW[:-1], "got only 139"),
        (RAW + b"\0", "got more"),
        (gzip.compress(RAW + b"\0"), "got more"),
        (GZ[:-9], "sound gzip, got damage"),
        (GZ[:-8] + bytes(4) + GZ[-4:], "CRC check failed"),
        (GZ + b"trailing", "sound gzip, got damage"),
        (idx_bytes(some_labels(7)) + bytes(20), "got 0x00000801"),
        (b"\0\0\x0d\x03" + RAW[4:], "got 0x00000d03"),
        (idx_bytes(IMAGES[:0]), "at least one element"),
        (idx_bytes(IMAGES[:, :0]), "at least one element"),
        (b"<html>404 not found</html>", "got 0x3c68746d"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_damage_is_named(path, content, claim):
    with pytest.raises(DataError, match=claim):
        read_bytes(path, content)


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("dims", [(2**32 - 1,) * 3, (2**31, 1, 1), (60_000, 28, 28)])
def test_a_header_that_promises_too_much_takes_no_memory(path, dims, zipped):
    content = struct.pack(">4I", 0x803, *dims) + bytes(100)
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=f"expected {np.prod(dims, dtype=object)} bytes"):
            read_bytes(path, gzip.compress(content) if zipped else content)
        assert tracemalloc.get_traced_memory()[1] < 4e6
    finally:
        tracemalloc.stop()


def test_memory_follows_what_is_there_and_not_what_gzip_could_hold(path):
    noise = np.random.default_rng(0).bytes(100_000)
    content = gzip.compress(struct.pack(">4I", 0x803, 90_000, 1000, 1) + noise)
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=r"expected 90000000 bytes .* got only 100000"):
            read_bytes(path, content)
        assert tracemalloc.get_traced_memory()[1] < 4e6
    finally:
        tracemalloc.stop()


def test_more_than_four_gibibytes_are_refused_even_if_the_file_could_hold_them(path):
    bomb = gzip.compress(struct.pack(">4I", 0x803, 2**21, 64, 64) + bytes(10**6)) + bytes(9 * 10**6)
    with pytest.raises(DataError, match="at most 4294967296"):
        read_bytes(path, bomb)


def test_a_folder_or_a_pipe_in_a_files_place_is_refused(tmp_path):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name in ("folder", "pipe"):
        with pytest.raises(DataError, match="got a folder or device"):
            read_idx(tmp_path / name, ndim=3)


def test_a_file_that_cannot_be_read_is_refused(path, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    path.write_bytes(RAW)
    with monkeypatch.context() as patch, pytest.raises(DataError, match="got Permission denied"):
        patch.setattr("builtins.open", refuse)
        read_idx(path, ndim=3)


def test_a_file_that_is_gone_is_refused(tmp_path):
    with pytest.raises(DataError, match="No such file"):
        read_idx(tmp_path / "nothing", ndim=3)


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize(("split", "num"), [("train", 12), ("test", 6)])
def test_a_split_is_its_own_two_files(tmp_path, suffix, split, num):
    images, labels = read_split("toy", split, write_set(tmp_path, suffix=suffix), warn=never)
    assert (images.dtype, labels.dtype) == (np.uint8, np.int32)
    np.testing.assert_array_equal(images, some_images(num, seed=num)[..., None])
    np.testing.assert_array_equal(labels, some_labels(num))


def test_images_and_labels_must_be_as_many(tmp_path):
    write_set(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(gz_bytes(some_labels(11)))
    with pytest.raises(DataError, match="got 11 labels and 12 images"):
        read_split("toy", "train", tmp_path, warn=never)


def test_a_missing_file_is_named(tmp_path):
    write_set(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte.gz or .* found neither"):
        read_split("toy", "test", tmp_path, warn=never)
    read_split("toy", "train", tmp_path, warn=never)


def test_the_inner_folder_goes_before_the_outer(tmp_path):
    assert find_folder("toy", tmp_path) is None
    write_set(tmp_path)
    assert find_folder("toy", tmp_path) == tmp_path
    assert find_folder("toy", write_set(tmp_path / "toy").parent) == tmp_path / "toy"
    assert find_folder("other", tmp_path) == tmp_path
