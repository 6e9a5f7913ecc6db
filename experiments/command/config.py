"""One run's flags, frozen: what a run is a function of, besides its data. Imports no JAX."""

import contextlib
import dataclasses
import os

from absl import flags

from experiments.command import vocabulary
from experiments.command.program import UserError

WEIGHED = vocabulary.names("rules", "WEIGHED")
CROSS_ENTROPIES = vocabulary.names("losses", "CROSS_ENTROPIES")
PENALTIES = vocabulary.names("penalties", "PENALTIES")
AUGMENTATIONS = vocabulary.names("augmentations", "AUGMENTATIONS")
SIGNALS = vocabulary.names("adaptive", "SIGNALS")

# Flags that say where things lie or how they are shown; a run may be resumed with others.
INCIDENTAL = (
    "workdir",
    "data_dir",
    "download",
    "data_cache",
    "host_data",
    "tensorboard",
    "compilation_cache",
    "on_divergence",
    "num_devices",
    "coordinator_address",
    "num_processes",
    "process_id",
    "coordinator_timeout",
)

# Flags that say which data there are: all runs of one command share them.
OWN_DATA = (
    *("image_size", "channels", "fit", "background", "image_column", "label_column"),
    *("sample_rate", "duration"),
    *("classes", "label_by", "held_out", "held_out_names", "group_by"),
)


@dataclasses.dataclass(frozen=True)
class _Shared:
    """All of `Config` but the penalties' weights."""

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
    g_hidden: str = ""
    d_hidden: str = ""
    image_layer: str = "conv"
    spectral_norm: bool = False
    optimizer: str = "adam"
    update_weight: float | None = None
    lookahead_steps: int = 5
    image_size: str = ""
    channels: int | None = None
    fit: str = "crop"
    background: str = "white"
    sample_rate: int = 8000
    duration: float = 1.024
    classes: str = ""
    label_by: str = ""
    held_out: float = 0.1
    held_out_names: str = ""
    group_by: str = ""
    data_cache: str = ""
    host_data: str = "auto"
    conditional: bool = False
    augment: str = ""
    features: str = ""
    image_column: str = ""
    label_column: str = ""
    augment_target: float | None = None
    augment_control: str = "gap"
    augment_images: float = 500_000.0
    phase_shuffle: int = 0
    penalty_last: float | None = None


# One run's flags, by name; a penalty of the library has its weight here under its own name, None if it is absent.
Config = dataclasses.make_dataclass(
    "Config",
    [(name, float | None, dataclasses.field(default=None)) for name in PENALTIES],
    bases=(_Shared,),
    frozen=True,
)
LATER = {  # flag -> the value by which a run that is older than the flag was made
    field.name: field.default
    for field in dataclasses.fields(Config)
    if field.default is not dataclasses.MISSING
}


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
    if config.update_weight is not None and config.update not in WEIGHED:
        raise UserError(
            f"--update_weight is of {', '.join(WEIGHED)}; --update={config.update} has none: leave it out"
        )
    if config.phase_shuffle and config.network != "wave":
        raise UserError("--phase_shuffle is of --network=wave: leave it out")
    weight = config.update_weight
    if config.update == "lookahead_minimax" and weight is not None and not 0 < weight <= 1:
        raise UserError(
            f"--update_weight={weight:g}: lookahead_minimax keeps a share of the way, above 0 and at most 1"
        )
    if config.augment_target is not None and not config.augment:
        raise UserError(
            "--augment_target is of --augment: name the augmentations, such as --augment=translation,colour"
        )
    if config.augment_target is None and (config.augment_control, config.augment_images) != (
        "gap",
        500_000,
    ):
        raise UserError(
            "--augment_control and --augment_images are of --augment_target: leave them out"
        )
    if config.lookahead_steps != 5 and config.update != "lookahead_minimax":
        raise UserError("--lookahead_steps is of --update=lookahead_minimax: leave it out")
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


def augmentations(text: str) -> tuple[str, ...]:
    """Read names of augmentations, as in "translation,cutout"; "" is none.

    Raises:
      ValueError: the library has none of a name.
    """
    names = tuple(text.split(",")) if text else ()
    if unknown := [name for name in names if name not in AUGMENTATIONS]:
        raise ValueError(f"{unknown[0]!r} is none: choose from {', '.join(AUGMENTATIONS)}")
    return names


def hidden_widths(text: str) -> tuple[int, ...]:
    """Read widths of hidden layers: "256x128" are two layers, "" none.

    Raises:
      ValueError: the text is no such list, or a width is not in 1..65536.
    """
    widths = tuple(int(part) for part in text.split("x")) if text else ()
    if not all(1 <= width <= 65536 for width in widths):
        raise ValueError(f"a width lies outside 1..65536: {text}")
    return widths
