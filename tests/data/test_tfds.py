"""The TFDS route, without TensorFlow: the same images as the IDX files, in another order."""

import json
import shutil
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from idx_files import write_set

from gan_jax.data import DataError, load, prepare_from_idx
from gan_jax.data.feature_classes import ALLOWED
from gan_jax.data.tfds import find_folder, read

pytest.importorskip(
    "tensorflow_datasets", reason="TFDS is not installed: pip install gan_jax[tfds]"
)
if not sys.platform.startswith("linux"):
    pytest.skip("array_record exists for Linux only", allow_module_level=True)


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """The folders of a tiny set as IDX files and as prepared by TFDS."""
    root = tmp_path_factory.mktemp("tfds")
    idx_dir = write_set(root / "idx", train=40, test=15)
    prepare_from_idx("mnist", idx_dir, root / "prepared")
    return idx_dir, root / "prepared"


def refuse(line: str) -> None:
    raise AssertionError(line)


def pairs(dataset) -> list[tuple[bytes, int]]:
    both = zip(dataset.images, dataset.labels.tolist(), strict=True)
    return sorted((image.tobytes(), label) for image, label in both)


@pytest.mark.parametrize("split", ["train", "test"])
def test_both_routes_give_the_same_pairs_of_image_and_label(sources, split):
    idx_dir, prepared = sources
    direct = load("toy", split=split, data_dir=idx_dir, warn=refuse)
    through_tfds = load("mnist", split=split, data_dir=prepared, warn=refuse)
    assert pairs(through_tfds) == pairs(direct)
    assert through_tfds.images.shape == direct.images.shape
    assert (through_tfds.images.dtype, through_tfds.labels.dtype) == (np.uint8, np.int32)


def test_tfds_itself_finds_the_prepared_folder_by_name(sources):
    import tensorflow_datasets as tfds

    source = tfds.data_source("mnist", split="test", data_dir=sources[1], download=False)
    ours = load("mnist", split="test", data_dir=sources[1], warn=refuse)
    np.testing.assert_array_equal([example["image"] for example in source], ours.images)


def test_idx_files_go_before_a_prepared_folder(sources, tmp_path):
    shutil.copytree(sources[1], tmp_path, dirs_exist_ok=True)
    write_set(tmp_path / "mnist", train=3)
    assert len(load("mnist", data_dir=tmp_path, warn=lambda line: None).images) == 3


def test_the_newest_version_is_read(tmp_path):
    for version in ("3.9.0", "3.10.0", "config/1.0.0"):
        (tmp_path / "toy" / version).mkdir(parents=True)
        (tmp_path / "toy" / version / "dataset_info.json").touch()
    assert find_folder("toy", tmp_path) == tmp_path / "toy" / "3.10.0"
    assert find_folder("toy/config", tmp_path) == tmp_path / "toy" / "config" / "1.0.0"
    assert find_folder("other", tmp_path) is None


def test_a_folder_is_not_prepared_twice(sources):
    with pytest.raises(DataError, match="expected no such folder, found one"):
        prepare_from_idx("mnist", *sources)


@settings(deadline=None, max_examples=25)
@given(st.data())
def test_a_damaged_folder_is_refused_or_reads_the_same(sources, tmp_path_factory, data):
    sound = find_folder("mnist", sources[1])
    folder = shutil.copytree(sound, tmp_path_factory.mktemp("damaged") / "3.0.1")
    victim = data.draw(st.sampled_from(sorted(folder.iterdir())), label="file")
    content = bytearray(victim.read_bytes())
    filled = [place for place, byte in enumerate(content) if byte]
    place = data.draw(st.sampled_from(filled), label="place")
    if data.draw(st.booleans(), label="truncate"):
        victim.write_bytes(content[:place])
    else:
        content[place] ^= data.draw(st.integers(1, 255), label="bits")
        victim.write_bytes(content)
    try:
        images, _ = read("test", folder)
    except DataError as error:
        assert "\n" not in str(error) and str(folder) in str(error)
    else:
        np.testing.assert_array_equal(images, read("test", sound)[0])


@pytest.mark.parametrize(
    "place", ["image", "top", "snake", "twice", "info", "string", "old", "module"]
)
def test_a_folder_that_names_code_of_its_own_is_refused_and_none_of_it_runs(
    sources, tmp_path, monkeypatch, place
):
    folder = shutil.copytree(find_folder("mnist", sources[1]), tmp_path / "3.0.1")
    (tmp_path / "planted.py").write_text("import pathlib; pathlib.Path(__file__).unlink()")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "planted", raising=False)
    plant(folder, place)
    if place == "module":  # only written down, never imported
        read("test", folder)
    else:
        with pytest.raises(DataError, match=r"FeaturesDict, Image, .*got .*planted.*; prepare"):
            read("test", folder)
    assert (tmp_path / "planted.py").exists() and "planted" not in sys.modules


def plant(folder, place: str) -> None:
    """Name a class of the module `planted` in a prepared folder."""
    evil = "planted.Evil"
    features_file, info_file = folder / "features.json", folder / "dataset_info.json"
    features, info = json.loads(features_file.read_text()), json.loads(info_file.read_text())
    image = features["featuresDict"]["features"]["image"]
    if place == "image":
        image["pythonClassName"] = evil
    elif place == "top":
        features["pythonClassName"] = evil
    elif place == "snake":
        del image["pythonClassName"]
        image["python_class_name"] = evil
    elif place == "info":
        info["features"] = features | {"pythonClassName": evil}
    elif place == "string":
        inner = json.dumps({"image": {"type": evil, "content": {}}})
        del features["featuresDict"]
        features["jsonFeature"] = {"json": inner}
    elif place == "old":
        features = {"type": evil, "content": {}}
    elif place == "module":
        info["moduleName"] = "planted"
    text = json.dumps(features)
    if place == "twice":
        text = text[:-1] + f', "pythonClassName": "{evil}", "pythonClassName": "{ALLOWED[0]}"}}'
    features_file.write_text(text)
    info_file.write_text(json.dumps(info))


def test_the_classes_allowed_are_those_that_tfds_writes_today():
    import tensorflow_datasets as tfds

    features = tfds.features
    made = (
        features.FeaturesDict({}),
        features.Image(),
        features.ClassLabel(num_classes=2),
        features.Scalar(np.int64),
        features.Tensor(shape=(), dtype=np.int64),
        features.Text(),
    )
    assert [feature._fully_qualified_class_name for feature in made] == list(ALLOWED)


def test_a_split_or_feature_that_is_not_there_is_named(sources):
    with pytest.raises(DataError, match="with split validation"):
        read("validation", find_folder("mnist", sources[1]))


@pytest.mark.parametrize("use", ["read", "prepare"])
def test_without_tfds_the_remedy_is_named(sources, tmp_path, monkeypatch, use):
    monkeypatch.setitem(
        sys.modules, "tensorflow_datasets", None
    )  # what an absent package looks like
    with pytest.raises(DataError, match=r"pip install gan_jax\[tfds\]"):
        if use == "read":
            load("mnist", data_dir=sources[1], warn=refuse)
        else:
            prepare_from_idx("mnist", sources[0], tmp_path)


@pytest.mark.slow
def test_the_real_set_through_tfds_is_the_real_set(data_dir, tmp_path):
    prepare_from_idx("mnist", data_dir / "mnist", tmp_path)
    through_tfds = load("mnist", split="test", data_dir=tmp_path, warn=refuse)
    assert pairs(through_tfds) == pairs(load("mnist", split="test", data_dir=data_dir))
