"""Help, errors and exit codes of every program."""

from pathlib import Path

import pytest
from commands import ROOT, call, run

from experiments.command import program

PROGRAMS = sorted(
    str(path.relative_to(ROOT / "experiments").with_suffix("")).replace("/", ".")
    for path in (ROOT / "experiments").rglob("*.py")
    if "program.run(main)" in path.read_text()
)


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_program_explains_itself(name):
    outcome = run(name, "--help")
    assert outcome.code == 0 and outcome.err == ""
    assert "python -m experiments." in outcome.out and "--flagfile" in outcome.out


def test_our_errors_are_one_line_and_bugs_keep_their_traceback(capsys):
    def wrong():
        raise program.UserError("two\nlines")

    def bug():
        raise ZeroDivisionError("a bug")

    assert call(wrong, [], capsys) == (1, "", "error: two lines\n")
    with pytest.raises(ZeroDivisionError):
        call(bug, [], capsys)


def test_a_line_of_a_flagfile_without_dashes_is_refused(tmp_path, capsys):
    path = tmp_path / "broken.flags"
    path.write_text("# a comment\nseed=3\n")
    outcome = call(lambda: 0, [f"--flagfile={path}"], capsys)
    assert outcome.code == 1 and "seed=3" in outcome.err


def test_every_preset_parses_and_opens_with_a_note(capsys):
    from experiments.command import config as configs

    configs.define_flags()
    presets = sorted(Path(ROOT / "experiments" / "flags").glob("*.flags"))
    assert len(presets) >= 4
    for preset in presets:
        assert preset.read_text().startswith("# "), preset
        outcome = call(lambda: int(configs.from_flags() is None), [f"--flagfile={preset}"], capsys)
        assert outcome.code == 0, (preset, outcome.err)


def test_help_loads_nothing_heavy():
    assert not {"jax", "flax", "matplotlib", "orbax"} & _modules_after_help()


def _modules_after_help() -> set[str]:
    import subprocess
    import sys

    code = (
        "import sys, runpy; sys.argv = ['mnist', '--help']\n"
        "try: runpy.run_module('experiments.mnist', run_name='__main__')\n"
        "except SystemExit: print('MODULES', *sys.modules)"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True
    ).stdout
    return set(out[out.index("MODULES") :].split())
