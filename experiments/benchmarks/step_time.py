"""Time one training step of the tutorial's networks against the arithmetic floor of the machine.

    python -m experiments.benchmarks.step_time [--batch_sizes=8,64] [--rules=article,alternating,one_stage]

The floor is the time that the step's matrix products would take at the best rate which a large square product of
float32 reaches in the same run. Prints a table and one line of JSON.
"""

from absl import flags

from experiments.command import program

BATCH_SIZES = flags.DEFINE_list("batch_sizes", ["8", "64"], "batch sizes to time")
RULES = flags.DEFINE_list("rules", ["article", "alternating", "one_stage"], "update rules to time")
DTYPE = flags.DEFINE_enum(
    "dtype", "float32", ("float32", "bfloat16"), "type of what layers multiply"
)
REPETITIONS = flags.DEFINE_integer("repetitions", 7, "measured rounds", 1, 1000)
STEPS = flags.DEFINE_integer("images_per_call", 80, "images in one timed call, about", 1, 10**6)


def main() -> int:
    """Time and report."""
    import jax.numpy as jnp

    from experiments.benchmarks import article_game as game
    from experiments.benchmarks.timing import interleave, report

    batches = _batch_sizes()
    unknown = set(RULES.value) - set(game.PASSES)
    if unknown:
        raise program.UserError(
            f"--rules: unknown {', '.join(sorted(unknown))}; there are {', '.join(game.PASSES)}"
        )
    gan = game.build(dtype=jnp.dtype(DTYPE.value))
    rows, peaks = [], [game.gemm_peak()]
    for batch in batches:
        num_steps = max(1, STEPS.value // batch)
        runners = {rule: game.make_runner(gan, rule, batch, num_steps) for rule in RULES.value}
        times = interleave(runners, REPETITIONS.value)
        peaks.append(game.gemm_peak())
        peak = max(peaks)
        for rule, timing in times.items():
            floor = game.flops_per_step(rule, batch) / peak
            median, low, high = (seconds / num_steps for seconds in timing)
            rows.append(
                {
                    "rule": rule,
                    "batch": batch,
                    "ms_per_step": 1e3 * median,
                    "ms_25_to_75": f"{1e3 * low:.1f}-{1e3 * high:.1f}",
                    "gflop": game.flops_per_step(rule, batch) / 1e9,
                    "floor_ms": 1e3 * floor,
                    "over_floor": median / floor,
                    "images_per_second": batch / median,
                }
            )
    report(f"step time, the article's networks, {DTYPE.value}", rows, gemm_gflops=max(peaks) / 1e9)
    return 0


def _batch_sizes() -> list[int]:
    try:
        batches = [int(text) for text in BATCH_SIZES.value]
    except ValueError:
        batches = []
    if not batches or min(batches) < 1:
        raise program.UserError(
            f"--batch_sizes={','.join(BATCH_SIZES.value)} must be positive whole numbers"
        )
    return batches


if __name__ == "__main__":
    program.run(main)
