"""Compile the real train step for TPUs without having one, and print what the compiler says of it.

    python -m experiments.tpu_check --flagfile=experiments/flags/mnist_tpu.flags
    python -m experiments.tpu_check --flagfile=experiments/flags/mnist_tpu.flags --topology=v5e:2x2 --lowering=both

Needs libtpu (`pip install 'gan_jax[tpu]'`) and no TPU: its compiler runs on any Linux machine, two minutes or more for
a topology. All training flags apply. Prints the memory of a chip, FLOPs, bytes, the compiler's estimate of a step's
time (which leaves the collectives out) and the collectives, then one line of JSON; exit code 1 if the program does not
fit into a chip. docs/scaling.md reads the figures.
"""

import os

from absl import flags

from experiments.command import config as configs
from experiments.command import program, shared_flags

TOPOLOGY = flags.DEFINE_list(
    "topology", ["v5e:2x2", "v5e:16x16", "v6e:16x16"],
    "chips to compile for, by generation and layout, several parted by commas; also v4:2x2x1, v5p:2x2x1, ...",
)  # fmt: skip
LOWERING = flags.DEFINE_enum(
    "lowering", "auto", ("auto", "lax", "matmul", "both"),
    "how convolutions are computed: auto as in a run; both compares lax with matmul",
)  # fmt: skip

ENVIRONMENT = {  # before JAX is imported: look for no TPU and no metadata server, and keep quiet about it
    "JAX_PLATFORMS": "cpu",
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_LOG_DIR": "disabled",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",  # compiling claims no chip, so several processes may
}

if __name__ == "__main__":  # --help and wrong flags answer before the slow imports below
    program.begin(shared_flags.define_flags)
    os.environ.update(ENVIRONMENT)

import importlib.util
import json

from experiments.command import precision
from experiments.training import ahead_of_time


def main() -> int:
    """Compile for each topology and report."""
    if importlib.util.find_spec("libtpu") is None:
        raise program.UserError("libtpu is not installed: pip install 'gan_jax[tpu]'")
    if not TOPOLOGY.value:
        raise program.UserError("--topology is empty: name one, such as v5e:2x2")
    config, _ = precision.settle(configs.from_flags(), platform="tpu")
    if config.num_devices is not None:
        raise program.UserError(
            "--num_devices: a topology is compiled for whole; name a smaller --topology"
        )
    slices = [ahead_of_time.find_slice(name, config.batch_size) for name in TOPOLOGY.value]
    lowerings = ("lax", "matmul") if LOWERING.value == "both" else (LOWERING.value,)
    print(_opening(config), flush=True)
    rows = []
    for where in slices:
        for lowering in lowerings:
            report = ahead_of_time.compile_chunk(config, where, lowering)
            rows.append({**_facts(config, where, lowering), **_figures(config, where.chip, report)})
            print(describe(rows[-1]), flush=True)
    print(json.dumps({"title": "tpu_check", "versions": _versions(), "rows": rows}))
    return 0


def _opening(config: configs.Config) -> str:
    game = f"{config.network} at width {config.width:g}, {config.loss}, {config.update}, {config.dtype}"
    versions = ", ".join(f"{name} {version}" for name, version in _versions().items())
    return f"{config.dataset}: {game}; {versions}"


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("jax", "jaxlib", "libtpu")}


def _facts(config: configs.Config, where, lowering: str) -> dict:
    devices = where.mesh.devices
    return {
        "topology": where.name,
        "kind": devices[0].device_kind,
        "chips": devices.size,
        "processes": len({device.process_index for device in devices}),
        "batch": config.batch_size,
        "lowering": lowering,
        "chip_memory": 1e9 * where.chip.memory,
    }


def _figures(config: configs.Config, chip, report) -> dict:
    seconds, flops, accessed = report.seconds, report.flops, report.bytes_accessed
    return {
        **report._asdict(),
        "total_memory": report.total_memory,
        "seconds_per_image": None if seconds is None else seconds / config.batch_size,
        "flop_seconds": None if flops is None else flops / (1e12 * chip.peak),
        "byte_seconds": None if accessed is None else accessed / (1e9 * chip.bandwidth),
    }


def describe(row: dict) -> str:
    """Put one row into words, units with every figure."""
    share = row["total_memory"] / row["chip_memory"]
    uses = ", ".join(f"{use} {size / 1e6:.1f}" for use, size in row["memory"].items())
    operations = ", ".join(f"{count} {kind}" for kind, count in row["operations"].items())
    collectives = ", ".join(
        f"{count} {kind} ({size / 1e6:.3g} MB)"
        for kind, (count, size) in row["collectives"].items()
    )
    lines = [
        f"{row['topology']}: {row['chips']} chips of kind {row['kind']}, processes: {row['processes']}, "
        f"batch {row['batch']}, {row['batch'] // row['chips']} on a chip",
        f"  convolutions  lowering {row['lowering']}: {operations}",
        f"  memory        {row['total_memory'] / 1e6:.1f} MB of a chip's {row['chip_memory'] / 1e9:g} GB "
        f"({share:.1%}): {uses}",
        f"  work          {_scaled(row['flops'], 1e9, 'GFLOP')}, {_scaled(row['bytes_accessed'], 1e6, 'MB')} "
        "accessed, a step on a chip; "
        f"at its published peaks {_scaled(row['flop_seconds'], 1e-3, 'ms')} and "
        f"{_scaled(row['byte_seconds'], 1e-3, 'ms')}",
        f"  estimate      {_scaled(row['seconds'], 1e-3, 'ms')} a step without collectives, "
        f"{_scaled(row['seconds_per_image'], 1e-6, 'us')} for each of the batch's images",
        f"  collectives   {collectives or 'none'}, a step",
        f"  compiled in   {row['compile_seconds']:.0f} s",
    ]
    return "\n".join(lines)


def _scaled(figure: float | None, unit: float, name: str) -> str:
    return f"({name} unavailable)" if figure is None else f"{figure / unit:.4g} {name}"


if __name__ == "__main__":
    program.run(main)
