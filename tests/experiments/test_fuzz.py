"""Nonsense of every kind, to every program: one line that says what is wrong, exit code 1, and nothing is touched."""

import contextlib
import dataclasses
import functools
import importlib.util
import io
import json
import shutil
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import fuzz_cases
import pytest
from absl import flags
from commands import TINY, call
from fuzz_cases import Case

from experiments.command import config as configs
from experiments.many import members
from experiments.record import provenance
from experiments.training import loop
from gan_jax import data

pytestmark = pytest.mark.slow  # programs from end to end

KINDS = (
    "flag values", "unknown flags", "positionals", "flag files", "combinations", "run folders", "another run's",
    "run.json", "reading a run.json", "metrics.jsonl", "evaluations.jsonl", "population.json", "links", "data",
    "readers",
)  # fmt: skip
OWN_FLAGS: dict[
    str, dict
] = {}  # program -> its flags, which in one process would exclude another's


@contextlib.contextmanager
def main_of(program: str) -> Iterator[Callable[[], int]]:
    """Give the `main` of a private copy of a program, with its flags and no others defined."""
    registry = vars(flags.FLAGS)
    before = dict(registry)
    registry.clear()
    imported = before if f"experiments.{program}" in sys.modules else vars(flags.FlagValues())
    registry.update(OWN_FLAGS.get(program) or imported)
    try:
        module = private_copy(program)
        if hasattr(
            module, "EXPERIMENT"
        ):  # defines its flags only where it is the program that runs
            members.define_flags()
        yield module.main
    finally:
        OWN_FLAGS[program] = dict(registry)
        registry.clear()
        registry.update(before)


@functools.cache
def private_copy(program: str) -> ModuleType:
    """Load a program once more, so that its flags are defined where they are wanted."""
    path = importlib.util.find_spec(f"experiments.{program}").origin
    spec = importlib.util.spec_from_file_location(f"fuzzed_{program}", path)
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A run that was stopped after step 4 of 6, so that the same command has something to do."""
    folder = tmp_path_factory.mktemp("fuzz") / "run"

    class Capture:
        def readouterr(self):
            return type("Captured", (), {"out": "", "err": ""})

    with main_of("mnist") as main, contextlib.redirect_stdout(io.StringIO()):
        arguments = [*TINY, "--compilation_cache=", f"--workdir={folder}", "--num_steps=6"]
        assert call(main, arguments, Capture()).code == 0
    shutil.rmtree(folder / "checkpoints" / "6")
    lines = (folder / "metrics.jsonl").read_text().splitlines(keepends=True)
    (folder / "metrics.jsonl").write_text("".join(lines[:2]))  # as they were after step 4
    return folder


@pytest.fixture(scope="module")
def cases(run) -> list[Case]:
    with main_of("mnist") as main:
        del main
        found = [*fuzz_cases.bad_flags("mnist", fuzz_cases.TRAINING, flags.FLAGS)]
    for program in ("sample", "evaluate"):
        with main_of(program):
            found += fuzz_cases.bad_flags(program, (fuzz_cases.RUN,), flags.FLAGS)
    record = (run / "run.json").read_text()
    found += fuzz_cases.positionals()
    found += fuzz_cases.flagfiles((run / "flagfile.txt").read_text())
    found += fuzz_cases.combinations()
    found += fuzz_cases.workdirs(json.loads(record)["config"])
    found += fuzz_cases.training_on_damaged_records(record)
    found += fuzz_cases.reading_damaged_records(record)
    found += fuzz_cases.damaged_logs((run / "metrics.jsonl").read_text())
    found += fuzz_cases.damaged_evaluations()
    found += fuzz_cases.damaged_populations()
    found += fuzz_cases.planted_links()
    found += fuzz_cases.damaged_data()
    found += fuzz_cases.readers()
    return found


def contents(folder: Path) -> dict[str, bytes | None]:
    paths = sorted(folder.rglob("*"))
    return {str(path): path.read_bytes() if path.is_file() else None for path in paths}


def complaint(case: Case, place: Path, run: Path, capsys) -> str | None:
    """What is wrong with a program's answer to nonsense, or None."""
    place.mkdir()
    if case.has_run:
        shutil.copytree(run, place / "run")
    case.prepare(place)
    before = contents(place)
    arguments = [argument.replace("{place}", str(place)) for argument in case.arguments]
    try:
        with main_of(case.program) as main:
            outcome = call(main, arguments, capsys)
    except BaseException:
        capsys.readouterr()
        return "a traceback: " + " | ".join(traceback.format_exc().splitlines()[-3:])
    if outcome.code != 1:
        return f"exit code {outcome.code}: {outcome.out[-200:]} {outcome.err[-200:]}"
    if not outcome.err.startswith("error: ") or outcome.err.count("\n") != 1:
        return f"not one line: {outcome.err!r}"
    if len(outcome.err) < 20:
        return f"the line does not say what is wrong: {outcome.err!r}"
    if contents(place) != before:
        return f"files were changed: {set(contents(place)) ^ set(before)}"
    shutil.rmtree(place)
    return None


@pytest.mark.parametrize("kind", KINDS)
def test_nonsense_gets_one_line_and_exit_code_1_and_touches_nothing(
    kind, cases, run, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(provenance, "_commit", lambda: None)  # asks git
    monkeypatch.setattr(data, "load", functools.partial(load_once, data.load))
    if kind not in ("combinations", "data"):
        monkeypatch.setattr(loop, "check_playable", lambda *arguments: None)  # traces a step
    monkeypatch.chdir(tmp_path)
    complaints = []
    for number, case in enumerate(case for case in cases if case.kind == kind):
        if wrong := complaint(case, tmp_path / str(number), run, capsys):
            complaints.append(f"{case.program}: {case.name!r}: {wrong}")
    assert not complaints, f"{len(complaints)} complaints\n" + "\n".join(complaints)


LOADED: dict[tuple, object] = {}


def load_once(load: Callable, name: str, **options) -> object:
    """The built-in digits are read once."""
    if name != "digits":
        return load(name, **options)
    split = options.get("split", "train")
    if split not in LOADED:
        LOADED[split] = load(name, split=split)
    return LOADED[split]


def test_there_are_at_least_500_cases_of_all_kinds(cases):
    counts = Counter(case.kind for case in cases)
    assert set(counts) == set(KINDS)
    assert counts.total() >= 500, counts


def test_the_run_of_the_cases_is_sound_before_it_is_damaged(run, tmp_path, capsys):
    shutil.copytree(run, tmp_path / "run")
    with main_of("mnist") as main:
        arguments = [*TINY, "--compilation_cache=", f"--workdir={tmp_path}/run"]
        outcome = call(main, arguments, capsys)
    assert outcome.code == 0 and "continuing after step 4" in outcome.out


def test_every_flag_of_the_configuration_is_tried(cases):
    tried = {case.name.split("=")[0] for case in cases if case.kind == "flag values"}
    for field in dataclasses.fields(configs.Config):
        assert f"--{field.name}" in tried
