"""The flags that all training programs share. Imports no JAX."""

import math
import os

from absl import flags

from experiments.command import own_data, usage, vocabulary
from experiments.command.config import AUGMENTATIONS, SIGNALS, augmentations, hidden_widths

LOSSES = vocabulary.names("losses", "LOSSES")
UPDATES = vocabulary.names("rules", "RULES")
OPTIMIZERS = vocabulary.names("optimizers", "OPTIMIZERS")
NETWORKS = vocabulary.names("models", "NETWORKS")
IMAGE_LAYERS = vocabulary.names("models/dcgan", "IMAGE_LAYERS")
SCHEDULES = ("constant", "linear", "cosine")
DTYPES = ("float32", "bfloat16", "auto")


def _float(name: str, default: float | None, help_: str, low: float = 0.0, high: float = math.inf):
    flags.DEFINE_float(name, default, help_)

    def check(value: float | None) -> bool:
        if value is None or (math.isfinite(value) and low <= value <= high):
            return True
        upper = "" if high == math.inf else f" and at most {high:g}"
        raise flags.ValidationError(f"must be finite, at least {low:g}{upper}")

    flags.register_validator(name, check)


def _are_augmentations(value: str) -> bool:
    try:
        augmentations(value)
    except ValueError as error:
        raise flags.ValidationError(str(error)) from error
    return True


def _hidden(name: str, player: str) -> None:
    flags.DEFINE_string(
        name, "", f"widths of {player}'s hidden dense layers, as in 256x256: the dcgan's between its smallest maps and "
        "latents or logit, all of the mlp's; empty: none, and the mlp's own"
    )  # fmt: skip

    def check(value: str) -> bool:
        try:
            hidden_widths(value)
        except ValueError as error:
            raise flags.ValidationError("must be widths such as 256 or 256x128") from error
        return True

    flags.register_validator(name, check)


def _define_data() -> None:
    flags.DEFINE_string(
        "dataset", "digits", "digits (built in), mnist, fashion_mnist, or another set in --data_dir; "
        "for experiments.gaussians: ring, grid, swiss_roll, moons; for experiments.images a name of your choice"
    )  # fmt: skip
    flags.DEFINE_string(
        "data_dir", os.environ.get("GAN_JAX_DATA", "data"),
        "folder with the IDX files, or with a folder named after the data set that holds them; "
        "the default is $GAN_JAX_DATA if that is set",
    )  # fmt: skip
    flags.DEFINE_bool("download", False, "download the data set if it is not in --data_dir")
    flags.DEFINE_enum(
        "host_data", "auto", ("auto", "yes", "no"), "leave the data on the host, whence samples go to the devices as "
        "they are drawn; auto: where they are large; the run is the same"
    )  # fmt: skip
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
    _hidden("g_hidden", "G")
    _hidden("d_hidden", "D")
    flags.DEFINE_enum(
        "image_layer", "conv", IMAGE_LAYERS, "the dcgan's last layer in G: conv, 5x5 on a hidden map of full size, or "
        "conv_transpose, 4x4 straight from half the size: a third less work a step at 64x64; or smooth_transpose, "
        "the same without a checkerboard"
    )  # fmt: skip
    flags.DEFINE_bool(
        "conditional",
        False,
        "tell both players the classes of the samples: G draws the class that it is asked for",
    )
    flags.DEFINE_bool(
        "spectral_norm",
        False,
        "divide each of D's layers by its largest singular value (dcgan, mlp)",
    )
    flags.DEFINE_integer(
        "phase_shuffle", 0, "samples by which the wave's D moves its maps at random, at most; the paper has 2", 0, 100
    )  # fmt: skip
    flags.DEFINE_integer("latent_dim", 100, "latent variables of one sample", 1, 2**20)
    flags.DEFINE_enum(
        "dtype", "float32", DTYPES, "type of what is multiplied in the networks' layers; products and all else are "
        "float32. auto: bfloat16 on GPU and TPU, and where the processor has avx512_bf16 or amx_bf16, else float32; "
        "a run keeps what was chosen when it began, on whatever machine it goes on"
    )  # fmt: skip


def _define_game() -> None:
    flags.DEFINE_enum("loss", "non_saturating", LOSSES, "what the players minimise")
    _float(
        "real_label", 1.0, "D's target for real samples, a probability (cross-entropies)", high=1.0
    )
    _float(
        "fake_label",
        0.0,
        "D's target for generated samples, a probability (cross-entropies)",
        high=1.0,
    )
    for name, said in vocabulary.descriptions("penalties", "PENALTIES").items():
        _float(
            name, None, f"weight of a penalty on D, averaged over the batch; unset: none. {said}"
        )
    _float(
        "penalty_last", None, "share of their weights that the penalties end at, reached by the same factor in every "
        "step: with 0.1 and --r1_gamma=1 gamma is 1, 0.32 half-way and 0.1 at the end; unset: they stay",
        low=1e-6, high=1e6,
    )  # fmt: skip
    flags.DEFINE_string(
        "augment", "", f"what D sees of images is changed at random, for small data sets: {', '.join(AUGMENTATIONS)}, "
        "several separated by commas; empty: nothing"
    )  # fmt: skip
    flags.register_validator("augment", _are_augmentations)
    _float(
        "augment_target", None, "overfitting of D, 0 to 1, that --augment is to hold: each augmentation changes an "
        "image with a probability that rises from 0 while D overfits more, and falls while it does less; unset: always",
        low=1e-3, high=0.999,
    )  # fmt: skip
    flags.DEFINE_enum(
        "augment_control", "gap", SIGNALS, "what tells D's overfitting: gap, how far unseen images lie from training "
        "images towards generated ones by D's logits; r_t, the mean sign of training images' logits, which a D that is "
        "merely ahead of G raises too, so that the augmentation does harm"
    )  # fmt: skip
    _float(
        "augment_images", 500_000.0, "real images in which that probability can rise to 1", low=1.0
    )
    flags.DEFINE_enum("update", "alternating", UPDATES, "how the players take turns")
    _float(
        "update_weight", None, "weight in the equation of an update: gamma of consensus, lambda of "
        "symplectic_gradient_adjustment, alpha of lookahead_minimax; unset: 1, 1, 0.5",
    )  # fmt: skip
    flags.DEFINE_integer(
        "lookahead_steps", 5, "steps between two pulls of lookahead_minimax", 1, 10**6
    )
    flags.DEFINE_integer("n_dis", 1, "D's steps for each step of G", 1, 1000)


def _define_optimizers() -> None:
    flags.DEFINE_enum(
        "optimizer",
        "adam",
        OPTIMIZERS,
        "of both players; optimistic_adam looks ahead by its last move",
    )
    flags.DEFINE_integer("num_steps", 10_000, "length of the training, steps of G", 1, 2**31 - 1)
    flags.DEFINE_integer("batch_size", 64, "real samples in one of D's steps", 1, 2**20)
    _float("g_lr", 2e-4, "G's learning rate (Adam), per step", high=10.0)
    _float("d_lr", 2e-4, "D's learning rate (Adam), per step", high=10.0)
    flags.DEFINE_enum(
        "lr_schedule", "constant", SCHEDULES, "linear and cosine end at 0 at the end; D's counts D's turns, so with "
        "--n_dis=5 it is at 0 after a fifth of the training, with --update=article after half"
    )  # fmt: skip
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
        "eval_every", None, "steps between measurements, each with a checkpoint; the best is kept: the Frechet "
        "distance of 28x28 images and of spoken digits, KL + 1 - high-quality share of mixtures, KL of stacked "
        "digits, of other pictures that of pixels; unset: none",
        1, 2**31 - 1,
    )  # fmt: skip
    flags.DEFINE_string(
        "features", "", "frozen network through which samples are measured: mnist, fashion_mnist, or a file that "
        "experiments.train_features wrote; empty: the data set's own, of pictures of your own none"
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
    groups = {"data": _define_data, "data of your own": own_data.define_flags}
    groups |= {"networks": _define_networks, "game": _define_game}
    groups |= {"optimizers": _define_optimizers, "running": _define_running}
    for title, define in (groups | {"devices and processes": _define_devices}).items():
        with usage.group(title):
            define()
