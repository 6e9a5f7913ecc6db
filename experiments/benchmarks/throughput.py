"""Time whole runs through the driver against the bare compiled steps of the same game: what the driver costs.

    python -m experiments.benchmarks.throughput [--flagfile=experiments/flags/digits.flags] [--short=500 --long=2500]

`experiments.mnist` runs as a program of its own, to `--short` and to `--long` steps, each in a fresh folder and with a
filled compilation cache. The difference of their wall clock times is what the steps between cost, with log lines,
sample pictures and checkpoints; starting and ending cancel. The bare contestant takes the same steps of the same game
on the same data, in the same chunks, and does nothing else. Prints a table and one line of JSON.
"""

from absl import flags

from experiments.command import config as configs
from experiments.command import program, shared_flags

shared_flags.define_flags()
SHORT = flags.DEFINE_integer("short", 500, "steps of the run that is subtracted", 1, 10**6)
LONG = flags.DEFINE_integer("long", 2500, "steps of the run that it is subtracted from", 2, 10**7)
REPETITIONS = flags.DEFINE_integer("repetitions", 3, "measured rounds", 1, 1000)


def main() -> int:
    """Time and report."""
    import tempfile

    from experiments.benchmarks.timing import interleave_all, report, summarize
    from experiments.command import precision

    config, _ = precision.settle(configs.from_flags())
    if SHORT.value >= LONG.value:
        raise program.UserError(f"--short={SHORT.value} must be below --long={LONG.value}")
    steps = LONG.value - SHORT.value
    with tempfile.TemporaryDirectory() as folder:
        contestants = {
            "short": lambda: _run(config, SHORT.value, folder),
            "long": lambda: _run(config, LONG.value, folder),
            "bare": _bare(config, steps),
        }
        seconds = interleave_all(contestants, REPETITIONS.value)
    rounds = zip(seconds["short"], seconds["long"], strict=True)
    through = summarize([long - short for short, long in rounds])
    bare = summarize(seconds["bare"])
    rows = [
        {
            "contestant": name,
            "ms_per_step": 1e3 * timing.median / steps,
            "ms_25_to_75": f"{1e3 * timing.low / steps:.2f}-{1e3 * timing.high / steps:.2f}",
            "images_per_second": steps * config.batch_size / timing.median,
        }
        for name, timing in (("driver", through), ("bare steps", bare))
    ]
    share = 100 * (through.median / bare.median - 1)
    start_and_end = summarize(seconds["short"]).median - bare.median / steps * SHORT.value
    facts = {"driver_percent": share, "start_and_end_seconds": start_and_end}
    report(f"{steps} steps of {config.dataset}, the driver costs {share:.1f} %", rows, **facts)
    return 0


def _run(config: configs.Config, num_steps: int, folder: str) -> None:
    import dataclasses
    import shutil
    import subprocess
    import sys
    from pathlib import Path

    workdir = Path(folder, "run")
    shutil.rmtree(workdir, ignore_errors=True)
    config = dataclasses.replace(config, num_steps=num_steps, workdir=str(workdir))
    flagfile = Path(folder, "flagfile.txt")
    flagfile.write_text(configs.to_flagfile(config), encoding="utf-8")
    command = [sys.executable, "-m", "experiments.mnist", f"--flagfile={flagfile}"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise program.UserError(f"the run failed: {done.stderr.strip()[-500:]}")


def _bare(config: configs.Config, steps: int):
    from functools import partial

    import jax
    import jax.numpy as jnp

    from experiments.command import game
    from gan_jax import data as sources
    from gan_jax.sampling import sample_real
    from gan_jax.steps import init_state, make_chunk
    from gan_jax.types import Batch

    dataset = sources.load(config.dataset, split="train", data_dir=config.data_dir)
    data, key = Batch(jnp.asarray(dataset.images)), jax.random.key(config.seed)
    shape = data.images.shape[1:]
    gan, rule = game.build_gan(config, shape), game.choose_rule(config)
    sizes = {"batch_size": config.batch_size, "num_steps": config.steps_per_call}
    chunk = make_chunk(gan, rule, sample_real, **sizes)
    init = jax.jit(partial(init_state, gan))
    held = {"state": init(key, Batch(jnp.zeros((config.batch_size, *shape))))}

    def run() -> None:
        for _ in range(steps // config.steps_per_call):
            held["state"], metrics = chunk(held["state"], data, key)
        jax.block_until_ready((held["state"], metrics))

    return run


if __name__ == "__main__":
    program.run(main)
