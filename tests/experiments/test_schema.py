"""Files that come from anyone: sound, or refused in one line that names the file, the entry and the remedy."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_runs import configure

from experiments.command.config import Config
from experiments.command.program import UserError
from experiments.many import folder as population_folder
from experiments.record import schema
from experiments.record.run_folder import RunFolder, read_run
from experiments.record.strict_json import parse

CONFIG = vars(configure(Path("W")))
RUN = {
    "experiment": "mnist",
    "config": CONFIG,
    "dataset": {"name": "digits", "samples": 12, "shape": [28, 28, 1], "sha256": "0"},
    "weights": {"generator": 3, "discriminator": 4},
    "versions": {"python": "3", "jax": None},
    "commit": None,
    "devices": ["cpu"],
    "processes": 1,
    "continued": [{"step": 6, "flags": {"num_steps": 12}}],
}
EVALUATION = [
    {
        "checkpoint": "last",
        "step": 6,
        "num_samples": 10,
        "num_floor_samples": 10,
        "seed": 0,
        "ema": True,
        "features_sha256": "0",
        "measures": {
            "modes": {"value": 8, "interval": [7.0, 8.0], "floor": 8.0},
            "frechet_infinity": {"value": 1.5, "interval": None, "floor": 0.5},
        },
        "success": {"means": "all found", "met": True},
    }
]
POPULATION = {
    "recipe": {"loss": "hinge", "num_steps": 6, "r1_gamma": None, "sweep": ["g_lr"]},
    "members": {"g_lr_1-seed_0": {"g_lr": 1.0}, "g_lr_2-seed_0": {"g_lr": 2.0}},
    "groups": [["g_lr_1-seed_0", "g_lr_2-seed_0"]],
}
DIVERGED = {"seed_0": "diverged: d_loss not finite at step 3"}


# JSON


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**63) + 1, 2**63 - 1)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(st.characters(codec="utf-8")),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
        max_leaves=20,
    )
)  # fmt: skip
def test_what_the_project_writes_is_read_back(value):
    try:
        found = parse(json.dumps(value).encode())
    except ValueError as error:
        assert "nested too deeply" in str(error)
    else:
        assert found == value and type(found) is type(value)


NO_JSON = {
    "empty": b"",
    "blank": b" \n",
    "cut": b'{"step": 1',
    "two values": b"{} {}",
    "NaN": b'{"step": NaN}',
    "Infinity": b'{"step": Infinity}',
    "-Infinity": b"[-Infinity]",
    "1e999": b'{"step": 1e999}',
    "10^400": b'{"step": 1' + b"0" * 400 + b"}",
    "10^5000": b'{"step": 1' + b"0" * 5000 + b"}",
    "2^63": b"9223372036854775808",
    "-10^19": b"-9999999999999999999",
    "deep": b"[" * 100_000,
    "deep and whole": b"[" * 900 + b"]" * 900,
    "17 deep": b"[" * 17 + b"]" * 17,
    "a key twice": b'{"step": 1, "step": 2}',
    "a key twice inside": b'{"a": [{"b": 1, "b": 1}]}',
    "byte-order mark": b"\xef\xbb\xbf{}",
    "undecodable": b'{"a": "\xff"}',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "half a surrogate pair": b'{"a": ["\\ud800"]}',
    "half a surrogate pair as a key": b'{"\\udc00": 1}',
    "a zero byte": b"{}\0",
    "a single quote": b"{'a': 1}",
}


@pytest.mark.parametrize("name", NO_JSON)
def test_what_is_no_strict_json_is_a_value_error(name):
    with pytest.raises(ValueError) as caught:
        parse(NO_JSON[name])
    str(caught.value).encode()
    assert len(str(caught.value)) < 200


def test_sixteen_deep_and_the_largest_numbers_are_read():
    assert parse(b"[" * 16 + b"]" * 16) and parse(b"9223372036854775807") == 2**63 - 1
    assert parse(b"[-9223372036854775807, 1e308]") == [-(2**63) + 1, 1e308]
    assert parse(b'"\\ud83d\\ude00"') == "\U0001f600"


# Whole files


def readers(folder: Path) -> dict[str, Any]:
    return {
        "run.json": (RUN, lambda: read_run(folder)),
        "evaluation.json": (
            EVALUATION,
            lambda: schema.read_evaluation(folder / "evaluation.json"),
        ),
        "population.json": (POPULATION, lambda: population_folder.read(folder)),
        "diverged.json": (DIVERGED, lambda: population_folder.read_diverged(folder)),
        "metrics.jsonl": (
            {"step": 2, "d_loss": 1.5, "g_loss": None},
            RunFolder(folder).read_metrics,
        ),
        "evaluations.jsonl": (
            {"step": 2, "frechet": 1.5},
            lambda: RunFolder(folder).read_evaluations("frechet"),
        ),
    }


FILES = tuple(readers(Path()))


def refusal(read) -> str | None:
    """What a reader says of its file, which is one short line; None if it takes it."""
    try:
        read()
    except UserError as error:
        line = str(error)
        assert " is damaged: " in line and "; " in line and "\n" not in line and len(line) < 500
        return line
    return None


@pytest.mark.parametrize("name", FILES)
def test_a_sound_file_is_read(tmp_path, name):
    sound, read = readers(tmp_path)[name]
    (tmp_path / name).write_text(json.dumps(sound) + "\n")
    assert refusal(read) is None
    assert read() != []


@pytest.mark.parametrize("name", FILES)
def test_no_ruin_of_a_file_is_more_than_a_refusal(tmp_path, name):
    sound, read = readers(tmp_path)[name]
    for content in NO_JSON.values():
        if name.endswith("l") and not content.strip(b"\n"):
            continue  # no line: nothing has been logged
        (tmp_path / name).write_bytes(content + b"\n")
        assert refusal(read), content[:40]
    for value in (None, 3, "x", [], [[]], True, *(() if name == "diverged.json" else ({},))):
        (tmp_path / name).write_text(json.dumps(value) + "\n")
        assert refusal(read), value
    for path in paths(sound):
        for value in (None, True, -1, 3, 0.5, "x", [], {}, [None], {"a": None}, ...):
            (tmp_path / name).write_text(json.dumps(replaced(sound, path, value)) + "\n")
            refusal(read)  # or it is as good


def paths(value: Any, path: tuple = ()) -> Iterator[tuple]:
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items:
        yield (*path, key)
        if isinstance(inner, dict | list):
            yield from paths(inner, (*path, key))


def replaced(value: Any, path: tuple, new: Any) -> Any:
    copy = inner = json.loads(json.dumps(value))
    for key in path[:-1]:
        inner = inner[key]
    if new is ...:
        del inner[path[-1]]
    else:
        inner[path[-1]] = new
    return copy


@pytest.mark.parametrize(
    ("name", "path", "value", "words"),
    [
        ("run.json", ("experiment",), ..., "experiment is missing; restore it from a copy"),
        ("run.json", ("experiment",), "os.path;x", "expected the name of a program"),
        ("run.json", ("experiment",), "..mnist", "expected the name of a program"),
        ("run.json", ("config", "log_every"), "2", "config.log_every is '2', expected a whole"),
        ("run.json", ("config", "num_steps"), True, "config.num_steps is True"),
        ("run.json", ("config", "num_steps"), 6.0, "config.num_steps is 6.0"),
        ("run.json", ("config", "g_lr"), None, "config.g_lr is None, expected a number"),
        ("run.json", ("config", "g_lr"), True, "config.g_lr is True, expected a number"),
        ("run.json", ("config", "download"), 1, "config.download is 1, expected true or false"),
        ("run.json", ("config", "loss"), None, "config.loss is None, expected a text"),
        ("run.json", ("config", "older"), [1], "config.older is [1], expected a number, a text"),
        ("run.json", ("dataset", "shape", 1), 0, "dataset.shape[1] is 0, expected a whole"),
        ("run.json", ("dataset", "shape"), [], "dataset.shape is []"),
        ("run.json", ("devices",), [], "devices is [], expected a list of at least 1"),
        ("run.json", ("devices", 0), 3, "devices[0] is 3, expected a text"),
        ("run.json", ("versions", "jax"), 3, "versions.jax is 3, expected a text"),
        ("run.json", ("continued", 0, "step"), -1, "continued[0].step is -1"),
        ("run.json", ("continued", 0, "flags", "num_steps"), "x", "num_steps is 'x'"),
        ("evaluation.json", (0, "measures"), ..., "[0].measures is missing; measure the run again"),
        ("evaluation.json", (0, "measures", "modes", "value"), "8", "value is '8', expected a"),
        ("evaluation.json", (0, "measures", "modes", "value"), None, "value is None"),
        ("evaluation.json", (0, "measures", "modes", "interval"), [1.0], "a list of at least 2"),
        ("evaluation.json", (0, "step"), 6.5, "[0].step is 6.5"),
        ("evaluation.json", (0, "ema"), 1, "[0].ema is 1, expected true or false"),
        ("evaluation.json", (0, "success"), {"means": "x"}, "[0].success.met is missing"),
        ("population.json", ("groups",), [["g_lr_1-seed_0"]], "groups and members do not agree"),
        ("population.json", ("groups", 0), [3], "groups[0][0] is 3"),
        ("population.json", ("members", "g_lr_1-seed_0"), 3, "is 3, expected a table"),
        ("population.json", ("recipe",), None, "recipe is None, expected a table"),
        ("population.json", ("recipe", "loss"), {}, "recipe.loss is {}"),
        ("population.json", ("recipe", "sweep"), "g_lr", "recipe.sweep is 'g_lr'"),
        ("diverged.json", ("seed_0",), 3, "seed_0 is 3, expected a text; remove it"),
        ("metrics.jsonl", ("step",), 2.0, "line 1: step is 2.0, expected a whole number of at"),
        ("metrics.jsonl", ("step",), -1, "line 1: step is -1"),
        ("metrics.jsonl", ("step",), True, "line 1: step is True"),
        ("metrics.jsonl", ("step",), ..., "line 1: step is missing; put back a copy"),
        ("metrics.jsonl", ("d_loss",), "1.5", "line 1: d_loss is '1.5', expected a number"),
        ("evaluations.jsonl", ("step",), "2", "line 1: step is '2'"),
        ("evaluations.jsonl", ("frechet",), None, "line 1: frechet is None, expected a number"),
        ("evaluations.jsonl", ("frechet",), ..., "line 1: frechet is missing; put back a copy"),
    ],
)  # fmt: skip
def test_the_refusal_names_the_entry_and_the_remedy(tmp_path, name, path, value, words):
    sound, read = readers(tmp_path)[name]
    (tmp_path / name).write_text(json.dumps(replaced(sound, path, value)) + "\n")
    (tmp_path / "seed_0").mkdir()
    line = refusal(read)
    assert line is not None and line.startswith(f"{tmp_path / name} is damaged: ")
    assert words in line


def test_entries_that_are_not_known_pass():
    for check, value in ((schema.RUN, RUN), (schema.POPULATION, POPULATION)):
        check({**value, "of a newer version": [{"a": None}]}, "")
    schema.EVALUATION([{**EVALUATION[0], "more": None}], "")


def test_a_line_that_a_dying_process_cut_short_is_none(tmp_path):
    run = RunFolder(tmp_path)
    (tmp_path / "metrics.jsonl").write_bytes(b'{"step": 1}\n{"step": 2, "d_lo')
    assert [record["step"] for record in run.read_metrics()] == [1]
    (tmp_path / "metrics.jsonl").write_bytes(b'{"step": 1}\n\n{"step": 2}\n')
    with pytest.raises(UserError, match="line 2: it is empty"):
        run.read_metrics()
    (tmp_path / "metrics.jsonl").write_bytes(b"")
    assert run.read_metrics() == []


def test_a_log_line_that_could_not_be_read_back_is_not_written(tmp_path):
    run = RunFolder(tmp_path)
    run.append_metrics({"step": 1, "d_loss": float("nan")})
    with pytest.raises(ValueError, match="d_loss is 'x', expected a number"):
        run.append_metrics({"step": 2, "d_loss": "x"})
    assert run.read_metrics() == [{"step": 1, "d_loss": None}]


def test_every_type_of_a_flag_is_checked():
    assert all(schema._FLAGS[name] is not schema.anything for name in Config.__annotations__)


def test_folders_of_version_0_1_0_are_read():
    """Their recipes hold periods, and a run may lack flags that are newer."""
    kept = Path(__file__).parents[1] / "fixtures" / "runs_0_1_0"
    many = population_folder.read(kept / "ring_seeds")
    assert list(many.members) == ["seed_0", "seed_1"]
    assert population_folder.steps_asked_of(many, "seed_0") == 20
    for run in (kept / "digits", *(kept / "ring_seeds" / name for name in many.members)):
        assert read_run(run)["config"]["num_steps"] == 20
        assert [line["step"] for line in RunFolder(run).read_metrics()] == [5, 10, 15, 20]
        if (run / "evaluation.json").exists():
            assert schema.read_evaluation(run / "evaluation.json")[-1]["step"] == 20
