"""The flags that all training experiments share, and the frozen `Config` they become. Imports no JAX."""

import contextlib
import dataclasses
import math
import os

from absl import flags

from experiments.command.program import UserError

LOSSES = ("non_saturating", "minimax", "least_squares", "hinge", "wasserstein", "relativistic")
CROSS_ENTROPIES = ("non_saturating", "minimax")
UPDATES = ("alternating", "article", "one_stage")
NETWORKS = ("article", "dcgan", "mlp", "unrolled")
SCHEDULES = ("constant", "linear", "cosine")
DTYPES = ("float32", "bfloat16")

# Flags that say where things lie or how they are shown; a run may be resumed with others.
INCIDENTAL = (
    "workdir",
    "data_dir",
    "download",
    "tensorboard",
    "compilation_cache",
    "on_divergence",
    "num_devices",
    "coordinator_address",
    "num_processes",
    "process_id",
    "coordinator_timeout",
)


@dataclasses.dataclass(frozen=True)
class Config:
    """One run's flags, by name."""

    dataset: str
    data_dir: str
    download: bool
    workdir: str
    seed: int
    num_steps: int
    batch_size: int
    latent_dim: int
    network: str
    width: float
    d_width: float | None
    dtype: str
    loss: str
    real_label: float
    fake_label: float
    r1_gamma: float | None
    r2_gamma: float | None
    gp_weight: float | None
    dragan_weight: float | None
    update: str
    n_dis: int
    g_lr: float
    d_lr: float
    lr_schedule: str
    b1: float
    b2: float
    adam_eps: float
    ema_half_life_images: float | None
    steps_per_call: int
    log_every: int
    sample_every: int
    checkpoint_every: int
    eval_every: int | None
    eval_samples: int
    tensorboard: bool
    compilation_cache: str
    on_divergence: str
    num_devices: int | None
    coordinator_address: str
    num_processes: int
    process_id: int
    coordinator_timeout: int
    # Runs that are older than these flags lack them.
    bias_std: float = 0.0
    g_warmup_steps: int = 0


def from_flags(values: flags.FlagValues = flags.FLAGS) -> Config:
    """Freeze the parsed flags.

    Raises:
      UserError: flags that exclude one another.
      OSError: --workdir cannot be looked at.
    """
    config = Config(
        **{field.name: values[field.name].value for field in dataclasses.fields(Config)}
    )
    smoothed = (config.real_label, config.fake_label) != (1.0, 0.0)
    if smoothed and config.loss not in CROSS_ENTROPIES:
        raise UserError(
            f"--real_label and --fake_label smooth a cross-entropy; --loss={config.loss} has none: "
            f"leave them at 1 and 0, or take one of {', '.join(CROSS_ENTROPIES)}"
        )
    if config.workdir:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            os.stat(os.path.expanduser(config.workdir))  # raises for links that lead in a circle
    return config


def to_flagfile(config: Config) -> str:
    """Write the flags so that `--flagfile` replays the run; None is left out."""
    lines = []
    for name, value in dataclasses.asdict(config).items():
        if isinstance(value, bool):
            lines.append(f"--{name}" if value else f"--no{name}")
        elif value is not None:
            lines.append(f"--{name}={value}")
    return "\n".join(lines) + "\n"


def differing_flags(config: Config, saved: dict) -> list[str]:
    """Name the flags in which a saved configuration differs, with both values; incidental flags may differ."""
    now, saved = dataclasses.asdict(config), {"bias_std": 0.0, "g_warmup_steps": 0, **saved}
    return [
        f"--{name} (there {saved.get(name)}, here {now.get(name)})"
        for name in sorted({*now, *saved} - set(INCIDENTAL))
        if saved.get(name) != now.get(name)
    ]


def set_defaults(**values: object) -> None:
    """Give shared flags an experiment's own defaults."""
    for name, value in values.items():
        flags.FLAGS.set_default(name, value)


def _float(name: str, default: float | None, help_: str, low: float = 0.0, high: float = math.inf):
    flags.DEFINE_float(name, default, help_)

    def check(value: float | None) -> bool:
        if value is None or (math.isfinite(value) and low <= value <= high):
            return True
        upper = "" if high == math.inf else f" and at most {high:g}"
        raise flags.ValidationError(f"must be finite, at least {low:g}{upper}")

    flags.register_validator(name, check)


def _define_data() -> None:
    flags.DEFINE_string(
        "dataset", "digits", "digits (built in), mnist, fashion_mnist, or another set in --data_dir; "
        "for experiments.gaussians: ring, grid, swiss_roll, moons"
    )  # fmt: skip
    flags.DEFINE_string(
        "data_dir", os.environ.get("GAN_JAX_DATA", "data"),
        "folder with the IDX files, or with a folder named after the data set that holds them; "
        "the default is $GAN_JAX_DATA if that is set",
    )  # fmt: skip
    flags.DEFINE_bool("download", False, "download the data set if it is not in --data_dir")
    flags.DEFINE_string(
        "workdir", None, "run folder, made if missing; the same command continues an interrupted run "
        "(default: runs/<experiment>-<dataset>-<seed>)"
    )  # fmt: skip
    flags.DEFINE_integer("seed", 0, "seed of everything random", 0, 2**32 - 1)


def _define_networks() -> None:
    flags.DEFINE_enum("network", "dcgan", NETWORKS, "the two players; gan_jax/models has them")
    _float("width", 1.0, "factor on the networks' hidden channels", low=1e-3, high=64.0)
    _float("d_width", None, "the same for D alone; unset: as --width", low=1e-3, high=64.0)
    _float("bias_std", 0.0, "standard deviation of the mlp's hidden biases at first", high=100.0)
    flags.DEFINE_integer("latent_dim", 100, "latent variables of one sample", 1, 2**20)
    flags.DEFINE_enum("dtype", "float32", DTYPES, "type of the computation; weights stay float32")


def _define_game() -> None:
    flags.DEFINE_enum("loss", "non_saturating", LOSSES, "what the players minimise")
    _float("real_label", 1.0, "D's target for real samples (cross-entropies)", high=1.0)
    _float("fake_label", 0.0, "D's target for generated samples (cross-entropies)", high=1.0)
    _float("r1_gamma", None, "weight of gamma/2 |grad D|^2 on real samples; unset: no penalty")
    _float("r2_gamma", None, "weight of gamma/2 |grad D|^2 on generated samples; unset: no penalty")
    _float("gp_weight", None, "weight of the WGAN-GP penalty; unset: no penalty")
    _float("dragan_weight", None, "weight of the DRAGAN penalty; unset: no penalty")
    flags.DEFINE_enum("update", "alternating", UPDATES, "how the players take turns")
    flags.DEFINE_integer("n_dis", 1, "D's steps for each step of G", 1, 1000)


def _define_optimizers() -> None:
    flags.DEFINE_integer("num_steps", 10_000, "length of the training, steps of G", 1, 2**31 - 1)
    flags.DEFINE_integer("batch_size", 64, "real samples in one of D's steps", 1, 2**20)
    _float("g_lr", 2e-4, "G's learning rate (Adam)", high=10.0)
    _float("d_lr", 2e-4, "D's learning rate (Adam)", high=10.0)
    flags.DEFINE_enum("lr_schedule", "constant", SCHEDULES, "linear and cosine end at 0 at the end")
    flags.DEFINE_integer("g_warmup_steps", 0, "steps in which G's rate rises from 0", 0, 2**31 - 1)
    _float("b1", 0.5, "Adam's decay of the mean gradient, per step", high=0.999999)
    _float("b2", 0.99, "Adam's decay of the mean squared gradient, per step", high=0.999999999)
    _float("adam_eps", 1e-8, "Adam's epsilon", low=1e-30, high=1.0)
    _float(
        "ema_half_life_images", None,
        "half-life of the moving average of G's weights, counted in real samples shown; unset: none",
        low=1e-3,
    )  # fmt: skip


def _define_running() -> None:
    flags.DEFINE_integer("steps_per_call", 50, "steps in one compiled call", 1, 10**6)
    flags.DEFINE_integer("log_every", 100, "steps between lines of metrics.jsonl", 1, 2**31 - 1)
    flags.DEFINE_integer("sample_every", 1000, "steps between sample pictures", 1, 2**31 - 1)
    flags.DEFINE_integer("checkpoint_every", 1000, "steps between checkpoints", 1, 2**31 - 1)
    flags.DEFINE_integer(
        "eval_every", None, "steps between measurements, each with a checkpoint; the best is kept: the "
        "Frechet distance of 28x28 images, KL + 1 - high-quality share of mixtures, KL of stacked digits; unset: none",
        1, 2**31 - 1,
    )  # fmt: skip
    flags.DEFINE_integer("eval_samples", 5000, "samples of one such measurement", 100, 10**6)
    flags.DEFINE_enum(
        "on_divergence", "stop", ("stop", "rollback"), "what to do when a number is no longer finite: stop, or "
        "return to the last checkpoint with fresh random numbers, at most 3 times"
    )  # fmt: skip
    flags.DEFINE_bool(
        "tensorboard", False, "also write TensorBoard events (needs the extra `tensorboard`)"
    )
    flags.DEFINE_string(
        "compilation_cache", os.path.join(os.path.expanduser("~"), ".cache", "gan_jax", "xla"),
        "folder that keeps compiled programs between runs; empty: none",
    )  # fmt: skip


def _define_devices() -> None:
    flags.DEFINE_integer("num_devices", None, "devices that share a batch; unset: all there are", 1)
    flags.DEFINE_string(
        "coordinator_address", "", "host:port of process 0, for runs of several processes"
    )
    flags.DEFINE_integer("num_processes", 1, "processes of the run", 1, 2**16)
    flags.DEFINE_integer("process_id", 0, "which of them this is, from 0", 0, 2**16)
    flags.DEFINE_integer(
        "coordinator_timeout", 60, "seconds to wait for the other processes at the start, and later until one that "
        "gives no sign of life counts as dead", 5, 86_400,
    )  # fmt: skip


def define_flags() -> None:
    """Define every shared flag, once. An experiment calls this where it would define its own."""
    if "num_steps" in flags.FLAGS:
        return
    _define_data()
    _define_networks()
    _define_game()
    _define_optimizers()
    _define_running()
    _define_devices()
