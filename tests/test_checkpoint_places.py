"""Where checkpoints can be kept: names of folders, a first save read back, links, and what a full disk is called."""

import errno
import json
import os
import shutil
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.checkpoint import (
    CheckpointError,
    Checkpoints,
    check_folder,
    disk,
    remove_later,
    writer,
)
from gan_jax.checkpoint.error import brief

STATE = {"x": jnp.arange(300.0)}


def save(folder: Path, *steps: int) -> None:
    """Save these steps, of which the first is the best."""
    with Checkpoints(folder) as checkpoints:
        for step in steps:
            checkpoints.save(step, STATE, {}, measure=float(step))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# Names of folders

LOST = ("run[1]", "[", "]", "a\\b", "\\", "a*", "a?", "gs:", "my gs:")
GARBLED = ("a\nb", "a\rb", "a\tb", "a\x1bb", "a\x7fb", "a\u2028b", "a\x85b", os.fsdecode(b"a\xffb"))


@pytest.mark.parametrize("name", [*LOST, *GARBLED, "a\0b"], ids=ascii)
def test_a_folder_in_which_checkpoints_would_be_lost_is_refused_before_anything_is_written(
    tmp_path, name
):
    with pytest.raises(CheckpointError, match=r"choose another folder|is no path") as caught:
        Checkpoints(tmp_path / name / "checkpoints")
    message = str(caught.value)
    assert len(message.splitlines()) == 1 and message.isprintable()
    assert names(tmp_path) == []


def test_the_refusal_names_the_folder_and_what_is_wrong_with_it(tmp_path):
    with pytest.raises(CheckpointError) as caught:
        check_folder(tmp_path / "run[1]")
    assert str(caught.value) == (
        f"checkpoints cannot be kept in '{tmp_path}/run[1]': Orbax and TensorStore cannot use '[' in a path; "
        "choose another folder, or rename it"
    )


def test_it_is_the_folder_that_a_link_leads_to_which_must_be_usable(tmp_path):
    (tmp_path / "run[1]").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "run[1]")
    with pytest.raises(CheckpointError, match=r"run\[1\]"):
        Checkpoints(tmp_path / "link" / "checkpoints")
    (tmp_path / "run").mkdir()
    (tmp_path / "link[2]").symlink_to(tmp_path / "run")
    assert check_folder(tmp_path / "link[2]") == tmp_path / "run"


def test_a_folder_may_not_end_in_the_name_of_a_cloud_either(tmp_path):
    with pytest.raises(CheckpointError, match="gs:"):
        check_folder(tmp_path / "my gs:")
    assert check_folder(tmp_path / "gs") == tmp_path / "gs"


def test_links_in_a_circle_are_told_in_one_line(tmp_path):
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    with pytest.raises(CheckpointError) as caught, Checkpoints(tmp_path / "circle") as checkpoints:
        checkpoints.save(1, STATE, {})
    assert "\n" not in str(caught.value)


GOOD = "Läufe 日本 😀 e\u0301 {x},%41$HOME#;&!'\"`|<>()=+~^@:-- ."


def test_letters_of_any_script_spaces_and_other_signs_are_fine(tmp_path):
    save(tmp_path / GOOD / " lead" / "trail ", 1, 2)
    restored = Checkpoints(tmp_path / GOOD / " lead" / "trail ").restore(STATE, report=pytest.fail)
    assert restored.step == 2
    assert np.array_equal(restored.state["x"], STATE["x"])


def test_only_a_folder_named_as_python_writes_a_number_is_a_checkpoint(tmp_path):
    for name in (
        "7",
        "007",
        "-1",
        "1_0",
        "+3",
        "1e3",
        "٣",
        "²",
        "unsound-2",
        "8.orbax-checkpoint-tmp",
    ):
        (tmp_path / name).mkdir()
    (tmp_path / "9").write_text("")
    assert disk.list_steps(tmp_path) == [7]


# The first save is read back


def lose(folder: Path, step: int) -> None:
    shutil.rmtree(folder / str(step) / "state" / "d")


def swap(folder: Path, step: int) -> None:
    """Another state's arrays, sound as such."""
    with Checkpoints(folder.parent / "other") as other:
        other.save(step, {"x": jnp.ones(300)}, {})
    shutil.rmtree(folder / str(step) / "state")
    (folder.parent / "other" / str(step) / "state").rename(folder / str(step) / "state")


def forget(folder: Path, step: int) -> None:
    record = {**disk.read_record(folder, step), "metadata": {}}
    (folder / str(step) / "record" / "metadata").write_text(json.dumps(disk.seal(record)))


@pytest.mark.parametrize("spoil", [lose, swap, forget])
@pytest.mark.parametrize("notice", [Checkpoints.wait, Checkpoints.close, Checkpoints.steps])
def test_a_first_save_that_cannot_be_read_back_is_an_error_at_once(
    tmp_path, monkeypatch, spoil, notice
):
    folder = tmp_path / "checkpoints"
    save(folder, 1, 2)
    read = writer._difference

    def spoil_first(at: Path, sealed: dict) -> str | None:
        if at == folder:
            spoil(folder, sealed["body"]["step"])
        return read(at, sealed)

    monkeypatch.setattr(writer, "_difference", spoil_first)
    checkpoints = Checkpoints(folder)
    checkpoints.save(3, STATE, {"a": 1})
    with pytest.raises(
        CheckpointError, match=r"step 3 was saved in .* cannot be read back"
    ) as caught:
        notice(checkpoints)
    assert "\n" not in str(caught.value)
    assert checkpoints.steps() == [1, 2], (
        "earlier checkpoints are kept, and this one does not count"
    )
    monkeypatch.setattr(writer, "_difference", read)
    checkpoints.save(3, STATE, {})
    checkpoints.close()
    assert names(folder) == ["1", "2", "3", "unsound-3"]


def test_only_the_first_save_of_a_process_is_read_back(tmp_path, monkeypatch):
    read = []
    monkeypatch.setattr(
        writer, "_difference", lambda folder, sealed: read.append(sealed["body"]["step"])
    )
    with Checkpoints(tmp_path) as checkpoints:
        for step in range(3):
            checkpoints.save(step, STATE, {})
        checkpoints.close()
        checkpoints.save(3, STATE, {})
    assert read == [0]


def test_what_json_compares_unequal_to_itself_is_read_back_all_the_same(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(0, {**STATE, "empty": jnp.zeros((0, 2))}, {"loss": float("nan")})
        checkpoints.wait()
        assert checkpoints.steps() == [0]


# Links


@pytest.fixture
def linked(tmp_path) -> tuple[Path, Path]:
    """A folder with checkpoints 1, 2 and 3, and what its 2 is a link to."""
    folder, elsewhere = tmp_path / "checkpoints", tmp_path / "elsewhere"
    save(folder, 1, 2, 3)
    (folder / "2").rename(elsewhere)
    (folder / "2").symlink_to(elsewhere)
    return folder, elsewhere


def test_a_checkpoint_that_is_a_link_is_read_and_outlives_the_run(linked):
    folder, elsewhere = linked
    before = sorted(elsewhere.rglob("*"))
    assert Checkpoints(folder).restore(STATE, step=2).step == 2
    save(folder, 4, 5, 6)
    assert names(folder) == ["1", "2", "5", "6"]
    assert sorted(elsewhere.rglob("*")) == before


def test_going_back_removes_the_link_and_not_what_it_leads_to(linked):
    folder, elsewhere = linked
    before = sorted(elsewhere.rglob("*"))
    remove_later(folder, 1)
    assert names(folder) == ["1"]
    assert sorted(elsewhere.rglob("*")) == before


def test_deleting_a_checkpoint_follows_no_link_within_it(tmp_path):
    folder, elsewhere = tmp_path / "checkpoints", tmp_path / "elsewhere"
    save(folder, 1, 2, 3)
    for step in (2, 3):
        (folder / str(step) / "state").rename(elsewhere / str(step) if step == 3 else elsewhere)
        (folder / str(step) / "state").symlink_to(elsewhere)
    before = sorted(elsewhere.rglob("*"))
    save(folder, 4)  # 2 is deleted
    remove_later(folder, 2)  # 3 and 4 are
    assert names(folder) == ["1"]
    assert sorted(elsewhere.rglob("*")) == before


@pytest.mark.parametrize("name", ["4", "4.orbax-checkpoint-tmp"])
@pytest.mark.parametrize("target", ["precious", "nowhere", "circle"])
def test_a_link_in_the_place_of_the_next_checkpoint_ends_no_run(tmp_path, name, target):
    folder, precious = tmp_path / "checkpoints", tmp_path / "precious"
    save(folder, 1, 2)
    precious.mkdir()
    (precious / "file").write_text("all I have")
    where = folder / name if target == "circle" else tmp_path / target
    (folder / name).symlink_to(where)
    with Checkpoints(folder) as checkpoints:
        checkpoints.restore(STATE, report=str)
        for step in (3, 4, 5):
            checkpoints.save(step, STATE, {})
    assert [each for each in names(folder) if each.isdecimal()] == ["1", "4", "5"]
    assert names(precious) == ["file"]
    assert Checkpoints(folder).restore(STATE, report=pytest.fail).step == 5


def test_an_unsound_link_is_set_aside_as_a_link(linked):
    folder, elsewhere = linked
    shutil.rmtree(folder / "3")
    (elsewhere / "record" / "metadata").write_text("damaged")
    with Checkpoints(folder) as checkpoints:
        assert checkpoints.restore(STATE, report=str).step == 1
        checkpoints.save(2, STATE, {})
    assert names(folder) == ["1", "2", "unsound-2"]
    assert (folder / "unsound-2").readlink() == elsewhere


def test_a_removal_that_is_stopped_leaves_no_checkpoint_without_those_before_it(
    tmp_path, monkeypatch
):
    save(tmp_path, 1, 2, 3)
    monkeypatch.setattr(shutil, "rmtree", lambda path: os.open(path / "absent", 0))
    with pytest.raises(CheckpointError, match=r"cannot remove checkpoints in .*absent"):
        remove_later(tmp_path, 1)
    assert Checkpoints(tmp_path).steps() == [1, 2]


def test_what_a_killed_removal_left_does_not_bar_the_next(tmp_path):
    save(tmp_path, 1, 2, 3)
    (tmp_path / "2").rename(tmp_path / "removed-2")
    save(tmp_path, 4, 5)
    shutil.copytree(tmp_path / "4", tmp_path / "2")
    (tmp_path / "removed-by-me").mkdir()
    remove_later(tmp_path, 1)
    assert names(tmp_path) == ["1", "removed-by-me"]


# No room

PAGE = (
    "OUT_OF_RANGE: Error writing \"['x']/0\" in OCDBT database at local file: " + "nothing " * 500
)
TOLD = {
    "by number": (OSError(errno.ENOSPC, "No space left on device", "f"), "disk full"),
    "quota": (OSError(errno.EDQUOT, "Disk quota exceeded"), "disk full"),
    "large": (OSError(errno.EFBIG, "File too large"), "file too large"),
    "TensorStore's number amid a page": (
        ValueError(f"{PAGE} [os_error_code='28'] {PAGE}"),
        "disk full",
    ),
    "words amid a page": (ValueError(f"{PAGE}: File too large; {PAGE}"), "file too large"),
    "quota in words": (RuntimeError(f"{PAGE}: Disk quota exceeded {PAGE}"), "disk full"),
    "Windows": (ValueError("There is not enough space on the disk."), "disk full"),
    "in words alone": (OSError("f: No space left on device"), "disk full"),
    "in a group": (
        ExceptionGroup("two", [KeyError(1), OSError(errno.ENOSPC, "full")]),
        "disk full",
    ),
}


@pytest.mark.parametrize("case", TOLD)
def test_no_room_is_told_in_a_few_words_whatever_the_library_says(case):
    error, words = TOLD[case]
    assert brief(error).startswith(f"{words} (") and len(brief(error)) < 60


def test_no_room_is_found_behind_the_error_that_hides_it():
    for keep in ("cause", "context"):
        try:
            try:
                raise OSError(errno.ENOSPC, "full")
            except OSError as error:
                raise KeyError("state") from (error if keep == "cause" else None)
        except KeyError as error:
            assert brief(error) == "disk full (No space left on device): make room"


def test_other_errors_keep_their_head_and_tail():
    assert brief(ValueError(f"os_error_code='13': {PAGE} at last")).endswith("at last")
    assert len(brief(ValueError(PAGE))) == 205
    assert brief(OSError(errno.EACCES, "Permission denied")).startswith("PermissionError: ")
    assert brief(KeyError()) == "KeyError"
    assert brief(OSError("odd")) == "OSError: odd"


def test_a_process_that_does_not_write_the_record_compares_the_leaves_alone(tmp_path, monkeypatch):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, {"w": jnp.arange(3.0)}, {"seconds": 5.0})
    record = disk.read_record(tmp_path, 1)
    own = disk.seal(record | {"metadata": {"seconds": 6.0}})  # its own clock
    others = disk.seal(record | {"leaves": {}})
    assert writer._difference(tmp_path, disk.seal(record)) is None
    assert writer._difference(tmp_path, own) == "its record is another"
    monkeypatch.setattr(writer.jax, "process_index", lambda: 1)
    assert writer._difference(tmp_path, own) is None
    assert writer._difference(tmp_path, others) == "its record is another"
