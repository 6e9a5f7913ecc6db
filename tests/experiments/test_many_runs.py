"""Many runs of one command: together or one after another, stopped and continued, diverged and counted."""

import json
import re
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest
from commands import TINY, call, import_main, reject_constant, run

from experiments.many import summary
from experiments.many.one_call import RunsInOneCall
from experiments.measuring.evaluation import Request
from experiments.record.restored import restore_run
from experiments.training.run import Run
from gan_jax import losses, plots

gaussians_main = import_main("gaussians")

pytestmark = pytest.mark.slow  # programs from end to end

# Side by side they are tested elsewhere.
POINTS = (
    *TINY,
    "--dataset=ring",
    "--latent_dim=2",
    "--batch_size=8",
    "--seeds=0,1",
    "--processes=1",
)


WAYS = ["yes", "no"]  # in one call; one after another


def leaves(folder: Path) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in jax.tree.leaves(restore_run(folder).state)]


@pytest.fixture(scope="module", autouse=True)
def no_slow_pictures():
    """Leave out what every run draws, which is tested elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        for picture in ("save_curves", "save_animation", "save_scatter"):
            patch.setattr(plots, picture, lambda *arguments, **options: None)
        yield


@pytest.fixture(scope="module")
def ways(tmp_path_factory):
    """The same command, with its runs together and one after another."""
    folder = tmp_path_factory.mktemp("ways")
    for way in ("yes", "no"):
        assert train(folder / way, f"--together={way}", "--sweep=r1_gamma:0.1,1") == 0
    return folder


class Unread:
    """Stands in for capsys where no test has one."""

    def readouterr(self):
        return self

    out = err = ""


def train(folder: Path, *arguments: str) -> int:
    return call(gaussians_main, [*POINTS, f"--workdir={folder}", *arguments], Unread()).code


def test_together_and_one_after_another_come_to_the_same(ways):
    names = json.loads((ways / "yes" / "population.json").read_text())["members"]
    assert len(names) == 4
    for name in names:
        one, other = leaves(ways / "yes" / name), leaves(ways / "no" / name)
        for a, b in zip(one, other, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)
    assert not np.array_equal(
        leaves(ways / "yes" / "r1_gamma_0.1-seed_0")[1],
        leaves(ways / "yes" / "r1_gamma_1-seed_0")[1],
    )


def test_a_run_of_many_is_the_run_it_would_be_alone(ways, tmp_path):
    folder = tmp_path / "alone"
    arguments = [*POINTS[:-2], "--seed=1", "--r1_gamma=1", f"--workdir={folder}"]
    assert call(gaussians_main, arguments, Unread()).code == 0
    for a, b in zip(leaves(folder), leaves(ways / "no" / "r1_gamma_1-seed_1"), strict=True):
        assert np.array_equal(a, b)


@pytest.mark.parametrize("way", ["yes", "no"])
def test_all_runs_are_measured_and_summed_up(ways, way):
    groups = json.loads((ways / way / "summary.json").read_text(), parse_constant=reject_constant)
    assert [group["label"] for group in groups] == ["r1_gamma 0.1", "r1_gamma 1.0"]
    for group in groups:
        assert group["success"]["of"] == len(group["runs"]) == 2
        for row in group["measures"].values():
            assert len(row["values"]) == 2 and row["median"] == np.median(row["values"])
            assert row["median_interval"][0] <= row["median"] <= row["median_interval"][1]
        values = [
            json.loads((ways / way / name / "evaluation.json").read_text())[-1] for name in group["runs"]
        ]  # fmt: skip
        kls = [value["measures"]["mode_kl"]["value"] for value in values]
        assert group["measures"]["mode_kl"]["values"] == kls
    assert (ways / way / "seeds.png").exists() and (ways / way / "curves.png").exists()


def test_a_population_is_measured_again_by_evaluate(ways):
    before = json.loads((ways / "no" / "summary.json").read_text())
    outcome = run("evaluate", f"--workdir={ways / 'no'}")
    assert outcome.code == 0 and "r1_gamma 0.1, last checkpoint, 2 seeds" in outcome.out
    assert json.loads((ways / "no" / "summary.json").read_text()) == before


@pytest.mark.parametrize("kept", [1, 0, 3])
def test_runs_together_that_were_killed_end_as_if_they_were_not(
    ways, tmp_path, kept, capsys, monkeypatch
):
    """Killed twice in the middle of a save: the first `kept` runs have saved step 4, the others have not."""
    from experiments.training.run import Run

    class Killed(BaseException):
        pass

    real, saves = Run._save, []

    def save(run, measure=None):
        if run.step == 4:
            saves.append(run)
            if len(saves) > kept:
                raise Killed
        real(run, measure)

    folder = tmp_path / "killed"
    arguments = [*POINTS, "--together=yes", "--sweep=r1_gamma:0.1,1", f"--workdir={folder}"]
    for _ in range(2):
        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(Run, "_save", save)
            call(gaussians_main, arguments, capsys)
        saves.clear()
    outcome = call(gaussians_main, arguments, capsys)
    assert outcome.code == 0, outcome.err
    assert "going on after step 2" in outcome.out
    assert_same_runs(folder, ways / "yes")


def assert_same_runs(one: Path, other: Path) -> None:
    for name in json.loads((one / "population.json").read_text())["members"]:
        for a, b in zip(leaves(one / name), leaves(other / name), strict=True):
            assert np.array_equal(a, b)
        assert log(one / name) == log(other / name)


def log(folder: Path) -> str:
    """The log without the clock's fields."""
    text = (folder / "metrics.jsonl").read_text()
    return re.sub(r'"(seconds|images_per_second)": [^,]*,', "", text)


@pytest.mark.parametrize("way", WAYS)
def test_seeds_can_be_added_later_and_leave_the_others_as_they_are(tmp_path, capsys, way):
    folder = tmp_path / "many"
    arguments = [*POINTS, f"--workdir={folder}", f"--together={way}"]
    assert call(gaussians_main, arguments, capsys).code == 0
    before = {name: (folder / f"seed_{name}" / "metrics.jsonl").read_bytes() for name in (0, 1)}
    assert call(gaussians_main, [*arguments, "--seeds=0..3"], capsys).code == 0
    for name, text in before.items():
        assert (folder / f"seed_{name}" / "metrics.jsonl").read_bytes() == text
    (group,) = json.loads((folder / "summary.json").read_text())
    assert group["runs"] == ["seed_0", "seed_1", "seed_2", "seed_3"]


def test_a_folder_has_one_recipe(ways, tmp_path, capsys):
    arguments = [*POINTS, f"--workdir={ways / 'no'}", "--together=no"]
    before = (ways / "no" / "population.json").read_bytes()
    for wrong in (["--g_lr=0.5", "--sweep=r1_gamma:0.1,1"], ["--r1_gamma=1"]):
        outcome = call(gaussians_main, [*arguments, *wrong], capsys)
        assert outcome.code == 1 and "another configuration" in outcome.err
        assert outcome.err.count("\n") == 1
    assert (ways / "no" / "population.json").read_bytes() == before


def test_what_is_not_finished_is_left_out_of_the_summary(ways, tmp_path):
    folder = tmp_path / "many"
    shutil.copytree(ways / "no", folder)
    shutil.rmtree(folder / "r1_gamma_1-seed_0" / "checkpoints" / "6")
    outcome = run("evaluate", f"--workdir={folder}")
    assert outcome.code == 0, outcome.err
    assert "r1_gamma_1-seed_0 is left out: it has taken 4 of 6 steps" in outcome.out
    whole, partial = json.loads((folder / "summary.json").read_text())
    assert len(whole["runs"]) == 2 and partial["runs"] == ["r1_gamma_1-seed_1"]
    assert list(partial["left_out"]) == ["r1_gamma_1-seed_0"]


def test_runs_of_another_length_than_the_folder_asks_for_are_left_out_of_the_summary(
    ways, tmp_path, capsys
):
    """A command for some seeds has changed --num_steps: the other runs are finished by their own run.json alone."""
    folder = tmp_path / "many"
    shutil.copytree(ways / "no", folder)
    population = json.loads((folder / "population.json").read_text())
    population["recipe"]["num_steps"] = 4
    (folder / "population.json").write_text(json.dumps(population))
    short = "r1_gamma_1-seed_0"
    for name in population["members"]:
        if name != short:
            shutil.rmtree(folder / name / "checkpoints" / "6")
    summary.conclude(folder, list(population["members"]), Request(num_samples=20))
    assert f"{short} is left out: it has taken 6 of 4 steps" in capsys.readouterr().out
    population["recipe"]["num_steps"] = 6
    (folder / "population.json").write_text(json.dumps(population))
    for name in population["members"]:
        facts = json.loads((folder / name / "run.json").read_text())
        facts["config"]["num_steps"] = 4
        (folder / name / "run.json").write_text(json.dumps(facts))
    summary.conclude(folder, list(population["members"]), Request(num_samples=20))
    whole, one = json.loads((folder / "summary.json").read_text())
    assert not whole["runs"] and one["runs"] == [short]
    assert set(whole["left_out"].values()) == {"it has taken 4 of 6 steps"}


@pytest.mark.parametrize("way", WAYS)
def test_a_run_that_diverges_is_counted_and_the_others_go_on(tmp_path, capsys, monkeypatch, way):
    monkeypatch.setitem(losses.LOSSES, "wasserstein", exploding)
    folder = tmp_path / "many"
    arguments = [
        *POINTS, f"--workdir={folder}", f"--together={way}", "--loss=wasserstein", "--num_steps=40",
        "--sweep=g_lr:0,10", "--log_every=20", "--checkpoint_every=40",
    ]  # fmt: skip
    for again in range(2):
        if again:  # nothing is trained then
            monkeypatch.setattr(Run, "advance", None)
            monkeypatch.setattr(RunsInOneCall, "advance", None)
        outcome = call(gaussians_main, arguments, capsys)
        assert outcome.code == 1 and outcome.err.count("\n") == 1
        assert "2 of 4 runs diverged" in outcome.err and "g_lr_10-seed_0" in outcome.err
        still, lost = json.loads((folder / "summary.json").read_text())
        assert len(still["runs"]) == 2 and still["diverged"] == []
        assert lost["runs"] == [] and len(lost["diverged"]) == 2


def exploding():
    loss = losses.wasserstein()
    return loss._replace(generator=lambda real, fake: 1e15 * loss.generator(real, fake))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--seeds=9..0"], "--seeds=9..0"),
        (["--sweep=nonsense:1"], "cannot be swept"),
        (["--sweep=batch_size:0"], "batch_size"),
        (["--together=yes", "--on_divergence=rollback"], "--on_divergence=rollback"),
    ],
)
def test_what_cannot_be_run_is_refused_in_a_line(tmp_path, capsys, arguments, words):
    outcome = call(gaussians_main, [*POINTS, f"--workdir={tmp_path}/many", *arguments], capsys)
    assert outcome.code == 1 and outcome.err.count("\n") == 1 and words in outcome.err


def test_a_swept_eval_every_of_what_cannot_be_measured_is_refused_before_a_folder_is_made(
    tmp_path, capsys
):
    arguments = [*POINTS, "--dataset=moons", "--sweep=eval_every:2,4", f"--workdir={tmp_path}/many"]
    outcome = call(gaussians_main, arguments, capsys)
    assert outcome.code == 1 and "--eval_every: nothing can be measured of moons" in outcome.err
    assert not (tmp_path / "many").exists()


def test_folders_of_other_things_are_left_alone(tmp_path, capsys):
    (tmp_path / "thesis.tex").write_text("precious")
    outcome = call(gaussians_main, [*POINTS, f"--workdir={tmp_path}"], capsys)
    assert outcome.code == 1 and "other files" in outcome.err
    single = tmp_path / "single"
    single.mkdir()
    (single / "run.json").write_text("{}")
    outcome = call(gaussians_main, [*POINTS, f"--workdir={single}"], capsys)
    assert outcome.code == 1 and "single run" in outcome.err
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "population.json").write_text('{"seed_0": ')
    outcome = call(gaussians_main, [*POINTS, f"--workdir={tmp_path}/torn"], capsys)
    assert outcome.code == 1 and "damaged" in outcome.err and outcome.err.count("\n") == 1
    assert "remove it" in outcome.err
    (tmp_path / "torn" / "population.json").unlink()  # as told
    (tmp_path / "torn" / "seed_0").mkdir()
    assert call(gaussians_main, [*POINTS, f"--workdir={tmp_path}/torn"], capsys).code == 0
