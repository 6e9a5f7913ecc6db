"""Time how long a program takes to say something: --help, and the first step with an empty and a filled cache.

    python -m experiments.benchmarks.startup [--flagfile=experiments/flags/digits.flags]

The first step has finished when its line stands in metrics.jsonl. Each measurement is a process of its own; cold means
an empty folder of compiled programs (Python's and the operating system's caches are warm). Prints a table and one line
of JSON.
"""

from absl import flags

from experiments.command import config as configs
from experiments.command import program, shared_flags

shared_flags.define_flags()
REPETITIONS = flags.DEFINE_integer("repetitions", 3, "measured rounds", 1, 1000)


def main() -> int:
    """Time and report."""
    import tempfile
    from pathlib import Path

    from experiments.benchmarks.timing import report, summarize

    config = configs.from_flags()
    seconds: dict[str, list[float]] = {"--help": [], "first step, cold": [], "first step, warm": []}
    _help()  # fills the caches of the operating system
    for _ in range(REPETITIONS.value):
        with tempfile.TemporaryDirectory() as folder:
            seconds["--help"].append(_help())
            for name in ("first step, cold", "first step, warm"):
                seconds[name].append(_first_step(config, Path(folder), name))
    rows = []
    for name, values in seconds.items():
        median, low, high = summarize(values)
        rows.append({"what": name, "seconds": median, "25_to_75": f"{low:.2f}-{high:.2f}"})
    report(f"start-up of experiments.mnist, {config.dataset}", rows)
    return 0


def _help() -> float:
    import subprocess
    import sys
    import time

    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "experiments.mnist", "--help"], check=True, capture_output=True
    )
    return time.perf_counter() - started


def _first_step(config: configs.Config, folder, name: str) -> float:
    import dataclasses
    import subprocess
    import sys
    import time

    workdir, flagfile = folder / name, folder / "flagfile.txt"
    every_step = dict.fromkeys(("num_steps", "steps_per_call", "log_every"), 1)
    places = {"workdir": str(workdir), "compilation_cache": str(folder / "cache")}
    config = dataclasses.replace(config, **every_step, **places)
    flagfile.write_text(configs.to_flagfile(config), encoding="utf-8")
    log = workdir / "metrics.jsonl"
    started = time.perf_counter()
    command = [sys.executable, "-m", "experiments.mnist", f"--flagfile={flagfile}"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        while not (log.exists() and log.stat().st_size):
            if process.poll():
                raise program.UserError(f"the run failed: {process.stderr.read()[-500:]!r}")
            time.sleep(0.005)
        seconds = time.perf_counter() - started
        process.wait()
    return seconds


if __name__ == "__main__":
    program.run(main)
