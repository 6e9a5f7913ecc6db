"""--dtype=auto: a rule by what the machine has, settled once for all runs of a folder and kept on any machine."""

import json
from pathlib import Path

import pytest
from commands import TINY, call, import_main

from experiments.command import precision
from experiments.command.precision import choose, processor_features
from experiments.many import train as many
from gan_jax import plots

gaussians_main = import_main("gaussians")
POINTS = (*TINY, "--dataset=ring", "--latent_dim=2", "--compilation_cache=", "--dtype=auto")
FIXTURES = Path(__file__).parents[1] / "fixtures"
MODERN, OLD = frozenset({"avx2", "avx512_bf16"}), frozenset({"avx2", "avx512f"})


@pytest.mark.parametrize(
    ("platform", "features", "dtype", "because"),
    [
        ("cpu", OLD, "float32", "neither avx512_bf16 nor amx_bf16"),
        ("cpu", frozenset(), "float32", "neither avx512_bf16 nor amx_bf16"),
        ("cpu", MODERN, "bfloat16", "has avx512_bf16"),
        ("cpu", MODERN | {"amx_bf16"}, "bfloat16", "has avx512_bf16 and amx_bf16"),
        ("gpu", OLD, "bfloat16", "a GPU has units"),
        ("tpu", frozenset(), "bfloat16", "a TPU has units"),
    ],
)
def test_the_devices_or_the_processor_decide_and_say_why(platform, features, dtype, because):
    choice = choose(platform, features)
    assert choice.dtype == dtype and because in choice.reason


def test_a_processors_features_are_read_as_linux_lists_them(tmp_path):
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nflags\t\t: fpu avx2 amx_bf16\nbugs\t\t: none\n" * 2)
    assert processor_features(cpuinfo) == {"fpu", "avx2", "amx_bf16"}
    assert processor_features(tmp_path / "none") == frozenset()
    cpuinfo.write_text("Features : fp asimd bf16\n")  # another kind of processor
    assert processor_features(cpuinfo) == frozenset()


@pytest.fixture
def train(tmp_path, capsys, monkeypatch):
    """Give a function that trains in a folder on a machine with some features, and reads what it left."""
    for picture in ("save_curves", "save_animation", "save_scatter"):
        monkeypatch.setattr(plots, picture, lambda *arguments, **options: None)

    def on(features, *arguments):
        monkeypatch.setattr(precision, "processor_features", lambda: features)
        outcome = call(gaussians_main, [*POINTS, f"--workdir={tmp_path}/run", *arguments], capsys)
        assert outcome.code == 0, outcome.err
        return outcome, tmp_path / "run"

    return on


@pytest.fixture
def asked(capsys, monkeypatch):
    """Give a function that starts to train on a machine with some features, and tells of which tasks."""

    def on(features, *arguments):
        tasks = []
        monkeypatch.setattr(precision, "processor_features", lambda: features)
        monkeypatch.setattr(many.loop, "train", lambda task: tasks.append(task) or 1)
        monkeypatch.setattr(many, "_play", lambda group, task, _: tasks.extend(
            many._of(member, task) for member in group) or 1)  # fmt: skip
        call(gaussians_main, [*POINTS, *arguments], capsys)
        return [(task.config.dtype, task.dtype_reason) for task in tasks]

    return on


def test_a_new_run_is_of_its_machine_and_one_that_goes_on_as_it_was(asked, tmp_path):
    command = f"--workdir={tmp_path / 'run'}"
    assert asked(MODERN, command) == [("bfloat16", "the processor has avx512_bf16")]
    assert asked(MODERN, command, "--dtype=float32") == [("float32", "")]
    (tmp_path / "run").mkdir()
    begun = next((FIXTURES / "runs_0_1_0").glob("**/run.json")).read_text()
    (tmp_path / "run" / "run.json").write_text(begun)
    assert asked(MODERN, command) == [("float32", "the folder was begun with it")]
    assert asked(OLD, command)[0][0] == "float32"


def test_runs_of_one_folder_have_one_choice_and_sweeps_their_own(asked, tmp_path):
    command = (f"--workdir={tmp_path / 'runs'}", "--together=yes", "--seeds=0,1")
    assert asked(MODERN, *command) == [("bfloat16", "the processor has avx512_bf16")] * 2
    assert asked(OLD, *command) == [("bfloat16", "the folder was begun with it")] * 2
    swept = (f"--workdir={tmp_path / 'swept'}", "--sweep=dtype:bfloat16,float32", "--processes=1")
    assert asked(OLD, *swept) == [("bfloat16", "")]  # the first; it fails here, and the rest wait


@pytest.mark.slow
def test_a_run_keeps_what_was_chosen_when_it_began_and_why(train):
    outcome, folder = train(MODERN, "--num_steps=2")
    assert "--dtype=auto is bfloat16: the processor has avx512_bf16" in outcome.out
    train(OLD, "--num_steps=4")  # goes on elsewhere
    record = json.loads((folder / "run.json").read_text())
    assert record["config"]["dtype"] == "bfloat16"
    assert record["dtype_reason"] == "the processor has avx512_bf16"
    assert "--dtype=bfloat16\n" in (folder / "flagfile.txt").read_text()


@pytest.mark.slow
def test_all_runs_of_a_folder_have_one_choice(train):
    together = ("--num_steps=2", "--together=yes")
    train(MODERN, *together, "--seeds=0,1")
    _, folder = train(OLD, *together, "--seeds=0..3")  # two more, elsewhere
    records = [json.loads((folder / f"seed_{n}" / "run.json").read_text()) for n in range(4)]
    assert [record["config"]["dtype"] for record in records] == ["bfloat16"] * 4
    assert [record["dtype_reason"] for record in records] == [
        *["the processor has avx512_bf16"] * 2,
        *["the folder was begun with it"] * 2,
    ]
    assert json.loads((folder / "population.json").read_text())["recipe"]["dtype"] == "bfloat16"


def test_what_is_swept_names_its_types(tmp_path, capsys):
    arguments = [*POINTS, "--sweep=dtype:auto,float32", f"--workdir={tmp_path}/run"]
    outcome = call(gaussians_main, arguments, capsys)
    assert outcome.code == 1 and "auto is one of the others" in outcome.err
    assert not (tmp_path / "run").exists()
