"""What Hugging Face's `datasets` wrote by save_to_disk: read as it was saved, and believed in nothing."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from picture_files import encoded, noise

from gan_jax import data
from gan_jax.data import DataError, Naming, PictureOptions

pa = pytest.importorskip("pyarrow")

NAMES = ["cat", "dog"]
IMAGE, LABEL = {"_type": "Image"}, {"names": NAMES, "_type": "ClassLabel"}
PICTURE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def picture(seed: int) -> np.ndarray:
    return np.asarray(noise(6, 5, seed=seed))


def table(seeds, labels=None, name="img"):
    cells = [{"bytes": encoded(noise(6, 5, seed=seed)), "path": None} for seed in seeds]
    columns = {name: pa.array(cells, PICTURE)}
    if labels is not None:
        columns["label"] = pa.array(labels)
    return pa.table(columns)


def save(folder: Path, rows, features, compression=None, **state) -> Path:
    """Write a folder as datasets 5.2 does: Arrow's stream format beside two JSON files."""
    folder.mkdir(parents=True, exist_ok=True)
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.ipc.new_stream(str(folder / "data-0.arrow"), rows.schema, options=options) as out:
        out.write_table(rows, max_chunksize=3)
    files = {"_data_files": [{"filename": "data-0.arrow"}]} | state
    (folder / "state.json").write_text(json.dumps(files))
    (folder / "dataset_info.json").write_text(json.dumps({"features": features}))
    return folder


def saved(folder: Path, seeds=range(8), labels=(0, 1, 0, 1, 1, 0, 1, 0), **more) -> Path:
    features = {"img": IMAGE, "label": LABEL}
    return save(folder, table(seeds, pa.array(labels)), features, **more)


def options(**naming) -> PictureOptions:
    return PictureOptions(naming=Naming(**naming))


def test_pictures_and_classes_are_those_that_were_saved(tmp_path):
    train, held_out = data.load_pictures(saved(tmp_path / "a"), options(held_out_names="00000[67]"))
    for place in range(6):
        np.testing.assert_array_equal(train.images[place], picture(place))
    assert train.labels.tolist() == [0, 1, 0, 1, 1, 0] and train.class_names == ("cat", "dog")
    assert sorted(held_out.labels.tolist()) == [0, 1]


def test_of_parts_a_name_holds_one_out(tmp_path):
    saved(tmp_path / "a" / "train")
    saved(tmp_path / "a" / "test", seeds=range(10, 13), labels=(1, 1, 0))
    (tmp_path / "a" / "dataset_dict.json").write_text(json.dumps({"splits": ["train", "test"]}))
    train, held_out = data.load_pictures(tmp_path / "a", options(held_out_names="^test/"))
    assert len(train.images) == 8 and sorted(held_out.labels.tolist()) == [0, 1, 1]
    both = sum(len(part.images) for part in data.load_pictures(tmp_path / "a"))
    assert both == 11


@pytest.mark.parametrize("compression", [None, "zstd"])
def test_words_and_numbers_are_classes_and_none_are_if_none_are_wanted(tmp_path, compression):
    words = pa.array(["b", "a"] * 4)
    rows = table(range(8)).append_column("kind", words)
    features = {"img": IMAGE, "kind": {"dtype": "string", "_type": "Value"}}
    folder = save(tmp_path / "a", rows, features, compression=compression)
    plain, _ = data.load_pictures(folder)
    assert plain.labels is None
    named = PictureOptions(label_column="kind", naming=Naming(held_out_names="7.png"))
    train, _ = data.load_pictures(folder, named)
    assert train.class_names == ("a", "b") and train.labels.tolist() == [1, 0, 1, 0, 1, 0, 1]
    for none in (PictureOptions(label_column="none"), options(label_by="none")):
        assert data.load_pictures(saved(tmp_path / "b"), none)[0].labels is None


def two_pictures(folder):
    rows = table(range(4), name="left").append_column("right", table(range(4))["img"])
    save(folder, rows, {"left": IMAGE, "right": IMAGE})


def no_picture(folder):
    save(folder, pa.table({"x": [1, 2]}), {"x": {"dtype": "int64", "_type": "Value"}})


def elsewhere(folder):
    cells = pa.array([{"bytes": None, "path": "/etc/passwd"}] * 2, PICTURE)
    save(folder, pa.table({"img": cells}), {"img": IMAGE})


def text(folder):
    cells = pa.array([{"bytes": b"hello", "path": None}] * 2, PICTURE)
    save(folder, pa.table({"img": cells}), {"img": IMAGE})


def cut(folder):
    file = saved(folder) / "data-0.arrow"
    file.write_bytes(file.read_bytes()[:900])


def unknown(folder):
    saved(folder, labels=(0, 1, 0, 1, 1, 0, 1, -1))


def no_class(folder):
    saved(folder, labels=(0, 1, 0, 1, 1, 0, 1, None))


def swelling(folder):
    cells = pa.array([{"bytes": bytes(10**6), "path": None}] * 2, PICTURE)
    save(folder, pa.table({"img": cells}), {"img": IMAGE}, compression="zstd")


WRONG = {
    two_pictures: "expected one image column, got left, right; choose one by --image_column",
    no_picture: "expected a column of pictures, got x; name it by --image_column",
    elsewhere: "not in the data set, which only says where it once lay",
    text: "no PNG, JPEG, WebP or GIF inside",
    cut: "expected a sound data set of Hugging Face's datasets, got",
    unknown: "got classes from -1 to 1, of which 2 have names",
    no_class: "with rows that have no class; leave classes out by --label_column=none",
    swelling: "which swells when it is read",
    lambda f: saved(f, _data_files=[{"filename": "../x"}]): "'../x', which is no file's name",
    lambda f: saved(f, _data_files=[{}]): "got 'filename'",
    lambda f: saved(f, _data_files=3): "save it anew",
    lambda f: saved(f, _indices_data_files=[{"filename": "i"}]): "call flatten_indices()",
    lambda f: (saved(f) / "dataset_info.json").write_text("[]"): "expected a sound data set",
    lambda f: (saved(f) / "state.json").write_text("{"): "expected a sound data set",
    lambda f: save(f, table([]), {"img": IMAGE}): "got a data set without rows",
}


@pytest.mark.parametrize(("make", "words"), WRONG.items())
def test_what_is_wrong_is_told_in_a_line(make, words, tmp_path):
    make(tmp_path / "a")
    with pytest.raises(DataError) as caught:
        data.load_pictures(tmp_path / "a")
    line = str(caught.value)
    assert words in line and "\n" not in line and str(tmp_path) in line


def test_columns_are_chosen_by_name_and_of_such_folders_alone(tmp_path):
    two_pictures(tmp_path / "a")
    train, _ = data.load_pictures(tmp_path / "a", PictureOptions(image_column="right"))
    assert len(train.images) == 3
    with pytest.raises(DataError, match="expected --image_column from left, right, got up; choose"):
        data.load_pictures(tmp_path / "a", PictureOptions(image_column="up"))
    shutil.rmtree(tmp_path / "a")
    (tmp_path / "a").mkdir()
    with pytest.raises(DataError, match="of which --image_column and --label_column are, got ano"):
        data.load_pictures(tmp_path / "a", PictureOptions(image_column="img"))


def test_without_pyarrow_the_way_to_get_it_is_told(tmp_path, monkeypatch):
    folder = saved(tmp_path / "a")
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(DataError, match=r"pip install 'gan_jax\[huggingface\]'"):
        data.load_pictures(folder)
