"""The landscape of a run: of a folder of version 0.1.0, with a checkpoint's optimizers, and in words."""

import shutil
from pathlib import Path

import pytest
from commands import run

from experiments.command.program import UserError
from experiments.measuring import landscape, landscape_in_words

FIXTURE = Path(__file__).parents[1] / "fixtures" / "runs_0_1_0" / "digits"


def checkpoint(eigenvalues, **others):
    row = {
        "step": 7,
        "plain_eigenvalues": eigenvalues,
        "plain_residuals": [0.0],
        "rotation": {"field": 2.0, "random": 1.0},
        "g_hessian_eigenvalues": [3.0, -1.0],
        "d_hessian_eigenvalues": [3.0, 1.0],
        "duality_gap": {"gap": 0.25, "value": -1.0},
    }
    return {"checkpoints": [row | others], "path": None, "gap_steps": 5}


def test_a_game_that_turns_is_told_from_one_that_is_drawn_in():
    turning = landscape_in_words.in_words(checkpoint([[-0.1, 1.0], [-0.1, -1.0]]))
    assert "still rotates, 2 of its 2" in turning[0] and "none pushes away" in turning[0]
    assert "G stands on a saddle (1 downward of 2), D stands in a bowl" in turning[1]
    still = landscape_in_words.in_words(checkpoint([[-1.0, 0.0], [0.5, 0.01]]))
    assert "hardly turns, 0 of its 2" in still[0] and "1 push away" in still[0]


def test_a_gap_that_is_not_finite_is_told():
    lost = {"gap": None, "value": -1.0}
    said = landscape_in_words.in_words(checkpoint([[-1.0, 0.0]], duality_gap=lost))
    assert "duality gap not finite after 5 steps of each player alone (value -1)" in said[2]


def test_the_path_is_told_by_the_sign_at_its_end():
    path = {
        "from": 0,
        "to": 9,
        "alphas": [0.5, 1.0, 1.5],
        "cosine": [1.0, 0.1, -1.0],
        "sign_changes": [1.04],
    }
    found = checkpoint([[1.0, 0.0]]) | {"path": path}
    assert "alpha = 1.04" in landscape_in_words.in_words(found)[-1]
    path |= {"cosine": [0.1, 0.9, 0.1], "sign_changes": []}
    assert "does not change its sign" in landscape_in_words.in_words(found)[-1]


def test_a_checkpoint_that_is_not_there_is_named_with_those_that_are(tmp_path):
    folder = shutil.copytree(FIXTURE, tmp_path / "digits")
    with pytest.raises(UserError, match=r"--steps=12345.*there are: 0, "):
        landscape.open_run(folder, landscape.Request(steps=(12345,)))


@pytest.mark.slow
def test_a_run_of_version_0_1_0_is_looked_at_and_left_as_it_was(tmp_path):
    population = FIXTURE.parent / "ring_seeds"
    folder = shutil.copytree(next(p for p in population.iterdir() if p.is_dir()), tmp_path / "ring")
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    few = ("--num_eigenvalues=4", "--num_samples=16", "--gap_steps=2")
    outcome = run("landscape", f"--workdir={folder}", *few)
    assert outcome.code == 0, outcome.err
    assert "the field that Adam follows" in outcome.out and "the way from step 0" in outcome.out
    for name in ("landscape.json", "eigenvalues.png", "path_angle.png"):
        assert (folder / name).stat().st_size > 1000
    assert all(p.read_bytes() == raw for p, raw in before.items())
