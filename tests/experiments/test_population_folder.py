"""The folder of many runs: several commands at once, other flags later, and what a stranger may have put there."""

import dataclasses
import json
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from absl import flags
from absl.testing import flagsaver
from small_runs import configure

from experiments import gaussians
from experiments.command.config import LATER
from experiments.command.experiment import Source, Task
from experiments.command.program import UserError
from experiments.many import folder as population_folder
from experiments.many import members, train
from experiments.many.folder import Population
from experiments.many.members import Member
from gan_jax import data

KEPT = Path(__file__).parents[1] / "fixtures" / "runs_0_1_0" / "ring_seeds"


def member(folder: Path, seed: int = 0, swept: dict[str, Any] = {}, **values: Any) -> Member:  # noqa: B006
    name = "-".join([*(f"{flag}_{value}" for flag, value in swept.items()), f"seed_{seed}"])
    return Member(name, configure(folder / name, seed=seed, **values, **swept), swept)


def hold(folder: Path, *held: Member) -> None:
    """Note runs in a folder, as a command of them would."""
    table = {one.name: one.swept for one in held}
    groups = [[one.name] for one in held]
    population_folder.write(folder, Population(population_folder.recipe_of(held[0]), table, groups))


def take_steps(folder: Path, name: str, step: int) -> None:
    """Make a run's folder look as if it had saved after a step."""
    saved = folder / name / "checkpoints" / str(step)
    for part in ("state", "record"):
        (saved / part).mkdir(parents=True)
    (saved / "_CHECKPOINT_METADATA").write_text("{}")


# Several commands at once


def at_once(*calls) -> list[BaseException]:
    """Call functions in threads of their own; return what they raised."""
    raised, gate = [], threading.Barrier(len(calls))

    def run(call) -> None:
        gate.wait()
        try:
            call()
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


def test_commands_that_begin_at_once_are_all_noted(tmp_path, monkeypatch):
    folder = tmp_path / "many"
    members.define_flags()
    divide = train._groups

    def slowly(new, task):
        time.sleep(0.05)
        return divide(new, task)

    monkeypatch.setattr(train, "_groups", slowly)
    asked = [[member(folder, seed)] for seed in range(4)]
    task = Task(gaussians.EXPERIMENT, asked[0][0].config, Source(data.load("ring")))
    with flagsaver.flagsaver():
        flags.FLAGS(["program"])
        raised = at_once(*(lambda one=one: train._claim(folder, one, task) for one in asked))
    assert raised == []
    found = population_folder.read(folder)
    assert sorted(found.members) == ["seed_0", "seed_1", "seed_2", "seed_3"]
    assert sorted(found.groups) == [["seed_0"], ["seed_1"], ["seed_2"], ["seed_3"]]


def test_runs_that_diverge_at_once_are_all_noted(tmp_path, monkeypatch):
    hold(tmp_path, *(member(tmp_path, seed) for seed in range(4)))
    for seed in range(4):
        (tmp_path / f"seed_{seed}").mkdir()
    read = population_folder.read_diverged

    def slowly(folder):
        found = read(folder)
        time.sleep(0.05)
        return found

    monkeypatch.setattr(population_folder, "read_diverged", slowly)
    raised = at_once(
        *(
            lambda name=f"seed_{seed}": population_folder.note_divergence(tmp_path, name, "nan")
            for seed in range(4)
        )
    )
    assert raised == [] and len(read(tmp_path)) == 4


def test_a_folder_that_another_command_never_lets_go_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(population_folder, "PATIENCE", 0.1)
    asked = [member(tmp_path)]
    with population_folder.claimed(tmp_path, asked, writes=True):
        with (
            pytest.raises(UserError, match=r"not let go of .* for 0\.1 seconds"),
            population_folder.claimed(tmp_path, asked, writes=True),
        ):
            pass
        with population_folder.claimed(tmp_path, asked, writes=False):
            pass  # who only reads holds nothing


def test_a_folder_that_is_refused_is_not_touched(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with (
        pytest.raises(UserError, match=r"thesis\.tex"),
        population_folder.claimed(tmp_path, [member(tmp_path)], writes=True),
    ):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_what_commands_leave_in_a_new_folder_is_not_strange(tmp_path):
    for name in (".lock", ".population.json.0123456789abcdef.part", ".population.json.part"):
        (tmp_path / name).write_text("")
    (tmp_path / "seed_0").mkdir()
    with population_folder.claimed(tmp_path, [member(tmp_path)], writes=True) as known:
        assert known.members == {}


# Other flags later


def claimed(folder: Path, *asked: Member) -> Population:
    return population_folder.claim(folder, list(asked))


def test_periods_may_differ_and_the_recipe_becomes_that_of_the_last_command(tmp_path):
    hold(tmp_path, member(tmp_path))
    known = claimed(tmp_path, member(tmp_path, log_every=3, steps_per_call=1, num_steps=12))
    assert known.recipe["num_steps"] == 12 and known.members == {"seed_0": {}}
    assert population_folder.steps_asked_of(known, "seed_0") == 12


def test_a_recipe_of_an_older_version_has_what_newer_flags_leave_as_it_was(tmp_path):
    recipe = population_folder.recipe_of(member(tmp_path))
    del recipe["bias_std"]
    old = recipe | {"log_every": 1, "steps_per_call": 50}  # which a recipe had then
    population_folder.write(tmp_path, Population(old, {"seed_0": {}}, [["seed_0"]]))
    assert claimed(tmp_path, member(tmp_path)).recipe == population_folder.recipe_of(
        member(tmp_path)
    )
    with pytest.raises(UserError, match=r"--bias_std \(there 0\.0, here 0\.5\)"):
        claimed(tmp_path, member(tmp_path, bias_std=0.5))


def test_no_run_may_have_taken_more_steps_than_are_asked_for(tmp_path):
    hold(tmp_path, member(tmp_path, 0), member(tmp_path, 1))
    take_steps(tmp_path, "seed_1", 4)
    assert claimed(tmp_path, member(tmp_path, 2, num_steps=4)).recipe["num_steps"] == 4
    with pytest.raises(UserError, match="here 3: it has taken 4 steps already"):
        claimed(tmp_path, member(tmp_path, 2, num_steps=3))


@pytest.mark.parametrize("swept", [{}, {"lr_schedule": "linear"}])
def test_a_schedule_that_ends_refuses_more_steps_swept_or_not(tmp_path, swept):
    first = member(tmp_path, swept=swept, **({} if swept else {"lr_schedule": "linear"}))
    hold(tmp_path, first)
    longer = first._replace(config=dataclasses.replace(first.config, num_steps=12))
    with pytest.raises(UserError, match="--lr_schedule=linear ends with the training"):
        claimed(tmp_path, longer)


def test_steps_that_are_swept_belong_to_each_run(tmp_path):
    short, long = (member(tmp_path, swept={"num_steps": num}) for num in (6, 12))
    hold(tmp_path, short, long)
    take_steps(tmp_path, long.name, 12)
    known = claimed(tmp_path, short, long)
    assert [population_folder.steps_asked_of(known, one.name) for one in (short, long)] == [6, 12]


def test_what_makes_the_game_may_not_differ(tmp_path):
    hold(tmp_path, member(tmp_path))
    with pytest.raises(UserError, match=r"--loss .*; --n_dis .*Choose another --workdir"):
        claimed(tmp_path, member(tmp_path, loss="hinge", n_dis=2))
    with pytest.raises(UserError, match="--sweep"):
        claimed(tmp_path, member(tmp_path, swept={"r1_gamma": 1.0}))


def test_runs_of_another_program_do_not_go_on(tmp_path):
    one = member(tmp_path)
    with population_folder.claimed(tmp_path, [one], "experiments.gaussians", writes=True) as known:
        population_folder.write(
            tmp_path, known._replace(members={"seed_0": {}}, groups=[["seed_0"]])
        )
    assert population_folder.claim(tmp_path, [one], "experiments.gaussians").members
    refusal = r"holds runs of another program: experiments\.gaussians; choose another --workdir"
    with pytest.raises(UserError, match=refusal):
        population_folder.claim(tmp_path, [one], "my_fork")


def test_runs_of_a_folder_that_names_no_program_name_it_themselves(tmp_path):
    folder = shutil.copytree(KEPT, tmp_path / "many")
    config = json.loads((folder / "seed_0" / "run.json").read_text())["config"]
    asked = [Member("seed_0", configure(folder / "seed_0", **LATER | config), {})]
    assert population_folder.claim(folder, asked, "experiments.gaussians").members
    with pytest.raises(UserError, match=r"of another program: experiments\.gaussians"):
        population_folder.claim(folder, asked, "my_fork")


# What a stranger may have put there


@pytest.mark.parametrize(
    "name",
    ["../other", "..", ".", "", "/etc", "a/b", "a\\b", "C:", "C:\\x", "a\0b", "a\nb", "\u202eb"],
)
def test_a_run_whose_name_leads_elsewhere_is_refused(tmp_path, name):
    folder = tmp_path / "many"
    folder.mkdir()
    table = {"recipe": {}, "members": {name: {}}, "groups": [[name]]}
    (folder / "population.json").write_text(json.dumps(table))
    with pytest.raises(UserError, match=r"is damaged: .*the plain name of a folder") as caught:
        population_folder.read(folder)
    assert str(caught.value).isprintable()


def test_a_run_that_is_a_link_out_of_the_folder_is_refused_when_read_and_when_trained(tmp_path):
    folder = tmp_path / "many"
    (tmp_path / "other").mkdir()
    hold(folder, member(folder))
    (folder / "seed_0").symlink_to(tmp_path / "other")
    with pytest.raises(UserError, match="seed_0 is a link that leads out"):
        population_folder.read(folder)
    (folder / "population.json").unlink()
    with pytest.raises(UserError, match="seed_0 is a link that leads out"):
        claimed(folder, member(folder))


def test_evaluate_writes_nothing_outside_the_folder(tmp_path):
    """The run is sound and lies beside the folder, whose table names it."""
    from experiments.many import summary
    from experiments.measuring.evaluation import Request

    folder, other = tmp_path / "many", tmp_path / "other"
    folder.mkdir()
    other.mkdir()
    table = {"recipe": {}, "members": {"../other": {}}, "groups": [["../other"]]}
    (folder / "population.json").write_text(json.dumps(table))
    with pytest.raises(UserError, match="is damaged"):
        summary.conclude(folder, ["../other"], Request())
    assert list(other.iterdir()) == []


def test_curves_are_drawn_of_the_runs_whose_logs_can_be_read(tmp_path, monkeypatch, capsys):
    from experiments.many import summary
    from gan_jax import plots

    drawn = []
    monkeypatch.setattr(plots, "save_population_curves", lambda curves, *_: drawn.append(curves))
    for name, log in (("seed_0", '{"step": 1, "d_loss": 1.0}\n{"st'), ("seed_1", "damaged\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "metrics.jsonl").write_text(log)
    summary.draw_curves(tmp_path, ["seed_0", "seed_1"], {})
    assert drawn == [{"": [[{"step": 1, "d_loss": 1.0}]]}]
    assert capsys.readouterr().out.startswith("seed_1 is left out of curves.png: ")
