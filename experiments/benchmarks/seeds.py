"""Time many seeds in one call against the same runs one after another.

    python -m experiments.benchmarks.seeds [--members=8] [--games=dcgan,mlp]

The games: a DCGAN at width 1/8 with batch 64, and dense layers 3x128 with batch 256 on points in the plane. In one call
all seeds are vmapped (`run_population`), or few of them at once (`at_once`). All contestants take the same steps of the
same games from compiled scans. Prints a table and one line of JSON.
"""

from absl import flags

from experiments.command import program

MEMBERS = flags.DEFINE_integer("members", 8, "seeds", 1, 10**4)
GAMES = flags.DEFINE_list("games", ["dcgan", "mlp"], "which games to time: dcgan, mlp")
REPETITIONS = flags.DEFINE_integer("repetitions", 7, "measured rounds", 1, 1000)
STEPS = flags.DEFINE_integer("steps", 10, "steps of each seed in one timed call", 1, 10**5)

WIDTHS_AND_BATCHES = {"dcgan": (1 / 8, 64), "mlp": (1.0, 256)}


def main() -> int:
    """Time and report."""
    from experiments.benchmarks.timing import interleave_all, ratio, report, summarize

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
