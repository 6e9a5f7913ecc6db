"""Train a GAN on sounds of your own: a folder or a .zip of WAV files, learnt as log-mel pictures or as waves.

    python -m experiments.sounds --data_dir=SOUNDS --sample_rate=8000 --duration=1.024
    python -m experiments.sounds --flagfile=experiments/flags/spoken_digits.flags --data_dir=SPOKEN_DIGITS

SOUNDS holds WAV files of any rate and number of channels, or a sub-folder of them for each class (or see --label_by).
Channels are averaged; sounds are brought to --sample_rate, and to --duration seconds by silence or by cutting behind.
Each becomes a picture of 64 mel bands by a column for each 12 ms, -60 to 0 dB below its loudest, which
--network=spectrogram, a DCGAN, learns. The way back to a wave is fast Griffin-Lim (gan_jax/signals.py).

--network=wave learns the waves themselves, each as loud as can be: WaveGAN's players (gan_jax/models/wave.py), with
--phase_shuffle=2 as published, for sounds whose number of samples 16 divides. In the same time it comes less far.

The run's pictures are spectrograms, low tones at the bottom; samples.wav holds 25 samples one after another (with
--conditional five of each class), and waves.png their waves. experiments.sample --out=FILE.npz writes `waves`. What is
measured are pixels of the spectrograms: whether a sample can be understood, they do not say. Runs on spoken digits
(--dataset=spoken_digits at 0.768 s and 8 kHz) are heard by judges of what is said and who says it instead.
"""

from experiments.command import program
from experiments.many import members

if __name__ == "__main__":  # --help and wrong flags answer before the slow imports below
    program.begin(
        members.define_flags, network="spectrogram", width=0.125, d_width=0.125, g_hidden="256x256",
        d_hidden="256x128", latent_dim=32, r1_gamma=1.0, ema_half_life_images=10_000.0, batch_size=16, g_lr=2e-3,
        d_lr=2e-3, b1=0.0, lr_schedule="linear", log_every=500,
    )  # fmt: skip

from functools import partial
from pathlib import Path

import jax
import numpy as np
from absl import flags

from experiments.command import own_data
from experiments.command.config import Config
from experiments.command.experiment import Experiment, Observer, Source, run_keys
from experiments.command.game import build_gan
from experiments.many.train import train
from experiments.measuring import image_observer
from experiments.measuring.class_rows import class_rows
from gan_jax import data, plots, signals
from gan_jax.sampling import sample, sample_latents
from gan_jax.types import GAN

HEARD = 25  # samples that end a run as sounds


def main() -> int:
    """Train on the sounds that --data_dir names."""
    if flags.FLAGS["dataset"].using_default_value:
        flags.FLAGS.dataset = data.name_of(flags.FLAGS.data_dir)
    return train(EXPERIMENT)


def load(config: Config) -> Source:
    """Read the sounds to learn from, and those that are held out, as pictures or as waves."""
    where = {"name": config.dataset, "cache": config.data_cache}
    how, naming = own_data.spectrogram(config), own_data.naming(config)
    load = data.load_waves if own_data.are_waves(config) else data.load_sounds
    return Source(*load(config.data_dir, how, naming, **where))


def build(config: Config, sample_shape: tuple[int, ...], num_classes: int = 0) -> GAN:
    """Assemble the game that the flags describe."""
    return build_gan(config, sample_shape, num_classes)


def observe(config: Config, source: Source, gan: GAN) -> Observer:
    """Say what is drawn and watched: spectrograms, the balance of the game, and at the end sounds."""
    how = own_data.spectrogram(config)
    drawn, heard = np.asarray, partial(signals.to_waves, how=how)
    if own_data.are_waves(config):
        drawn, heard = partial(_spectrograms, how=how), _waves
    observer = image_observer.observe(config, source, gan, kind=EXPERIMENT.kind, drawn=drawn)
    latents = sample_latents(run_keys(config.seed).samples, HEARD, config.latent_dim)
    given = (latents,)
    if config.conditional:  # five of each class
        given = class_rows(latents[:5], source.train.num_classes)

    def finish(state, folder: Path) -> None:
        observer.finish(state, folder)
        waves = heard(jax.device_get(sample(gan, state, *given)))
        plots.save_waves(waves, folder / "waves.png", sample_rate=how.sample_rate)
        plots.save_sounds(waves, folder / "samples.wav", sample_rate=how.sample_rate)

    return observer._replace(finish=finish)


def _waves(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1)


def _spectrograms(images: np.ndarray, how: signals.Spectrogram) -> np.ndarray:
    return signals.to_pictures(_waves(images), how)


EXPERIMENT = Experiment("sounds", "sounds", load, build, observe)

if __name__ == "__main__":
    program.run(main)
