"""Train a GAN on pictures of your own: a folder, a .zip, or an .npz.

    python -m experiments.images --data_dir=PICTURES --image_size=64
    python -m experiments.images --data_dir=PICTURES.zip --image_size=64x48 --channels=1 --fit=pad
    python -m experiments.images --flagfile=experiments/flags/emoji.flags --data_dir=EMOJI

PICTURES holds PNG, JPEG, WebP or GIF files (of these the first picture), or a sub-folder of them for each class. Sizes
and modes may be mixed: each is turned upright, laid over --background where it is transparent, and resized to
--image_size. An .npz or .npy holds `images`, uint8 [N, H, W, C], and maybe `labels`. PICTURES may also be a folder that
save_to_disk of Hugging Face's datasets wrote (pip install 'gan_jax[huggingface]'); its parts count together, and
--held_out_names=^test/ holds its test part out. A file that cannot be read ends
the command, which names it, before anything is trained. Decoded pictures are kept in --data_cache.

A tenth of the pictures is held out, by a hash of what is in the file: the balance of the game is watched on them, and
samples are measured against them. Pictures that belong together (siblings, frames, crops) should stay on one side, or
copies will look like originals: see --group_by.

No network is trained for your pictures, so only pixels are measured: experiments.evaluate says what that can tell.
"""

from experiments.command import program
from experiments.many import members

if __name__ == "__main__":  # --help and wrong flags answer before the slow imports below
    program.begin(
        members.define_flags, width=0.25, d_width=0.5, g_hidden="256x256", d_hidden="256x128", latent_dim=64,
        r1_gamma=10.0, ema_half_life_images=10_000.0, batch_size=16, g_lr=2e-3, d_lr=2e-3, b1=0.0,
        lr_schedule="linear", log_every=500,
    )  # fmt: skip

from absl import flags

from experiments.command import own_data
from experiments.command.config import Config
from experiments.command.experiment import Experiment, Observer, Source
from experiments.command.game import build_gan
from experiments.many.train import train
from experiments.measuring import image_observer
from gan_jax import data
from gan_jax.types import GAN


def main() -> int:
    """Train on the pictures that --data_dir names."""
    if flags.FLAGS["dataset"].using_default_value:
        flags.FLAGS.dataset = data.name_of(flags.FLAGS.data_dir)
    return train(EXPERIMENT)


def load(config: Config) -> Source:
    """Read the pictures to learn from, and those that are held out."""
    options = own_data.picture_options(config)
    where = {"name": config.dataset, "cache": config.data_cache}
    return Source(*data.load_pictures(config.data_dir, options, **where))


def build(config: Config, sample_shape: tuple[int, ...], num_classes: int = 0) -> GAN:
    """Assemble the game that the flags describe."""
    return build_gan(config, sample_shape, num_classes)


def observe(config: Config, source: Source, gan: GAN) -> Observer:
    """Say what is drawn and watched: a grid of samples, and the balance of the game."""
    return image_observer.observe(config, source, gan, kind=EXPERIMENT.kind)


EXPERIMENT = Experiment("images", "pictures", load, build, observe)

if __name__ == "__main__":
    program.run(main)
