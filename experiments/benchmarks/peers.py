"""Time the tutorial's step against PyTorch, Keras and plain Flax: same networks, batch, loss and updates.

    python -m experiments.benchmarks.peers [--batch_size=8] [--only=gan_jax,torch]

PyTorch and Keras take part where they are installed (pip install 'gan_jax[peers]'). Numbers of trainable weights are
compared before anything is timed. All contestants run in turn in one process; each row has the ratio of our time to it.
"""

from absl import flags

from experiments.command import program

BATCH_SIZE = flags.DEFINE_integer("batch_size", 8, "images of one batch", 1, 10**5)
REPETITIONS = flags.DEFINE_integer("repetitions", 7, "measured rounds", 1, 1000)
STEPS = flags.DEFINE_integer("steps", 5, "steps in one timed call", 1, 10**5)
ONLY = flags.DEFINE_list("only", [], "time only contestants whose name begins with one of these")

WEIGHTS = (4_242_304, 1_494_529)


def main() -> int:
    """Time and report."""
    from experiments.benchmarks.timing import interleave, report

    runners = {name: run for name, run in _contestants() if _wanted(name)}
    if not runners:
        raise program.UserError(f"--only={','.join(ONLY.value)} leaves nothing to time")
    times = interleave(runners, REPETITIONS.value)
    first = next(iter(times.values())).median
    rows = [
        {
            "contestant": name,
            "ms_per_step": 1e3 * timing.median / STEPS.value,
            "ms_25_to_75": f"{1e3 * timing.low / STEPS.value:.1f}-{1e3 * timing.high / STEPS.value:.1f}",
            "gan_jax_over_this": first / timing.median,
        }
        for name, timing in times.items()
    ]
    report(f"the tutorial's step at batch {BATCH_SIZE.value}, float32 unless stated", rows)
    return 0


def _wanted(name: str) -> bool:
    return not ONLY.value or name.startswith(tuple(ONLY.value))


def _contestants():
    from experiments.benchmarks import article_game, plain_flax

    batch, steps = BATCH_SIZE.value, STEPS.value
    gan = article_game.build()
    yield "gan_jax article", article_game.make_runner(gan, "article", batch, steps)
    yield "gan_jax one_stage", article_game.make_runner(gan, "one_stage", batch, steps)
    if _wanted("gan_jax bfloat16"):
        mixed = article_game.build(dtype="bfloat16")
        for rule in ("article", "one_stage"):
            yield f"gan_jax bfloat16, {rule}", article_game.make_runner(mixed, rule, batch, steps)
    if _wanted("plain flax"):
        plain = plain_flax.build()
        single = article_game.make_runner(plain, "article", batch, 1)
        yield "plain flax, jitted steps", lambda: [single() for _ in range(steps)]
    yield from _torch(batch, steps)
    yield from _keras(batch, steps)


def _torch(batch: int, steps: int):
    variants = {
        "torch eager": {},
        "torch eager, channels last": {"channels_last": True},
        "torch compiled": {"compiled": True},
        "torch compiled, CUDA graphs": {"graphs": True},
        "torch bfloat16, channels last": {"bfloat16": True, "channels_last": True},
    }
    wanted = {name: options for name, options in variants.items() if _wanted(name)}
    try:
        from experiments.benchmarks import peer_torch
    except ImportError:
        print("PyTorch is not installed: left out")
        return
    if peer_torch.DEVICE == "cpu":
        wanted = {name: options for name, options in wanted.items() if "graphs" not in options}
    for name, options in wanted.items():
        run, sizes = peer_torch.make_runner(batch, steps, **options)
        _check_weights(name, sizes)
        yield name, run


def _keras(batch: int, steps: int):
    if not _wanted("keras"):
        return
    try:
        from experiments.benchmarks import peer_keras
    except ImportError:
        print("Keras or TensorFlow is not installed: left out")
        return
    run, sizes = peer_keras.make_runner(batch, steps)
    _check_weights("keras", sizes)
    yield "keras", run


def _check_weights(name: str, sizes: tuple[int, int]) -> None:
    if tuple(sizes) != WEIGHTS:
        raise program.UserError(
            f"{name} has {sizes} trainable weights, not {WEIGHTS}: not the same networks"
        )


if __name__ == "__main__":
    program.run(main)
