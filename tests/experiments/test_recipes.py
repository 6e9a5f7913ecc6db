"""The search for recipes: what is trained on, for how long, and what a row says."""

import numpy as np
import pytest
import small_runs

from experiments.benchmarks import recipe_run, recipes
from experiments.benchmarks.recipes import Recipe
from experiments.command import shared_flags
from experiments.command.program import UserError


def test_a_line_is_a_name_and_what_it_changes(tmp_path):
    file = tmp_path / "recipes.txt"
    file.write_text("# a remark\n\nbase:\ngamma_3: --r1_gamma=3 --g_lr=.001\n")
    expected = [Recipe("base", ()), Recipe("gamma_3", ("--r1_gamma=3", "--g_lr=.001"))]
    assert recipes.read_recipes(file) == expected


@pytest.mark.parametrize("text", ["--r1_gamma=3\n", "a b: --r1_gamma=3\n", "a:\na: --b1=0\n"])
def test_what_is_no_list_of_recipes_is_refused(tmp_path, text):
    file = tmp_path / "recipes.txt"
    file.write_text(text)
    with pytest.raises(UserError):
        recipes.read_recipes(file)


def test_images_are_either_learnt_from_or_held_back_alike_in_every_run():
    images = np.arange(50)
    learnt, held_back = recipe_run.hold_back(images, 20)
    assert len(held_back) == 20
    assert sorted([*learnt, *held_back]) == list(images)
    again = recipe_run.hold_back(images, 20)
    np.testing.assert_array_equal(again[1], held_back)
    assert sorted(held_back) != list(images[:20])  # the published sets are not in random order


def test_a_time_allows_whole_chunks_of_steps():
    assert recipes.steps_within(60.0, 0.010) == 6000
    assert recipes.steps_within(60.0, 0.0101) == 5900  # 5,940 steps fit
    assert recipes.steps_within(0.1, 1.0) == 100  # one chunk at least


def test_rows_are_added_to_those_that_stand(tmp_path):
    table = tmp_path / "rows.csv"
    assert recipes.read_rows(table) == []
    recipes.add_row(table, {"name": "a", "flags": "--b1=0 --b2=0.9"})
    recipes.add_row(table, {"name": "b", "flags": ""})
    assert recipes.read_rows(table) == [
        {"name": "a", "flags": "--b1=0 --b2=0.9"},
        {"name": "b", "flags": ""},
    ]


def test_a_recipe_is_trained_to_its_end_and_measured_on_the_way(monkeypatch, tmp_path):
    config = small_runs.configure(tmp_path / "unused", num_steps=8)
    monkeypatch.setattr(recipe_run, "HELD_BACK", 300)
    images = recipe_run.images_of(config)
    assert len(images.learnt) == 1500 - 300
    found = recipe_run.train_and_measure(config, images, 2, (0.5, 1.0), 40)
    watched = {"distance_50", "distance_100", "unsure"}
    assert set(found) == {"seconds", *watched, "d_loss", "d_accuracy"}
    assert found["distance_100"] != found["distance_50"]  # the state moved on
    assert 0.0 <= found["unsure"] <= 1.0


@pytest.mark.slow
def test_a_recipes_penalties_fall_as_it_says(monkeypatch, tmp_path):
    monkeypatch.setattr(recipe_run, "HELD_BACK", 300)
    images = recipe_run.images_of(small_runs.configure(tmp_path / "unused"))
    fast = {"num_steps": 8, "g_lr": 0.02, "d_lr": 0.02, "r1_gamma": 9.0}

    def end(last):
        config = small_runs.configure(tmp_path / "unused", penalty_last=last, **fast)
        return recipe_run.train_and_measure(config, images, 2, (1.0,), 40)["d_loss"]

    np.testing.assert_allclose(end(None), end(1.0), atol=2e-4)
    assert abs(end(None) - end(1e-6)) > 1e-2


@pytest.mark.parametrize("asked", [("--conditional",), ("--augment=shift", "--augment_target=0.5")])
def test_a_recipe_of_a_game_that_is_not_searched_is_refused_by_its_name(asked):
    shared_flags.define_flags()
    with pytest.raises(UserError, match="recipe a: --conditional and --augment_target are not"):
        recipes.config_of(Recipe("a", asked), "100")


def test_a_recipe_whose_penalties_are_none_cannot_let_them_fall(tmp_path, monkeypatch):
    monkeypatch.setattr(recipe_run, "HELD_BACK", 300)
    config = small_runs.configure(tmp_path / "unused", penalty_last=0.1)
    images = recipe_run.images_of(config)
    with pytest.raises(UserError, match="--penalty_last is of penalties: give one a weight"):
        recipe_run.seconds_a_step(config, images.learnt, 2, 1)


def test_too_few_images_to_hold_any_back_are_refused(tmp_path):
    with pytest.raises(UserError, match="too few images"):
        recipe_run.images_of(small_runs.configure(tmp_path / "unused"))


def test_the_table_is_drawn_and_an_empty_one_refused(tmp_path):
    row = {"name": "a", "seconds": "61.5", "distance_100": "0.9", "asked_seconds": "60"}
    recipes.draw([row, row | {"name": "b", "distance_100": "1.1"}], tmp_path / "recipes.png")
    assert (tmp_path / "recipes.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(UserError, match="no rows"):
        recipes.draw([], tmp_path / "none.png")
