"""Time the tutorial's convolutions, forward and both gradients, as matrix products and as `lax` convolutions.

    python -m experiments.benchmarks.convolutions [--batch_size=8]

Each layer is timed alone and inside a loop (`lax.scan`, as in training). A second table times our dropout mask
against Flax's. Prints tables and lines of JSON.
"""

from absl import flags

from experiments.command import program

BATCH_SIZE = flags.DEFINE_integer("batch_size", 8, "images of one batch", 1, 10**5)
REPETITIONS = flags.DEFINE_integer("repetitions", 5, "measured rounds", 1, 1000)
LOOP = 4  # passes in one timed call

# name, transposed?, size of the larger side, channels of the larger and of the smaller side, kernel, stride
LAYERS = (
    ("D 1->512 5x5/2", False, 28, 1, 512, 5, 2),
    ("D 512->256 3x3/2", False, 14, 512, 256, 3, 2),
    ("D 256->128 3x3", False, 7, 256, 128, 3, 1),
    ("G 512->256 3x3/2 transposed", True, 14, 256, 512, 3, 2),
    ("G 256->128 4x4/2 transposed", True, 28, 128, 256, 4, 2),
    ("G 128->1 5x5", False, 28, 128, 1, 5, 1),
)


def main() -> int:
    """Time and report."""
    from experiments.benchmarks.timing import interleave, report

    rows = []
    for name, *layer in LAYERS:
        contestants, flops = _layer_contestants(*layer)
        times = interleave(contestants, REPETITIONS.value)
        milliseconds = {key: 1e3 * timing.median / LOOP for key, timing in times.items()}
        rate = flops / milliseconds["matmul, looped"] / 1e6
        rows.append({"layer": name, **milliseconds, "matmul_looped_gflops": rate})
    report(f"convolutions, forward and both gradients, ms, batch {BATCH_SIZE.value}", rows)
    times = interleave(_dropout_contestants(), REPETITIONS.value)
    report("dropout masks, ms", [{name: 1e3 * timing.median for name, timing in times.items()}])
    return 0


def _layer_contestants(
    transposed: bool, size: int, inputs: int, outputs: int, kernel: int, stride: int
):
    import jax

    from gan_jax.convolution import Geometry, convolve, convolve_adjoint

    batch, small = BATCH_SIZE.value, -(-size // stride)
    shape = (batch, small, small, outputs) if transposed else (batch, size, size, inputs)
    x_key, k_key = jax.random.split(jax.random.key(0))
    x = jax.random.normal(x_key, shape)
    k = 0.02 * jax.random.normal(k_key, (kernel, kernel, inputs, outputs))
    function = convolve_adjoint if transposed else convolve

    def gradients(geometry, x, k):
        y, pull_back = jax.vjp(lambda x, k: function(geometry, x, k), x, k)
        return pull_back(y)

    def make(lowering: str, loop: int):
        geometry = Geometry((kernel, kernel), (stride, stride), (size, size), lowering)

        def step(carry, _):
            x, k = carry
            dx, dk = gradients(geometry, x, k)
            return (x + 1e-6 * dx, k + 1e-6 * dk), None

        def run(x, k):
            if loop == 1:
                return step((x, k), None)[0]
            return jax.lax.scan(step, (x, k), length=loop)[0]

        compiled = jax.jit(run)
        return lambda: [jax.block_until_ready(compiled(x, k)) for _ in range(LOOP // loop)]

    flops = 3 * 2 * batch * small**2 * kernel**2 * inputs * outputs
    contestants = {
        f"{lowering}, {'looped' if loop > 1 else 'alone'}": make(lowering, loop)
        for lowering in ("matmul", "lax")
        for loop in (1, LOOP)
    }
    return contestants, flops


def _dropout_contestants():
    import flax.linen as nn
    import jax
    import jax.numpy as jnp

    from gan_jax.layers import Dropout

    x, key = jnp.ones((BATCH_SIZE.value, 14, 14, 512)), jax.random.key(0)
    ours = jax.jit(lambda x: Dropout(0.3).apply({}, x, train=True, rngs={"dropout": key}))
    flax = nn.Dropout(0.3, deterministic=False)
    theirs = jax.jit(lambda x: flax.apply({}, x, rngs={"dropout": key}))
    return {
        "gan_jax": lambda: ours(x).block_until_ready(),
        "flax": lambda: theirs(x).block_until_ready(),
    }


if __name__ == "__main__":
    program.run(main)
