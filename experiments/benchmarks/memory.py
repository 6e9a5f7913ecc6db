"""Measure what a large folder of pictures costs: peak memory, and the pace with data on the host and on the device.

    python -m experiments.benchmarks.memory --num_pictures=20000 --folder=/scratch/pictures

Draws pictures of coloured noise where --folder has none yet (200,000 of 64x64 take some minutes), then trains on them
by experiments.images, each time in a process of its own: once to decode them all, and then by turns with
--host_data=yes and no, from the decoded array. Peak memory is the largest resident set of each process as the kernel
counted it; mapped pages of the decoded array that were still in memory are in it. The pace is the median of the logged
images a second, after the first line. Prints a table and one line of JSON.
"""

import json
import statistics
from pathlib import Path

from absl import flags

from experiments.command import program

NUM_PICTURES = flags.DEFINE_integer("num_pictures", 20_000, "pictures in the folder", 20, 10**7)
SIZE = flags.DEFINE_integer("size", 64, "height and width, pixels", 8, 1024)
FOLDER = flags.DEFINE_string("folder", None, "where they lie, or are drawn; unset: a temporary one")
STEPS = flags.DEFINE_integer("steps", 400, "training steps of each process", 20, 10**6)
ROUNDS = flags.DEFINE_integer("rounds", 1, "processes of each kind", 1, 100)
RECIPE = flags.DEFINE_list("recipe", [], "further flags of experiments.images, as in --width=1")


def main() -> int:
    """Draw, train, report."""
    import tempfile

    from experiments.benchmarks.timing import report

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(FOLDER.value or scratch).expanduser()
        pictures = folder / f"{NUM_PICTURES.value}_of_{SIZE.value}"
        draw(pictures, NUM_PICTURES.value, SIZE.value)
        rows = [{"what": "decoding, 20 steps", **_train(pictures, folder, scratch, "yes", 20)}]
        for _ in range(ROUNDS.value):
            for where in ("yes", "no"):
                found = _train(pictures, folder, scratch, where, STEPS.value)
                rows.append({"what": f"--host_data={where}", **found})
    report(f"{NUM_PICTURES.value:,} pictures of {SIZE.value}x{SIZE.value} in colour", rows)
    pace = {
        w: [r["images_per_s"] for r in rows[1:] if r["what"].endswith(w)] for w in ("yes", "no")
    }
    share = statistics.median(pace["yes"]) / statistics.median(pace["no"])
    print(f"with data on the host it runs at {share:.1%} of the pace with data on the device")
    return 0


def draw(folder: Path, num: int, size: int) -> None:
    """Write so many PNG files of smooth coloured noise, no two alike; those that are there are kept."""
    import numpy as np
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    there = {file.name for file in folder.iterdir()}
    for number in range(num):
        name = f"{number:07d}.png"
        if name not in there:
            coarse = np.random.default_rng(number).integers(0, 256, (8, 8, 3), np.uint8)
            picture = Image.fromarray(coarse).resize((size, size), Image.Resampling.BILINEAR)
            picture.save(folder / name, compress_level=1)


def _train(pictures: Path, folder: Path, scratch: str, where: str, steps: int) -> dict[str, float]:
    """Train in a process of its own; give its peak memory, its pace and its seconds."""
    import os
    import subprocess
    import sys
    import tempfile
    import time

    workdir = tempfile.mkdtemp(dir=scratch)
    given = {"data_dir": pictures, "data_cache": folder / "cache", "image_size": SIZE.value}
    given |= {"host_data": where, "num_steps": steps, "workdir": f"{workdir}/run"}
    given |= {"log_every": max(10, steps // 10), "sample_every": 10**9, "checkpoint_every": 10**9}
    line = [sys.executable, "-m", "experiments.images", "--noreport", *RECIPE.value]
    line += [f"--{name}={value}" for name, value in given.items()]
    started = time.monotonic()
    with open(f"{workdir}/out", "w") as out:
        child = subprocess.Popen(line, stdout=out, stderr=out)
        _, status, usage = os.wait4(child.pid, 0)
    seconds = time.monotonic() - started
    if status:
        raise program.UserError(f"a process failed: {Path(workdir, 'out').read_text()[-500:]}")
    return {
        "peak_MB": round(usage.ru_maxrss / 1024),
        "images_per_s": pace(Path(workdir, "run")),
        "seconds": round(seconds),
    }


def pace(run: Path) -> float:
    """Give the median of a run's logged images a second; its first line holds what it took to begin."""
    lines = (run / "metrics.jsonl").read_text().splitlines()
    logged = [json.loads(line)["images_per_second"] for line in lines]
    return statistics.median(logged[1:] or logged)


if __name__ == "__main__":
    program.run(main)
