"""Sums are right in a program's process, whatever jaxlib is installed; and what is wrong with a jaxlib is told."""

import os
import subprocess
import sys
import warnings

import pytest
from commands import ROOT

from experiments.command.compiler import cure, prepare
from gan_jax import compiler
from gan_jax.compiler import CURE, complaint, cured, faulty, release

FUSIONS = "--xla_cpu_experimental_ynn_fusion_type"

# jax-ml/jax#39103 and, without the square, what 0.10.0 and 0.10.1 compute wrongly too.
CANARY = """
from experiments.command import program

def main():
    import jax
    import jax.numpy as jnp
    import numpy as np

    m = jnp.eye(3)
    rows = np.zeros((32_769, 3), np.float32)
    rows[:, 0] = np.arange(32_769)  # squares of whole numbers to 2^15: exact in float32
    square = jax.jit(jax.vmap(lambda row: jnp.sum((m @ row) ** 2)))(rows)
    plain = jax.jit(jax.vmap(lambda row: jnp.sum(m @ row)))(rows)
    print("square", np.abs(square[-1] - 32_768.0**2), "plain", np.abs(plain[-1] - 32_768.0))

program.run(main, ["canary"])
"""


def fresh_process(code: str, **environment: str) -> subprocess.CompletedProcess:
    """Run code in a process that inherits no flags of XLA."""
    inherited = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=inherited | environment, capture_output=True, text=True
    )  # fmt: skip


def test_a_program_sums_rightly_on_the_installed_jaxlib():
    done = fresh_process(CANARY)
    assert done.stdout == "square 0.0 plain 0.0\n", done.stdout + done.stderr
    told = [line for line in done.stderr.splitlines() if "computes some sums wrongly" in line]
    assert len(told) == faulty(compiler.jaxlib_version())
    assert all(line.startswith(f"note: jaxlib {compiler.jaxlib_version()} ") for line in told)


@pytest.mark.parametrize(
    ("version", "wrong"),
    [
        ("0.9.2", False),  # wrong too, but older than this project takes
        ("0.10.0", True),
        ("0.10.1", True),
        ("0.10.2", True),
        ("0.10.2.dev20260601", True),
        ("0.11.0", False),
        ("0.12.0.1", False),
        ("1.10.2", False),
        ("", False),
    ],
)
def test_all_of_jaxlib_0_10_is_faulty(version, wrong):
    assert faulty(version) is wrong


def test_a_release_is_the_numbers_that_a_version_begins_with():
    assert release("0.10.2.dev1") == (0, 10, 2)
    assert release("0.12.0.1") == (0, 12, 0, 1)
    assert release("") == release("unknown") == ()


@pytest.mark.parametrize(
    ("xla_flags", "right"),
    [
        ("", False),
        (CURE, True),
        (f"--xla_dump_to=here {CURE} --xla_cpu_multi_thread_eigen=false", True),
        (f"{FUSIONS}=", True),
        (f"{FUSIONS}=-dot,-reduce", True),
        (f"{FUSIONS}=dot", False),
        (f"{FUSIONS}=+reduce", False),
        (f"{FUSIONS}=-dot", False),
        (f"{FUSIONS}=dot {CURE}", False),
        (f"{CURE} {FUSIONS}=dot", False),
        (f"{FUSIONS}_of_tomorrow=-reduce", False),
    ],
)
def test_what_cures_is_what_was_tried(xla_flags, right):
    assert cured(xla_flags) is right


def test_the_cure_is_added_to_the_flags_of_the_user_and_told_in_one_line():
    environment = {"XLA_FLAGS": "--xla_dump_to=here"}
    note = prepare(environment, "0.10.2")
    assert environment["XLA_FLAGS"] == f"--xla_dump_to=here {CURE}"
    assert (
        note == f"note: jaxlib 0.10.2 computes some sums wrongly on CPU; added {CURE} to XLA_FLAGS"
    )
    assert (
        prepare(environment, "0.10.2") is None
    )  # a child inherits the flag, and has nothing to say


@pytest.mark.parametrize("theirs", [f"{FUSIONS}=dot", "flags.txt"])
def test_what_the_user_has_chosen_stays_and_is_warned_of(theirs):
    environment = {"XLA_FLAGS": theirs}
    note = prepare(environment, "0.10.2")
    assert environment["XLA_FLAGS"] == theirs
    assert note.startswith("warning: jaxlib 0.10.2 computes some sums") and CURE in note


def test_a_right_jaxlib_is_left_alone():
    environment = {}
    assert prepare(environment, "0.12.0.1") is None and environment == {}


@pytest.mark.parametrize(
    ("version", "level"), [("0.10.1", "3"), ("0.10.2", None), ("0.12.0.1", None)]
)
def test_false_alarms_of_the_compilation_cache_are_hidden_where_they_are_raised(version, level):
    environment = {}
    prepare(environment, version)
    assert environment.get("TF_CPP_MIN_LOG_LEVEL") == level


def test_the_users_level_of_logging_is_kept():
    environment = {"TF_CPP_MIN_LOG_LEVEL": "0"}
    prepare(environment, "0.10.1")
    assert environment["TF_CPP_MIN_LOG_LEVEL"] == "0"


def test_a_closed_standard_error_does_not_end_a_program(monkeypatch, capsys):
    monkeypatch.setattr("experiments.command.compiler.jaxlib_version", lambda: "0.10.2")
    monkeypatch.setenv("XLA_FLAGS", "")
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    monkeypatch.setattr(sys, "stderr", None)
    cure()
    assert capsys.readouterr().out == ""


def test_the_library_by_itself_warns_in_one_line_with_the_remedy(monkeypatch):
    monkeypatch.setattr(compiler, "jaxlib_version", lambda: "0.10.2")
    monkeypatch.setenv("XLA_FLAGS", "")
    with pytest.warns(
        UserWarning, match="0.10.2 computes some sums of large arrays wrongly"
    ) as caught:
        compiler.warn_if_faulty()
    assert f"set XLA_FLAGS={CURE}" in str(caught[0].message) and "\n" not in str(caught[0].message)
    monkeypatch.setenv("XLA_FLAGS", CURE)
    compiler.warn_if_faulty()  # a warning would be an error


def test_every_room_that_computes_warns_when_it_is_imported():
    code = (
        "import importlib.metadata\n"
        "found = importlib.metadata.version\n"
        "importlib.metadata.version = lambda name: '0.10.2' if name == 'jaxlib' else found(name)\n"
        "import gan_jax\n"
        "print('before')\n"
        "from gan_jax.losses import hinge\n"
    )
    done = fresh_process(code)
    assert done.stdout == "before\n" and done.stderr.count("0.10.2 computes some sums") == 1
    assert fresh_process(code, XLA_FLAGS=CURE).stderr == ""


def test_a_right_jaxlib_has_nothing_to_complain_of():
    assert complaint("0.12.0.1", "") is None and complaint("0.10.2", CURE) is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        compiler.warn_if_faulty()


def test_a_run_that_goes_on_under_other_flags_of_xla_says_so():
    from experiments.record.provenance import changes

    now = {"versions": {}, "devices": ["cpu"], "xla_flags": CURE}
    (line,) = changes(now | {"xla_flags": ""}, now)
    assert line.startswith(f"warning: the value of XLA_FLAGS was empty and is {CURE}: ")
    older = {"versions": {}, "devices": ["cpu"]}  # does not say
    assert changes(now, now) == changes(older, now) == []
