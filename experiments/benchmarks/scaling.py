"""Time a DCGAN's step against batch size, width, image size and size of the data set, one at a time.

    python -m experiments.benchmarks.scaling [--axes=batch,width,size,images]

The middle of every axis is a width of 1/4, batch 64, 32x32 pixels and 1,000 images. Prints a table and one line of
JSON.
"""

from absl import flags

from experiments.command import program

REPETITIONS = flags.DEFINE_integer("repetitions", 5, "measured rounds", 1, 1000)
STEPS = flags.DEFINE_integer("steps", 3, "steps in one timed call", 1, 10**5)

MIDDLE = {"batch": 64, "width": 1 / 4, "size": 32, "images": 1000}
VALUES = {
    "batch": (8, 64, 256),
    "width": (1 / 8, 1 / 4, 1 / 2),
    "size": (16, 32, 64),
    "images": (1000, 60_000),
}
AXES = flags.DEFINE_list("axes", list(VALUES), f"what to vary: {', '.join(VALUES)}")


def main() -> int:
    """Time and report."""
    from experiments.benchmarks.timing import interleave, report

    unknown = set(AXES.value) - set(VALUES)
    if unknown:
        raise program.UserError(
            f"--axes: unknown {', '.join(sorted(unknown))}; there are {', '.join(VALUES)}"
        )
    rows = []
    for axis in AXES.value:
        times = interleave(
            {v: _runner({**MIDDLE, axis: v}) for v in VALUES[axis]}, REPETITIONS.value
        )
        for value, timing in times.items():
            batch = {**MIDDLE, axis: value}["batch"]
            median, low, high = (1e3 * seconds / STEPS.value for seconds in timing)
            rows.append(
                {
                    "axis": axis,
                    "value": value,
                    "ms_per_step": median,
                    "ms_25_to_75": f"{low:.1f}-{high:.1f}",
                    "ms_per_image": median / batch,
                }
            )
    report("cost of a step, DCGAN, alternating updates, float32", rows)
    return 0


def _runner(setting: dict):
    from experiments.benchmarks import dcgan_game as game

    gan = game.build("dcgan", setting["width"], setting["size"])
    data = game.draw_data("dcgan", setting["size"], setting["images"])
    return game.make_runner(gan, data, setting["batch"], STEPS.value)


if __name__ == "__main__":
    program.run(main)
