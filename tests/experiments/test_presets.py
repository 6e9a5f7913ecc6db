"""A preset is found by its bare name, and a file of the user's goes before it."""

import pytest

from experiments.command.presets import FOLDER, find_presets

DIGITS = str(FOLDER / "digits.flags")


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (["--flagfile=digits"], [f"--flagfile={DIGITS}"]),
        (["-flagfile=digits.flags", "--seed=1"], [f"-flagfile={DIGITS}", "--seed=1"]),
        (["--flagfile", "digits", "digits"], ["--flagfile", DIGITS, "digits"]),
        (["--flagfile=none", "--dataset=digits"], ["--flagfile=none", "--dataset=digits"]),
        (["--flagfile=./digits", "--flagfile="], ["--flagfile=./digits", "--flagfile="]),
        (["--flagfile=../flags/digits", "digits"], ["--flagfile=../flags/digits", "digits"]),
    ],
)
def test_bare_names_of_presets_become_their_files_and_all_else_is_kept(
    tmp_path, monkeypatch, given, found
):
    monkeypatch.chdir(tmp_path)
    assert find_presets(given) == found


def test_a_file_in_the_working_directory_goes_before_a_preset(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").write_text("--seed=3\n")
    assert find_presets(["--flagfile=digits"]) == ["--flagfile=digits"]
