"""A folder, a .zip or a file of arrays becomes two data sets; whatever is wrong with it is said in one line."""

import os
import re
import zipfile

import numpy as np
import pytest
from picture_files import encoded, noise, solid, unprepared, write
from PIL import Image

from gan_jax.data import DataError, Naming, PictureOptions, load_pictures
from gan_jax.data.folder import files as listing
from gan_jax.data.folder import load as loading
from gan_jax.data.folder.naming import classes_of, is_held_out
from gan_jax.data.folder.workers import Budget, for_each

SMALL = PictureOptions((8, 8))


def levels(dataset) -> list[int]:
    """The grey levels of pictures of one level each."""
    assert (dataset.images.reshape(len(dataset.images), -1).std(axis=1) == 0).all()
    return dataset.images[:, 0, 0, 0].tolist()


def message(path, options=SMALL, **more) -> str:
    with pytest.raises(DataError) as error:
        load_pictures(path, options, **more)
    assert "\n" not in str(error.value)
    return str(error.value)


def zipped(path, content: dict[str, bytes], **options):
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, each in content.items():
            archive.writestr(name, each)
    return path


def test_every_picture_falls_on_one_side_and_a_tenth_is_held_out(tmp_path):
    train, held_out = load_pictures(write(tmp_path / "grey levels", solid(40)), SMALL)
    assert sorted(levels(train) + levels(held_out)) == list(range(40))
    assert len(held_out.images) == 4
    assert (train.labels, train.class_names, train.name) == (None, (), "grey_levels")
    assert train.images.shape == (36, 8, 8, 1)  # grey, as all are


def test_the_side_is_chosen_by_content_and_not_by_name_or_place(tmp_path):
    content = solid(30)
    renamed = {f"x{name[::-1]}.PNG": each for name, each in content.items()}
    renamed = {f"{len(name) % 2}/{name}": each for name, each in renamed.items()}
    first = load_pictures(write(tmp_path / "a", content), SMALL)
    again = load_pictures(zipped(tmp_path / "a.zip", renamed), SMALL)
    assert sorted(levels(first.held_out)) == sorted(levels(again.held_out))
    assert again.train.labels is not None and first.train.sha256 != again.train.sha256


def test_held_out_pictures_are_mixed_and_the_first_of_them_as_good_as_any(tmp_path):
    files = {f"{'abc'[i // 40]}/{i:03}.png": each for i, each in enumerate(solid(120).values())}
    options = SMALL._replace(naming=Naming(held_out=0.5))
    train, held_out = load_pictures(write(tmp_path, files), options)
    assert levels(train) == sorted(levels(train))
    assert np.bincount(held_out.labels[:30], minlength=3).min() >= 4


def test_sub_folders_are_classes_in_the_order_of_their_names_or_numbers(tmp_path):
    content = list(solid(24).values())
    for names in (("bee", "cat", "elk"), ("2", "9", "10")):
        files = {f"{names[i % 3]}/{i}.png": each for i, each in enumerate(content)}
        train, held_out = load_pictures(write(tmp_path / names[0], files), SMALL)
        assert train.class_names == held_out.class_names == names
        for part in (train, held_out):
            assert part.labels.dtype == np.int32
            assert part.labels.tolist() == [level % 3 for level in levels(part)]


def test_some_classes_can_be_chosen(tmp_path):
    files = {f"{'abc'[i % 3]}/{i}.png": each for i, each in enumerate(solid(24).values())}
    folder = write(tmp_path, files)

    def of(*classes):
        return load_pictures(folder, SMALL._replace(naming=Naming(classes=classes)))

    train, _ = of("c", "a")
    assert train.class_names == ("a", "c")
    assert train.labels.tolist() == [(level % 3) // 2 for level in levels(train)]
    assert of("b").train.labels is None and {level % 3 for level in levels(of("b").train)} == {1}
    with pytest.raises(DataError, match="expected --classes from a, b, c, got d"):
        of("a", "d")


def test_a_folder_around_everything_is_no_class():
    names = ["pictures/cats/1.png", "pictures/dogs/1.png"]
    assert classes_of(names, Naming())[1] == ("cats", "dogs")
    assert classes_of(["pictures/1.png", "pictures/2.png"], Naming())[0] is None


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["a/1.png", "2.png"], "got 2.png and a/1.png"),
        (["a/x/1.png", "b/x/2.png"], "got folders in folders; name the folder above the classes"),
        (["train/1.png", "test/2.png"], "the parts test and train of a data set"),
    ],
)
def test_names_that_do_not_say_the_class_are_refused_with_a_remedy(names, said):
    with pytest.raises(DataError, match=re.escape(said)):
        classes_of(names, Naming())
    assert classes_of(names, Naming(label_by="none")) == (None, ())


def test_an_expression_names_the_class():
    names = ["7_theo_0.wav", "7_jackson_3.wav", "0_theo_1.wav"]
    labels, class_names = classes_of(names, Naming(label_by=r"^\d"))
    assert (labels.tolist(), class_names) == ([1, 1, 0], ("0", "7"))
    labels, class_names = classes_of(names, Naming(label_by="_([a-z]+)_"))
    assert (labels.tolist(), class_names) == ([1, 0, 1], ("jackson", "theo"))
    with pytest.raises(
        DataError, match=r"7_jackson_3\.wav: expected a name with a match of --label_by=theo"
    ):
        classes_of(names, Naming(label_by="theo"))


def digests(count: int) -> list[bytes]:
    return [np.random.default_rng(i).bytes(32) for i in range(count)]


def test_a_group_stays_together():
    names = [f"u{i // 5:x}_{i}.png" for i in range(100)]
    for share in (0.0, 0.05, 0.3):
        chosen = is_held_out(names, digests(100), Naming(held_out=share, group_by="u[0-9a-f]+"))
        assert all(len(set(group)) == 1 for group in chosen.reshape(20, 5).tolist())
        assert chosen.sum() == max(5, 100 * share)


def test_names_can_say_what_is_held_out():
    names = [f"{i}_theo_{i % 7}.wav" for i in range(21)]
    chosen = is_held_out(names, digests(21), Naming(held_out_names=r"_[0-4]\.wav$"))
    assert chosen.tolist() == [i % 7 < 5 for i in range(21)]
    for expression, got in (("wav", "every"), ("mp3", "no")):
        with pytest.raises(DataError, match=f"got {got} one; mend the expression"):
            is_held_out(names, digests(21), Naming(held_out_names=expression))


def test_what_is_equal_falls_on_one_side():
    same = digests(10)
    chosen = is_held_out(list("abcdefghij") * 4, same * 4, Naming())
    assert chosen.sum() == 4 and (chosen.reshape(4, 10) == chosen[:10]).all()
    with pytest.raises(DataError, match="got 2 that are one group, the first a"):
        is_held_out(["a", "b"], same[:1] * 2, Naming())
    with pytest.raises(DataError, match="a: expected at least 2 files"):
        is_held_out(["a"], same[:1], Naming())


def test_mixed_sizes_need_an_image_size_and_the_odd_one_is_named(tmp_path):
    files = {f"{i}.png": encoded(noise(16, 12, seed=i)) for i in range(5)}
    train, _ = load_pictures(write(tmp_path, files), PictureOptions())
    assert train.images.shape == (4, 16, 12, 3)
    write(tmp_path, {"odd.png": encoded(noise(12, 16))})
    assert (
        "5 of 6 are 16x12 (height x width), but odd.png is 12x16; choose one by --image_size"
        in (message(tmp_path, PictureOptions()))
    )


def test_one_line_names_the_files_that_cannot_be_read_and_counts_the_rest(tmp_path):
    folder = write(tmp_path, solid(20) | {"notes.png": b"text", "ünï\ncode.png": b"\x89PNG"})
    said = message(folder)
    assert "of 22 files 2 cannot be read: notes.png (no PNG, JPEG, WebP or GIF inside), " in said
    write(tmp_path, {f"bad {i}.jpg": b"" for i in range(7)})
    assert "9 cannot be read: bad 0.jpg (an empty file), bad 1.jpg" in message(folder)
    assert "and 6 more; mend them or take them out" in message(folder)


def test_damage_behind_a_sound_header_is_found_before_anything_is_kept(tmp_path):
    cut = encoded(noise(64, 64))[:6000]
    folder = write(tmp_path / "a", solid(20) | {"cut.png": cut})
    assert "of 21 files 1 cannot be read: cut.png (damaged: " in message(
        folder, cache=tmp_path / "kept"
    )
    assert not [each for each in (tmp_path / "kept").iterdir() if each.suffix != ".lock"]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "expected a readable folder or .zip, got No such file or directory"),
        (
            lambda path: path.mkdir(),
            "expected files that end in .png, .jpg, .jpeg, .webp, .gif, got none",
        ),
        (
            lambda path: path.write_bytes(b"PK no zip"),
            "expected a sound .zip, got File is not a zip",
        ),
        (lambda path: zipped(path, {"a.txt": b""}), "got none; set --data_dir to where they are"),
    ],
)
def test_a_place_without_pictures_is_refused(tmp_path, make, said):
    make(tmp_path / "it")
    assert said in message(tmp_path / "it")


def test_a_zip_is_read_in_place_whatever_its_names_say(tmp_path):
    content = {f"../../{name}": each for name, each in solid(12).items()}
    content |= {"__MACOSX/._0.png": b"x", "../../.DS_Store": b"x"}
    parts = load_pictures(zipped(tmp_path / "odd.zip", content), SMALL)
    assert sorted(levels(parts.train) + levels(parts.held_out)) == list(range(12))
    assert [each.name for each in tmp_path.iterdir()] == ["odd.zip"]


def test_a_zip_that_swells_or_is_damaged_names_the_entry(tmp_path, monkeypatch):
    monkeypatch.setattr(listing, "MAX_FILE_BYTES", 2**20)
    bomb = solid(9) | {"bomb.png": bytes(2**21)}
    path = zipped(tmp_path / "it.zip", bomb, compression=zipfile.ZIP_DEFLATED)
    assert "bomb.png (more than 1 MiB)" in message(path)
    content = bytearray(zipped(tmp_path / "it.zip", solid(9)).read_bytes())
    content[content.index(b"IDAT") + 6] ^= 255
    path.write_bytes(content)
    assert "0.png (damaged within the .zip: Bad CRC-32" in message(path)
    content = bytearray(zipped(path, solid(9), compression=zipfile.ZIP_LZMA).read_bytes())
    content[content.index(b"0.png") + 9] = 255  # a setting of LZMA that there is not
    path.write_bytes(content)
    assert "0.png (damaged within the .zip: " in message(path)


def test_a_zip_with_names_that_are_no_text_is_refused(tmp_path):
    path = zipped(tmp_path / "it.zip", {"\u00e4.png": solid(1)["0.png"]})
    path.write_bytes(path.read_bytes().replace("\u00e4".encode(), b"\xff\xff"))
    assert "it.zip: expected a sound .zip, got 'utf-8' codec" in message(path)


def test_links_in_a_circle_pipes_and_folders_called_png_do_no_harm(tmp_path):
    folder = write(tmp_path / "a", solid(10))
    (folder / "again").symlink_to(folder)
    (folder / "folder.png").mkdir()
    os.mkfifo(folder / "pipe.png")
    parts = load_pictures(folder, SMALL)
    assert len(parts.train.images) + len(parts.held_out.images) == 10


def test_folders_are_read_to_a_depth_and_refused_beyond_it(tmp_path, monkeypatch):
    deep = tmp_path.joinpath("a", *"bcdefghijklm")
    write(deep, solid(4))
    parts = load_pictures(tmp_path / "a", SMALL)
    assert len(parts.train.images) + len(parts.held_out.images) == 4
    monkeypatch.setattr(listing, "MAX_DEPTH", 12)
    assert "m: expected folders at most 12 deep, got deeper ones; set --data_dir" in message(
        tmp_path / "a"
    )
    assert load_pictures(tmp_path / "a" / "b", SMALL).train.images.any()


@pytest.mark.parametrize(("each", "waiting"), [(1, 40), (2**26, 2), (2**30, 1)])
def test_the_larger_results_are_the_fewer_wait_for_whoever_takes_them(each, waiting):
    begun = []
    files = [listing.File(str(k), lambda k=k: bytes([k])) for k in range(40)]
    rows = for_each(files, lambda content: begun.append(content) or content, "", "", each)
    taken = [(next(rows), len(begun)) for _ in range(40)]
    assert [content for content, _ in taken] == [bytes([k]) for k in range(40)]
    assert max(num - place for place, (_, num) in enumerate(taken)) <= waiting


def saved(path, **arrays):
    np.savez(path, **arrays)
    return path


IMAGES = np.random.default_rng(0).integers(0, 256, (12, 6, 8, 3), np.uint8)


def test_arrays_are_read_with_their_labels_and_can_be_resized(tmp_path):
    labels = np.arange(12) % 3
    path = saved(tmp_path / "mine.npz", images=IMAGES, labels=labels, class_names=["a", "b", "c"])
    train, held_out = load_pictures(path)
    assert (train.name, train.class_names, len(held_out.images)) == ("mine", ("a", "b", "c"), 1)
    for image, label in zip(train.images, train.labels, strict=True):
        place = np.flatnonzero((image == IMAGES).all(axis=(1, 2, 3)))
        assert labels[place].tolist() == [label]
    assert load_pictures(path, PictureOptions((4, 4), 1)).train.images.shape == (11, 4, 4, 1)
    np.save(tmp_path / "grey.npy", IMAGES[..., 0])
    assert load_pictures(tmp_path / "grey.npy").train.images.shape == (11, 6, 8, 1)


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"images": IMAGES / 255}, r"expected images uint8 \[N, H, W, 1 or 3\], got float64"),
        ({"images": IMAGES[..., :2]}, r"got uint8 \[12, 6, 8, 2\]"),
        ({"a": IMAGES, "b": IMAGES}, "expected an array images, got a, b"),
        ({"images": IMAGES, "labels": np.arange(11)}, r"labels as whole numbers \[12\]"),
        ({"images": IMAGES, "labels": np.ones(12)}, "got float64"),
        ({"images": IMAGES, "labels": np.arange(12) - 1}, "got -1 to 10; number the classes from 0"),
        ({"images": IMAGES, "labels": np.arange(12), "class_names": ["a", "b"]}, "2 class_names"),
        ({"images": np.array([None])}, "Object arrays cannot be loaded"),
    ],
)  # fmt: skip
def test_arrays_that_are_none_of_pictures_are_refused(tmp_path, arrays, said):
    with pytest.raises(DataError, match=said):
        load_pictures(saved(tmp_path / "it.npz", **arrays))


def test_an_npz_that_swells_or_is_none_is_refused(tmp_path, monkeypatch):
    path = saved(tmp_path / "it.npz", images=IMAGES)
    monkeypatch.setattr("gan_jax.data.folder.arrays.MAX_BYTES", 1000)
    assert "expected at most 0 GiB" in message(path)
    path.write_bytes(b"no arrays")
    assert "it.npz: expected arrays of numbers, got File is not a zip file" in message(path)
    zipped(path, {"images": b"no array"})
    assert "it.npz: expected arrays of numbers, got images, which is no array" in message(path)
    (tmp_path / "it.npy").write_bytes(b"\x80\x04pickled")
    assert "it.npy: expected arrays of numbers, got" in message(tmp_path / "it.npy")


def test_what_is_decoded_is_kept_and_mapped_until_the_content_or_the_recipe_changes(
    tmp_path, monkeypatch
):
    folder, kept = write(tmp_path / "a", solid(12)), tmp_path / "kept"
    first = load_pictures(folder, SMALL, cache=kept)
    (file,) = kept.glob("*.npy")
    decode, decoded = loading.pictures.read_pixels, []
    monkeypatch.setattr(
        loading.pictures, "read_pixels", lambda c, recipe: decoded.append(1) or decode(c, recipe)
    )
    again = load_pictures(folder, SMALL, cache=kept)
    assert not decoded and again.train.sha256 == first.train.sha256
    assert isinstance(again.train.images.base, np.memmap)
    file.write_bytes(file.read_bytes()[:200])  # as a full disk might leave it
    assert load_pictures(folder, SMALL, cache=kept).train.sha256 == first.train.sha256
    assert len(decoded) == 12
    load_pictures(folder, SMALL._replace(size=(4, 8)), cache=kept)
    write(folder, {"0.png": encoded(Image.new("L", (8, 8), 99))})
    load_pictures(folder, SMALL, cache=kept)
    assert len(decoded) == 36 and len(list(kept.glob("*.npy"))) == 3
    assert not list(kept.glob(".*"))


def test_a_cache_that_cannot_be_written_is_told_with_a_remedy(tmp_path):
    folder = write(tmp_path / "a", solid(12))
    (tmp_path / "file").write_text("")
    said = message(folder, cache=tmp_path / "file" / "kept")
    assert "--data_cache=FOLDER, or hold them in memory by --data_cache=" in said


def test_a_background_is_a_colour(tmp_path):
    said = message(write(tmp_path, solid(2)), SMALL._replace(background="octarine"))
    assert said == "expected --background as a colour's name or #rrggbb, got 'octarine'"


def test_a_folder_that_no_one_prepared_is_read(tmp_path):
    train, held_out = load_pictures(write(tmp_path, unprepared()), SMALL)
    assert len(train.images) + len(held_out.images) == len(unprepared()) - 2
    assert train.images.shape[1:] == (8, 8, 3)


def test_a_budget_is_never_overdrawn_and_lets_the_greatest_in_alone():
    budget = Budget(10)
    with budget.hold(4), budget.hold(6):
        assert budget._used == 10
    with budget.hold(99):
        assert budget._used == 10
    assert budget._used == 0
