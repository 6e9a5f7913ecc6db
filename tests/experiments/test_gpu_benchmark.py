"""Figures of a GPU in one call: each part in a box of its own. Figures are not tested."""

import importlib.util
import json

from experiments.benchmarks import gpu
from experiments.benchmarks.gpu import Part


def test_a_part_that_fails_or_hangs_costs_its_own_figures_alone(tmp_path):
    parts = [
        Part("fails", ("-c", "raise SystemExit('no such card')"), 60),
        Part("hangs", ("-c", "import time; print('begun', flush=True); time.sleep(60)"), 1),
        Part("works", ("-c", "print(6 * 7)"), 60),
    ]
    outcomes = gpu.run_parts(parts, 600, tmp_path)
    ended = {"fails": "failed", "hangs": "ran out of its time", "works": "done"}
    assert {outcome.name: outcome.ended for outcome in outcomes} == ended
    assert (tmp_path / "fails.txt").read_text() == "no such card\n"
    assert (tmp_path / "hangs.txt").read_text() == "begun\n"  # what was there stays
    assert (tmp_path / "works.txt").read_text() == "42\n"
    written = json.loads((tmp_path / "gpu.json").read_text())
    assert {row["name"]: row["ended"] for row in written} == ended


def test_parts_that_would_start_too_late_are_left_out(tmp_path):
    parts = [Part("first", ("-c", "import time; time.sleep(60)"), 60), Part("second", (), 60)]
    outcomes = gpu.run_parts(parts, 0.5, tmp_path)
    assert [outcome.ended for outcome in outcomes] == ["ran out of its time", "left out"]
    assert not (tmp_path / "second.txt").exists()


def test_every_part_names_a_program_and_a_preset_that_exist(tmp_path):
    for small in (True, False):
        for part in gpu.parts(tmp_path, small=small, data_dir="data"):
            kind, what, *rest = part.arguments
            assert kind == "-c" or importlib.util.find_spec(what), part.name
            files = [a.partition("=")[2] for a in rest if a.startswith("--flagfile=")]
            assert all((gpu.ROOT / file).is_file() for file in files), part.name


def test_what_is_worth_most_comes_first(tmp_path):
    names = [part.name for part in gpu.parts(tmp_path, small=False, data_dir=None)]
    assert names[:3] == ["versions", "step", "step_bfloat16"]
    assert len(set(names)) == len(names)
