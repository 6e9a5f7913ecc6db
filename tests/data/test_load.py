"""`load`: one door to every source, and one clear line for everything that can be asked wrongly."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from idx_files import some_images, write_set

from gan_jax import data
from gan_jax.data import BUILT_IN, DataError, Dataset, load
from gan_jax.data.idx import ALL_FILES


def refuse(line: str) -> None:
    raise AssertionError(line)


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_sets_need_nothing_and_are_the_same_each_time(name, split):
    first, again = load(name, split=split, warn=refuse), load(name, split=split, warn=refuse)
    other = load(name, split="test" if split == "train" else "train", warn=refuse)
    assert isinstance(first, Dataset) and first.name == name
    assert first.sha256 == again.sha256 != other.sha256
    assert len(first.images) == len(first.labels) and first.labels.dtype == np.int32
    is_image = first.images.ndim == 4
    assert first.images.dtype == (np.uint8 if is_image else np.float32)


def test_classes_that_are_known_have_names(tmp_path):
    assert load("digits").class_names == tuple("0123456789") and load("ring").class_names == ()
    write_set(tmp_path / "fashion_mnist")
    assert (
        load("fashion_mnist", data_dir=tmp_path, warn=lambda line: None).class_names[9]
        == "Ankle boot"
    )


@pytest.mark.parametrize("name", ["toy", "kmnist", "emnist/balanced", "my-set.2"])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_any_name_is_a_folder_of_idx_files(tmp_path, name, suffix):
    write_set(tmp_path / name, suffix=suffix)
    dataset = load(name, data_dir=tmp_path, warn=refuse)
    np.testing.assert_array_equal(dataset.images[..., 0], some_images(12, seed=12))
    assert load(name, data_dir=str(tmp_path / name), warn=refuse).sha256 == dataset.sha256
    assert len(load(name, split="test", data_dir=tmp_path, warn=refuse).images) == 6


def test_a_file_that_is_not_the_published_one_is_said_through_warn(tmp_path):
    write_set(tmp_path / "mnist")
    lines = []
    load("mnist", data_dir=tmp_path, warn=lines.append)
    assert len(lines) == 2 and all("MD5" in line for line in lines)
    with pytest.warns(UserWarning, match="expected MD5"):
        load("mnist", data_dir=tmp_path)


@pytest.mark.parametrize("place", [None, "", "nowhere", "a_file", "empty"])
def test_missing_data_are_explained_with_the_four_files_and_a_way_out(tmp_path, place):
    (tmp_path / "empty").mkdir()
    (tmp_path / "a_file").write_text("")
    where = str(tmp_path / place) if place else place
    with pytest.raises(DataError) as error:
        load("mnist", data_dir=where)
    message = str(error.value)
    assert all(name in message for name in ALL_FILES)
    assert "--dataset=digits" in message and "download=True (--download)" in message
    assert "\n" not in message
    assert (where or "no data_dir") in message


def test_what_cannot_be_downloaded_is_not_offered_for_it(tmp_path):
    with pytest.raises(DataError, match=r"where they are, or use digits") as error:
        load("emnist/letters", data_dir=tmp_path)
    assert "--download" not in str(error.value)


def test_an_unreadable_folder_is_called_so(tmp_path, monkeypatch):
    monkeypatch.setattr(data.os, "access", lambda path, mode: False)
    with pytest.raises(DataError, match="which cannot be read"):
        load("mnist", data_dir=tmp_path)


READ_AS_NOBODY = """
import os, sys
from gan_jax.data import DataError, load
if os.getuid() == 0:
    os.setuid(65534)  # the superuser may read anything
try:
    load("mnist", data_dir=sys.argv[1])
except DataError as error:
    print(error)
"""


@pytest.mark.parametrize("locked", [".", "mnist", "mnist/train-images-idx3-ubyte.gz"])
def test_what_another_user_may_not_read_is_an_error_of_one_line(locked):
    with tempfile.TemporaryDirectory() as folder:  # unlike tmp_path, it can be opened to others
        os.chmod(folder, 0o755)
        write_set(Path(folder, "mnist"))
        mode = os.stat(Path(folder, locked)).st_mode
        os.chmod(Path(folder, locked), 0)
        command = [sys.executable, "-c", READ_AS_NOBODY, folder]
        result = subprocess.run(command, capture_output=True, text=True)
        os.chmod(Path(folder, locked), mode)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("\n") == 1 and "expected" in result.stdout


def test_an_unknown_split_is_refused():
    with pytest.raises(DataError, match="one of train, test, got 'validation'"):
        load("digits", split="validation")


@pytest.mark.parametrize("name", ["", "../mnist", "/etc", "a/b/c", "a b", None, 3])
def test_what_is_no_name_is_refused(name, tmp_path):
    with pytest.raises(DataError, match="expected a data set's name such as digits"):
        load(name, data_dir=tmp_path)


def test_half_a_data_set_is_an_error_and_no_reason_to_download(tmp_path):
    (write_set(tmp_path / "mnist") / "train-images-idx3-ubyte.gz").unlink()
    with pytest.raises(DataError, match=r"expected train-images-idx3-ubyte.gz or"):
        load("mnist", data_dir=tmp_path, download=True, warn=refuse)


def test_importing_data_imports_nothing_heavy():
    code = (
        "import sys, gan_jax.data; "
        "print([m for m in ('sklearn', 'PIL', 'tensorflow_datasets', 'flax', 'pooch', 'requests') if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize(("split", "num"), [("train", 60_000), ("test", 10_000)])
@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_the_real_sets_are_whole(data_dir, name, split, num):
    dataset = load(name, split=split, data_dir=data_dir, warn=refuse)
    assert dataset.images.shape == (num, 28, 28, 1)
    counts = np.bincount(dataset.labels)
    if name == "fashion_mnist":
        assert counts.tolist() == [num // 10] * 10
    elif split == "test":  # the published counts of 0, 1, ..., 9
        assert counts.tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    else:
        assert counts.tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]


def test_the_first_real_digits_are_the_well_known_ones(data_dir):
    train = load("mnist", data_dir=data_dir)
    assert train.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert (
        round(float(train.images.mean() / 255), 4) == 0.1307
    )  # the mean that is quoted everywhere
