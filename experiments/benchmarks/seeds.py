"""Time many seeds in one call against the same runs one after another, and commands of many runs against one run.

    python -m experiments.benchmarks.seeds [--members=8] [--games=dcgan,mlp]
    python -m experiments.benchmarks.seeds --command=digits --command_steps=300 [--members=8] [--repetitions=3]

The games: a DCGAN at width 1/8 with batch 64, and dense layers 3x128 with batch 256 on points in the plane. In one call
all seeds are vmapped (`run_population`), or few of them at once (`at_once`). All contestants take the same steps of the
same games from compiled scans.

With --command, `experiments.mnist` is run with a preset as a program of its own: one run, and --seeds with as many runs
one after another and side by side, each to the end of its training, in fresh folders and with a filled compilation
cache. Measuring the runs is left out of the time; starting is in it. Prints a table and one line of JSON.
"""

from absl import flags

from experiments.command import program

MEMBERS = flags.DEFINE_integer("members", 8, "seeds", 1, 10**4)
GAMES = flags.DEFINE_list("games", ["dcgan", "mlp"], "which games to time: dcgan, mlp")
REPETITIONS = flags.DEFINE_integer("repetitions", 7, "measured rounds", 1, 1000)
STEPS = flags.DEFINE_integer("steps", 10, "steps of each seed in one timed call", 1, 10**5)

COMMAND = flags.DEFINE_string("command", None, "preset of commands that are timed, not games")
NUM_STEPS = flags.DEFINE_integer("command_steps", 300, "steps of each run of a command", 1, 10**9)
CHOSEN = flags.DEFINE_list(
    "contestants", ["one run", "in turn", "side by side"], "of a command, those that are timed"
)

WIDTHS_AND_BATCHES = {"dcgan": (1 / 8, 64), "mlp": (1.0, 256)}


def main() -> int:
    """Time and report."""
    from experiments.benchmarks.timing import interleave_all, ratio, report, summarize

    if COMMAND.value:
        return _time_commands(COMMAND.value)
    unknown = set(GAMES.value) - set(WIDTHS_AND_BATCHES)
    if unknown:
        raise program.UserError(f"--games: unknown {', '.join(sorted(unknown))}; dcgan or mlp")
    rows = []
    for name in GAMES.value:
        seconds = interleave_all(_contestants(name), REPETITIONS.value)
        for contestant, values in seconds.items():
            share = ratio(values, seconds["in turn"])
            median = summarize(values).median
            rows.append(
                {
                    "game": name,
                    "batch": WIDTHS_AND_BATCHES[name][1],
                    "seeds": contestant,
                    "ms_per_step": 1e3 * median / (STEPS.value * MEMBERS.value),
                    "over_in_turn": share.median,
                    "ratio_25_to_75": f"{share.low:.2f}-{share.high:.2f}",
                }
            )
    report(f"{MEMBERS.value} seeds, ms per step and seed", rows)
    return 0


def _time_commands(preset: str) -> int:
    import tempfile
    from functools import partial

    from experiments.benchmarks.timing import interleave_all, ratio, report, summarize

    many = f"--seeds=0..{MEMBERS.value - 1}"
    contestants = {
        "one run": ("--seeds=0",),
        "in turn": (many, "--processes=1"),
        "side by side": (many,),
    }
    with tempfile.TemporaryDirectory() as folder:
        runs = {
            name: partial(
                _train, preset, contestants[name], folder, 1 if name == "one run" else MEMBERS.value
            )
            for name in CHOSEN.value
        }
        seconds = interleave_all(runs, REPETITIONS.value, warm_up=0)
    rows = []
    for name, values in seconds.items():
        row = {"command": name, "seconds": summarize(values).median}
        if "one run" in seconds:
            share = ratio(values, seconds["one run"])
            row |= {"over_one": share.median, "ratio_25_to_75": f"{share.low:.2f}-{share.high:.2f}"}
        rows.append(row)
    report(f"{MEMBERS.value} runs of {preset}, {NUM_STEPS.value} steps each", rows)
    return 0


def _train(preset: str, arguments: tuple[str, ...], folder: str, num_runs: int) -> None:
    """Run a command until its runs are trained."""
    import shutil
    import subprocess
    import sys
    from pathlib import Path

    workdir = Path(folder, "many")
    shutil.rmtree(workdir, ignore_errors=True)
    words = [f"--flagfile={preset}", f"--num_steps={NUM_STEPS.value}", f"--workdir={workdir}"]
    command = [sys.executable, "-m", "experiments.mnist", *words, "--noreport", *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    left = num_runs
    with subprocess.Popen(command, **pipes) as process:
        for line in process.stdout:
            left -= "finished " in line
            if left <= 0:
                process.kill()
    if left > 0:
        raise program.UserError(f"the command failed: {line}")


def _contestants(name: str):
    from functools import partial

    from experiments.benchmarks import dcgan_game as game

    width, batch = WIDTHS_AND_BATCHES[name]
    gan, data = game.build(name, width), game.draw_data(name)
    one = game.make_runner(gan, data, batch, STEPS.value)
    members = MEMBERS.value
    population = partial(game.make_population_runner, gan, data, batch, STEPS.value, members)
    return {
        "in turn": lambda: [one() for _ in range(members)],
        "all vmapped": population(None),
        "one call, one at a time": population(1),
    }


if __name__ == "__main__":
    program.run(main)
