"""Help, errors and exit codes of every program, and what begins before the slow imports."""

import contextlib
import errno
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from absl import flags
from commands import ROOT, call, run, start

from experiments.command import config as configs
from experiments.command import hints, program, shared_flags, usage
from experiments.many import members

FOLDERS = {"": ROOT / "experiments", "benchmarks.": ROOT / "experiments" / "benchmarks"}
PROGRAMS = sorted(
    prefix + path.stem
    for prefix, folder in FOLDERS.items()
    for path in folder.glob("*.py")
    if "program.run(main)" in path.read_text()
)

# A program in small: what it imports slowly is a module that says so.
BEGINS = '''"""A program in small."""

from experiments.command import program
from experiments.many import members

if __name__ == "__main__":
    program.begin(members.define_flags, dataset="ring", batch_size=7)

import slow
from absl import flags


def main():
    print(flags.FLAGS.dataset, flags.FLAGS.batch_size, flush=True)


if __name__ == "__main__":
    program.run(main)
'''
SLOW = "print('imported', flush=True)\n"
SLEEPS = SLOW + "import time\ntime.sleep(60)\n"
READY = "imported\n"


@pytest.fixture
def small(tmp_path):
    """Start the program in small; `slow` and `main` replace what is in its parts."""

    def popen(*arguments: str, slow: str = SLOW, text: str = BEGINS, shell: str = "", **options):
        (tmp_path / "small.py").write_text(text)
        (tmp_path / "slow.py").write_text(slow)
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **options.pop("env", {})}
        environment.pop("PYTHONUNBUFFERED", None)  # output waits in a buffer, as it does for users
        command = [sys.executable, str(tmp_path / "small.py"), *arguments]
        if shell:
            command = ["sh", "-c", f"exec {shlex.join(command)} {shell}"]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        return subprocess.Popen(command, cwd=tmp_path, env=environment, text=True, **pipes)

    return popen


def finished(process: subprocess.Popen) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


@contextlib.contextmanager
def children_that(handle: signal.Handlers, number: signal.Signals) -> Iterator[None]:
    """Start what is inside with this: a child inherits what is ignored, and libtpu ignores SIGHUP in its process."""
    before = signal.signal(number, handle)
    try:
        yield
    finally:
        signal.signal(number, before)


# Help


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_program_explains_itself(name):
    outcome = run(name, "--help")
    assert outcome.code == 0 and outcome.err == ""
    assert outcome.out.startswith(f"usage: python -m experiments.{name} [--flag=value ...]\n")
    assert "--flagfile" in outcome.out


def page(monkeypatch, columns: int) -> list[str]:
    members.define_flags()
    monkeypatch.setenv("COLUMNS", str(columns))
    return usage.page("What it does.\n\n* one\n  thing\n* another", "python -m it").split("\n")


def test_help_has_groups_in_a_fixed_order_and_every_shared_flag_once(monkeypatch):
    lines = page(monkeypatch, 100)
    titles = [line for line in lines if re.fullmatch(r"[a-z ]+:", line)]
    groups = ["data:", "data of your own:", "networks:", "game:", "optimizers:", "running:"]
    assert [title for title in titles if title != "this program:"] == [
        *groups, "devices and processes:", "many runs:", "files of flags:"
    ]  # fmt: skip
    shown = [
        line.strip().removeprefix("--").removeprefix("[no]") for line in lines if "  --" in line
    ]
    for name in (*configs.Config.__dataclass_fields__, "seeds", "sweep", "together", "flagfile"):
        assert shown.count(name) == 1, name
    game = lines[lines.index("game:") : lines.index("optimizers:")]
    assert "  --loss" in game and "  --g_lr" not in game


@pytest.mark.parametrize(("columns", "width"), [(60, 60), (300, 100), (10, 40)])
def test_help_fits_the_terminal_and_no_line_is_longer_than_a_hundred(monkeypatch, columns, width):
    lines = [line for line in page(monkeypatch, columns) if not line.startswith("presets:")]
    fits = [len(line) <= width or " " not in line.strip() for line in lines]
    assert all(fits), [line for line, fit in zip(lines, fits, strict=True) if not fit]
    assert max(map(len, lines)) > width - 12
    assert "* one thing" in lines and "* another" in lines


def test_help_shows_defaults_and_says_how_presets_are_used(monkeypatch):
    text = "\n".join(page(monkeypatch, 100))
    assert "steps between checkpoints. Default: 1000." in text
    assert "unset: all there are.\n" in text  # no default to show
    assert "presets: python -m it --flagfile=NAME, where NAME" in text
    for preset in (ROOT / "experiments" / "flags").glob("*.flags"):
        assert f"\n  {preset.stem} " in text


def test_the_list_of_programs_has_each_in_one_line_and_no_rooms_or_benchmarks():
    command = [sys.executable, "-X", "importtime", "-m", "experiments"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    listed = [line.split()[0] for line in done.stdout.split("\n") if line.startswith("  ")]
    assert set(listed) >= {*(name for name in PROGRAMS if "." not in name), "compare"}
    assert not [name for name in listed if name.startswith("_")]
    assert not {"command", "record", "training", "many", "benchmarks", "throughput"} & set(listed)
    assert "Draw samples from a finished" in done.stdout and "--help" in done.stdout
    assert "experiments/benchmarks" in done.stdout and "experiments/flags" in done.stdout
    assert not re.search(r"\| +(jax|numpy|flax)$", done.stderr, re.MULTILINE)


def test_a_program_named_without_its_package_is_told_how_it_is_started():
    command = [sys.executable, "-m", "experiments", "mnist"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "python -m experiments.mnist" in done.stderr


# Errors


def test_our_errors_are_one_line_and_bugs_keep_their_traceback(capsys):
    def wrong():
        raise program.UserError("two\nlines")

    def bug():
        raise ZeroDivisionError("a bug")

    assert call(wrong, [], capsys) == (1, "", "error: two lines\n")
    with pytest.raises(ZeroDivisionError):
        call(bug, [], capsys)


def test_an_exit_code_is_that_of_main_and_nothing_is_0(capsys):
    assert [call(lambda code=code: code, [], capsys).code for code in (0, 1, 143)] == [0, 1, 143]
    assert call(lambda: None, [], capsys) == (0, "", "")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES])
def test_an_error_of_the_system_is_one_line_and_a_full_disk_has_its_remedy(capsys, number):
    def fail():
        raise OSError(number, "the system says", "a/file")

    outcome = call(fail, [], capsys)
    line = f"error: [Errno {number}] the system says: 'a/file'"
    remedy = ": make room, then give the same command again" if number != errno.EACCES else ""
    assert outcome == (1, "", f"{line}{remedy}\n")


def test_ctrl_c_in_a_process_whose_signals_belong_to_others_is_one_line(capsys):
    def impatient():
        raise KeyboardInterrupt

    assert call(impatient, [], capsys) == (130, "", "stopped by SIGINT\n")


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("--workdir=a\0b", "--workdir holds a zero byte"),
        ("--workdir=~nobody-of-this-name/x", "names a user that does not exist"),
        ("--flagfile=", "--flagfile= names no file"),
        ("--flagfile=not/there", "not/there"),
        ("word", "unexpected argument 'word'"),
    ],
)
def test_words_that_no_program_can_use_are_refused_in_one_line(capsys, word, told):
    shared_flags.define_flags()
    outcome = call(lambda: 0, [word], capsys)
    assert outcome.code == 1 and outcome.err.count("\n") == 1 and told in outcome.err


def test_an_error_is_no_second_error_where_standard_error_is_gone(monkeypatch):
    def wrong():
        raise program.UserError("wrong")

    for stream in (None, open(os.devnull, "w")):  # noqa: SIM115
        if stream is not None:
            stream.close()
        monkeypatch.setattr(sys, "stderr", stream)
        with pytest.raises(SystemExit) as caught:
            program.run(wrong, ["program"])
        assert caught.value.code == 1


def test_a_line_of_a_flagfile_without_dashes_is_refused(tmp_path, capsys):
    path = tmp_path / "broken.flags"
    path.write_text("# a comment\nseed=3\n")
    outcome = call(lambda: 0, [f"--flagfile={path}"], capsys)
    assert outcome.code == 1 and "seed=3" in outcome.err


def test_every_preset_parses_and_opens_with_a_note(capsys):
    shared_flags.define_flags()
    presets = sorted(Path(ROOT / "experiments" / "flags").glob("*.flags"))
    assert len(presets) >= 4
    for preset in presets:
        assert preset.read_text().startswith("# "), preset
        outcome = call(lambda: int(configs.from_flags() is None), [f"--flagfile={preset}"], capsys)
        assert outcome.code == 0, (preset, outcome.err)


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("--num_epochs=5", "--num_steps = epochs * samples / --batch_size"),
        ("--epochs=5", "--num_steps = epochs * samples / --batch_size"),
        ("--lr=1e-3", "--g_lr and --d_lr"),
        ("--learning-rate=1e-3", "--g_lr and --d_lr"),
        ("--batchsize=5", "did you mean --batch_size?"),
        ("--BATCH-SIZE=5", "did you mean --batch_size?"),
        ("--beta1=0.5", "did you mean --b1?"),
        ("--beta2=0.5", "did you mean --b2?"),
        ("--ema_decay=0.99", "--ema_half_life_images"),
        ("--num_stpes=5", "Did you mean: num_steps"),
        ("--frobnicate=5", "--help lists"),
    ],
)
def test_an_unknown_flag_gets_a_hint(capsys, word, told):
    members.define_flags()
    outcome = call(lambda: 0, [word], capsys)
    assert outcome.code == 1 and outcome.err.count("\n") == 1
    assert told in outcome.err and word.lstrip("-").partition("=")[0] in outcome.err


def test_hints_name_flags_that_exist_in_some_program():
    members.define_flags()
    text = "\n".join(path.read_text() for path in (ROOT / "experiments").glob("*.py"))
    for name in {*hints.SYNONYMS.values(), *(name for name, _ in hints.ELSEWHERE.values())}:
        assert name in (*flags.FLAGS, "flagfile") or f'"{name}"' in text, name


def test_a_command_line_is_quoted_as_a_shell_takes_it():
    assert program.command_line("experiments.mnist") == "python -m experiments.mnist"
    line = program.command_line(
        "experiments.mnist", flagfile="my runs/it's $HOME.txt", workdir="/a;b", ema=False,
        download=True, sweep=["b1:0,0.5", "b2:0.9"], seeds=None, seed=0,
    )  # fmt: skip
    assert line == (
        "python -m experiments.mnist '--flagfile=my runs/it'\"'\"'s $HOME.txt' '--workdir=/a;b' "
        "--noema --download --sweep=b1:0,0.5 --sweep=b2:0.9 --seed=0"
    )
    echoed = subprocess.run(["sh", "-c", f"printf '%s\\n' {line}"], capture_output=True, text=True)
    assert echoed.stdout.split("\n")[3:5] == ["--flagfile=my runs/it's $HOME.txt", "--workdir=/a;b"]


# Before the slow imports


def test_a_program_that_begins_has_its_defaults_and_what_the_command_line_says(small):
    assert finished(small()) == (0, "imported\nring 7\n", "")
    assert finished(small("--batch_size=9")) == (0, "imported\nring 9\n", "")


def test_help_and_errors_come_before_the_slow_imports(small):
    code, out, err = finished(small("--help"))
    assert (code, err) == (0, "") and "imported" not in out and "Default: ring." in out
    for wrong in ("--batch_size=x", "--nonsense", "word"):
        code, out, err = finished(small(wrong))
        assert (code, out, err.count("\n")) == (1, "", 1) and wrong.lstrip("-")[:5] in err


def test_a_programs_own_flags_stand_last_in_its_help(small):
    own = "from absl import flags\n\nflags.DEFINE_integer('own', 0, 'mine')\n\nif __name__"
    _, out, _ = finished(small("--help", text=BEGINS.replace("if __name__", own, 1)))
    titles = re.findall(r"^[a-z ]+:$", out, re.MULTILINE)
    assert titles[-3:] == ["many runs:", "this program:", "files of flags:"]
    assert "this program:\n  --own\n      mine. Default: 0.\n" in out


def test_imported_elsewhere_a_program_that_begins_defines_no_flags(small):
    text = "import small_program\nfrom absl import flags\nprint('num_steps' in flags.FLAGS)\n"
    process = small(text=BEGINS)
    folder = process.args[1].rpartition("/")[0]
    finished(process)
    Path(folder, "small_program.py").write_text(BEGINS)
    assert finished(small(text=text)) == (0, "imported\nFalse\n", "")


def test_a_program_that_begins_may_take_arguments(small):
    text = BEGINS.replace("batch_size=7", "takes_arguments=True").replace(
        "main():", "main(words):\n    print(words)"
    )
    text = text.replace("run(main)", "run(main, takes_arguments=True)")
    assert finished(small("a", "--seed=1", "b", text=text))[1] == "imported\n['a', 'b']\nring 64\n"


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
@pytest.mark.parametrize("where", ["imports", "main"])
def test_a_signal_before_training_ends_the_program_at_once_in_one_line(small, number, code, where):
    text = BEGINS if where == "imports" else BEGINS.replace("    print(flags", "    slow.wait()\n#")
    slow = SLEEPS if where == "imports" else "def wait():\n    print('imported', flush=True)\n    " + (
        "import time\n    try: time.sleep(60)\n    except BaseException: print('caught')\n"
    )  # fmt: skip
    with children_that(signal.SIG_DFL, number):
        process = small(slow=slow, text=text)
    assert process.stdout.readline() == READY
    process.send_signal(number)
    assert finished(process) == (code, "", f"stopped by {number.name}\n")


BEGINS_NOTHING = """
from experiments.command import program


def main():
    import slow


program.run(main)
"""


def test_a_program_that_does_not_begin_listens_too(small):
    process = small(text=BEGINS_NOTHING, slow=SLEEPS)
    assert process.stdout.readline() == READY
    process.send_signal(signal.SIGTERM)
    assert finished(process) == (143, "", "stopped by SIGTERM\n")


def test_a_program_that_trains_nothing_has_no_presets_in_its_help(small):
    code, out, err = finished(small("--help", text=BEGINS_NOTHING))
    assert (code, err) == (0, "") and "presets:" not in out
    assert out.startswith("usage: python ") and "  --flagfile" in out
    assert "presets:" in finished(small("--help"))[1]


def test_what_was_printed_before_a_signal_is_not_lost(small):
    slow = "import os, time\nprint('buffered')\nos.write(2, b'ready\\n')\ntime.sleep(60)"
    process = small(slow=slow)
    assert process.stderr.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    assert finished(process)[:2] == (143, "buffered\n")


def test_under_nohup_a_hangup_is_not_heard(small):
    with children_that(signal.SIG_IGN, signal.SIGHUP):
        process = small(slow=SLEEPS)
    assert process.stdout.readline() == READY
    process.send_signal(signal.SIGHUP)
    time.sleep(0.2)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert finished(process)[0] == 130


NOTES = """
import os, signal, sys
from experiments.command import interruption
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup it is not our business
interruption.end_at_once()
with interruption.listening() as heard:
    os.kill(os.getpid(), signal.SIGHUP)
    print(heard.signal.name, heard.exit_code, flush=True)
os.kill(os.getpid(), signal.SIGTERM)
print("still here")
"""


def test_a_training_notes_a_hangup_and_after_it_a_signal_ends_the_program_again():
    done = subprocess.run(
        [sys.executable, "-c", NOTES], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (143, "SIGHUP 129\n")
    assert done.stderr == "stopped by SIGTERM\n"


def listens(process: subprocess.Popen) -> bool:
    """Whether our handlers are there: Python by itself catches SIGINT, and not SIGTERM."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    caught = int(re.search(r"^SigCgt:\s*(\w+)", status, re.MULTILINE)[1], 16)
    return bool(caught & 1 << signal.SIGTERM - 1)


def interrupted_after(seconds: float, folder: Path) -> subprocess.Popen:
    arguments = ("--width=0.05", "--num_steps=10000000", "--log_every=10000000")
    process = start("gaussians", *arguments, f"--workdir={folder}", start_new_session=True)
    while not listens(process):
        assert process.poll() is None
        time.sleep(0.01)
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    return process


def check_ctrl_c(seconds: float, folder: Path) -> None:
    code, out, err = finished(interrupted_after(seconds, folder))
    assert code == 130, (seconds, code, out, err)
    told = [line for line in (out + err).split("\n") if "stopped by SIGINT" in line]
    assert len(told) == 1 and "Traceback" not in err
    assert err.count("\n") <= 1, err


needs_proc = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="needs Linux's /proc"
)


@needs_proc
def test_ctrl_c_in_the_first_second_ends_a_training_with_130_and_one_line(tmp_path):
    check_ctrl_c(0.7, tmp_path)


@needs_proc
@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.0, 0.3, 1.5, 2.5, 4.0, 6.0, 9.0])
def test_ctrl_c_in_the_first_seconds_ends_a_training_with_130_and_one_line(tmp_path, seconds):
    check_ctrl_c(seconds, tmp_path)


# Streams


def closed_pipe() -> int:
    reading, writing = os.pipe()
    os.close(reading)
    return writing


PRINTS = SLOW + "for _ in range(10_000): print('a line of output')\n"


@pytest.mark.parametrize("arguments", [("--help",), ()], ids=["help", "output"])
def test_a_reader_that_goes_away_ends_a_program_quietly_with_141(small, arguments):
    text = BEGINS.replace(
        "    print(flags", "    for _ in range(10_000): print('much')\n    print(flags"
    )
    pipe = closed_pipe()
    process = small(*arguments, slow="", text=text, stdout=pipe)
    os.close(pipe)
    assert finished(process) == (141, None, "")


def test_a_reader_of_both_streams_that_goes_away_ends_a_program_with_141_or_1(small):
    for arguments, code in ((("--help",), 141), (("--nonsense",), 1)):
        pipe = closed_pipe()
        process = small(*arguments, stdout=pipe, stderr=pipe)
        os.close(pipe)
        assert finished(process)[0] == code


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_output_that_does_not_fit_on_the_disk_is_told_in_one_line(small):
    code, _, err = finished(small(slow="", shell="> /dev/full"))
    assert code == 1 and err.count("\n") == 1 and "No space left" in err


WRITES_TO_2 = """
import os
file = open("kept.txt", "w")
os.write(2, b"a C++ library's warning")
os.write(1, b"a C++ library's output")
file.write("kept")
file.close()
"""


@pytest.mark.parametrize("shell", ["2>&-", ">&-", "<&- >&- 2>&-"])
def test_closed_streams_do_no_harm_and_no_file_takes_their_place(small, tmp_path, shell):
    code, out, err = finished(small(slow=WRITES_TO_2, shell=shell))
    assert code == 0
    assert (tmp_path / "kept.txt").read_text() == "kept"
    assert err == "" if "2>&-" in shell else err == "a C++ library's warning"
    assert out == "" if ">&- " in f"{shell} " and shell != "2>&-" else "ring 7" in out
    code, out, err = finished(small("--nonsense", shell=shell))
    assert code == 1 and out == "" and "Traceback" not in err


ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def test_a_name_that_the_locale_cannot_spell_is_no_traceback(small):
    slow = "import sys\nprint('caf\\xe9', flush=True)\nprint('\\xe9', file=sys.stderr)\n"
    assert finished(small(slow=slow, env=ASCII)) == (0, "caf\\xe9\nring 7\n", "\\xe9\n")
    text = BEGINS.replace(
        "    print(flags", "    raise program.UserError('caf\\xe9')\n    print(flags"
    )
    code, _, err = finished(small("--workdir=é", slow="", text=text, env=ASCII))
    assert (code, err) == (1, "error: caf\\xe9\n")
