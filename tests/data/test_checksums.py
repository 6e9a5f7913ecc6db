"""Files that differ from the published ones are said, those that are the same are not."""

import gzip

import numpy as np
import pytest
from idx_files import STEMS, gz_bytes, idx_bytes, some_images, write_set

from gan_jax.data.checksums import MD5, check_published, content_md5
from gan_jax.data.idx import FILES, read_idx, read_split

STEM = "train-images-idx3-ubyte"
IMAGES = some_images(12, seed=12)


def lines_for(name: str, path, array: np.ndarray) -> list[str]:
    lines = []
    check_published(name, STEM, path, array, warn=lines.append)
    return lines


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A tiny set whose training images stand in for mnist's published ones."""
    import hashlib

    folder = write_set(tmp_path)
    zipped = (folder / f"{STEM}.gz").read_bytes()
    sums = (hashlib.md5(zipped).hexdigest(), hashlib.md5(gzip.decompress(zipped)).hexdigest())
    monkeypatch.setitem(MD5["mnist"], STEM, sums)
    return folder


def test_the_published_file_is_passed_in_silence(published):
    assert lines_for("mnist", published / f"{STEM}.gz", IMAGES) == []


def test_the_published_content_is_passed_however_it_is_packed(published):
    unpacked, repacked = published / STEM, published / "repacked.gz"
    unpacked.write_bytes(idx_bytes(IMAGES))
    repacked.write_bytes(gzip.compress(idx_bytes(IMAGES), compresslevel=1, mtime=1))
    assert lines_for("mnist", unpacked, IMAGES) == lines_for("mnist", repacked, IMAGES) == []


def test_one_changed_pixel_is_said_in_one_line_and_the_images_still_read(published):
    changed = IMAGES.copy()
    changed[3, 2, 1] ^= 1
    (published / f"{STEM}.gz").write_bytes(gz_bytes(changed))
    lines = []
    images, _ = read_split("mnist", "train", published, warn=lines.append)
    np.testing.assert_array_equal(images[..., 0], changed)
    (line,) = [line for line in lines if STEM in line]
    assert "\n" not in line and f"expected MD5 {MD5['mnist'][STEM][0]}" in line


def test_another_sets_file_is_recognised(published):
    (line,) = lines_for("fashion_mnist", published / f"{STEM}.gz", IMAGES)
    assert f"(it is mnist's {STEM})" in line


def test_sets_without_published_sums_are_not_judged(published):
    assert lines_for("emnist", published / f"{STEM}.gz", IMAGES + 1) == []


def test_there_are_sums_of_eight_different_files():
    sums = [md5 for files in MD5.values() for pair in files.values() for md5 in pair]
    assert len(set(sums)) == len(sums) == 16 and all(len(md5) == 32 for md5 in sums)


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
@pytest.mark.parametrize("split", ["train", "test"])
def test_the_real_files_are_the_published_ones(data_dir, name, split):
    import hashlib

    for stem in FILES[split]:
        assert stem.startswith(STEMS[split])
        path = data_dir / name / f"{stem}.gz"
        content = content_md5(read_idx(path, ndim=3 if "idx3" in stem else 1))
        assert (hashlib.md5(path.read_bytes()).hexdigest(), content) == MD5[name][stem]
