"""The flags of data of one's own, and what they say to the library. Imports no JAX."""

import math
import os
import re
from typing import TYPE_CHECKING

from absl import flags

from experiments.command.config import Config

if TYPE_CHECKING:
    from gan_jax.data.folder.load import PictureOptions
    from gan_jax.data.folder.naming import Naming
    from gan_jax.signals import Spectrogram

MAX_SIDE = 1024  # pixels


def define_flags() -> None:
    """Define them. Whoever trains on a set that is known by name has no use for them."""
    define_picture_flags()
    flags.DEFINE_integer("sample_rate", 8000, "samples in a second of a sound", 1000, 192_000)
    flags.DEFINE_float("duration", 1.024, "seconds of a sound; longer ones are cut off behind")
    flags.register_validator(
        "duration", lambda value: 0.02 <= value <= 60, message="must be 0.02 to 60 seconds"
    )


def define_picture_flags() -> None:
    """Define those of pictures alone."""
    _define_naming()
    _define_pictures()


def _define_pictures() -> None:
    flags.DEFINE_string(
        "image_size", "", "height x width in pixels, as in 64x48; 64 is a square; empty: as they are, all of one size"
    )  # fmt: skip
    flags.register_validator(
        "image_size", _parses(image_size, "must be 64, or 64x48, at most 1024")
    )
    flags.DEFINE_integer("channels", None, "1 grey, 3 colour; unset: grey if all pictures are")
    flags.register_validator(
        "channels", lambda value: value in (None, 1, 3), message="must be 1 or 3"
    )
    flags.DEFINE_enum(
        "fit", "crop", ("crop", "pad"), "how pictures of another shape fill the frame: cut off, or with a margin"
    )  # fmt: skip
    flags.DEFINE_string(
        "background", "white", "colour of margins and behind transparency; or #rrggbb"
    )
    for column, usual in (("image", "image"), ("label", "label; none: no classes")):
        flags.DEFINE_string(
            f"{column}_column", "", "of what save_to_disk of Hugging Face's datasets wrote: which column; empty: "
            f"the only one of its kind, or {usual}"
        )  # fmt: skip


def _define_naming() -> None:
    flags.DEFINE_string("classes", "", "take these classes only, separated by commas; empty: all")
    _expression(
        "label_by",
        "whose match in a file's name is its class; empty: its sub-folder; none: no classes",
    )
    flags.DEFINE_float(
        "held_out",
        0.1,
        "share of the files that is not trained on, to measure against; at least one file, even at 0",
    )
    flags.register_validator(
        "held_out", lambda value: math.isfinite(value) and 0 <= value <= 0.9, message="must be in 0..0.9"
    )  # fmt: skip
    _expression("held_out_names", "hold out the files whose names match, and no others")
    _expression("group_by", "files that match alike are held out together, or trained on together")
    flags.DEFINE_string(
        "data_cache", os.path.join(os.path.expanduser("~"), ".cache", "gan_jax", "data"),
        "folder that keeps decoded data between runs; may be emptied at any time; empty: none",
    )  # fmt: skip


def _expression(name: str, help_: str) -> None:
    flags.DEFINE_string(
        name,
        "",
        f"regular expression {help_}" if name == "label_by" else f"{help_} (regular expression)",
    )
    flags.register_validator(name, _parses(re.compile, "must be a regular expression"))


def _parses(parse, message: str):
    def check(value: str) -> bool:
        try:
            parse(value)
        except (ValueError, re.error, OverflowError, RecursionError) as error:
            raise flags.ValidationError(message) from error
        return True

    return check


def image_size(text: str) -> tuple[int, int] | None:
    """Read a size: "64x48" is 64 high and 48 wide, "64" is a square, "" none.

    Raises:
      ValueError: it is none, or a side is not in 1..1024.
    """
    if not text:
        return None
    sides = [int(part) for part in text.split("x")]
    if len(sides) > 2 or not all(1 <= side <= MAX_SIDE for side in sides):
        raise ValueError(f"no size of a picture: {text}")
    return sides[0], sides[-1]


def naming(config: Config) -> "Naming":
    """Say what the names of files mean."""
    from gan_jax.data.folder.naming import Naming

    classes = tuple(filter(None, (name.strip() for name in config.classes.split(","))))
    return Naming(config.label_by, config.held_out, config.held_out_names, config.group_by, classes)


def picture_options(config: Config) -> "PictureOptions":
    """Say what pictures are to become."""
    from gan_jax.data.folder.load import PictureOptions

    return PictureOptions(
        *(image_size(config.image_size), config.channels, config.fit, config.background),
        *(naming(config), config.image_column, config.label_column),
    )


def are_waves(config: Config) -> bool:
    """Whether the sounds of a run are learnt as waves; else as spectrograms."""
    return config.network == "wave"


def spectrogram(config: Config) -> "Spectrogram":
    """Say how sounds become pictures."""
    from gan_jax.signals import Spectrogram

    return Spectrogram(config.sample_rate, round(config.duration * config.sample_rate))
