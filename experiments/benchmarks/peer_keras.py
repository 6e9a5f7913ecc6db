"""The tutorial's networks and procedure in Keras, for comparison. Keras is no dependency of this project."""

import os
from collections.abc import Callable

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from keras import layers


def make_runner(batch: int, num_steps: int) -> tuple[Callable[[], None], tuple[int, int]]:
    """Give a function that takes `num_steps` steps, and both players' numbers of trainable weights."""
    keras.utils.set_random_seed(0)
    generator, discriminator = _generator(), _discriminator()
    sizes = tuple(
        sum(int(np.prod(w.shape)) for w in net.trainable_weights)
        for net in (generator, discriminator)
    )
    frozen = keras.Sequential([generator, discriminator])
    discriminator.trainable = False
    frozen.compile(_adam(), "binary_crossentropy")
    discriminator.trainable = True  # as the tutorial: frozen only inside the combined model
    discriminator.compile(_adam(), "binary_crossentropy")
    rng = np.random.default_rng(0)
    data = rng.integers(0, 256, (1000, 28, 28, 1), dtype=np.uint8)

    def run() -> None:
        for _ in range(num_steps):
            real = (data[rng.integers(0, len(data), batch)].astype(np.float32) - 127.5) / 127.5
            latents = rng.standard_normal((batch, 100)).astype(np.float32)
            fake = generator.predict_on_batch(latents)
            discriminator.train_on_batch(real, np.full((batch, 1), 0.9, np.float32))
            discriminator.train_on_batch(fake, np.full((batch, 1), 0.1, np.float32))
            frozen.train_on_batch(latents, np.full((batch, 1), 0.9, np.float32))

    return run, sizes


def _adam() -> keras.optimizers.Optimizer:
    return keras.optimizers.Adam(1e-4, beta_1=0.3, beta_2=0.999, epsilon=1e-7)


def _generator() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((100,)),
            layers.Dense(25088, activation="relu"),
            layers.Reshape((7, 7, 512)),
            layers.BatchNormalization(),
            layers.LeakyReLU(0.2),
            layers.Conv2DTranspose(256, 3, 2, "same", use_bias=False),
            layers.LeakyReLU(0.2),
            layers.Conv2DTranspose(128, 4, 2, "same", use_bias=False),
            layers.BatchNormalization(),
            layers.LeakyReLU(0.2),
            layers.Conv2D(1, 5, 1, "same", use_bias=False, activation="tanh"),
        ]
    )


def _discriminator() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(512, 5, 2, "same"),
            layers.LeakyReLU(0.2),
            layers.Dropout(0.3),
            layers.Conv2D(256, 3, 2, "same"),
            layers.LeakyReLU(0.2),
            layers.Conv2D(128, 3, 1, "same"),
            layers.LeakyReLU(0.2),
            layers.Flatten(),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
