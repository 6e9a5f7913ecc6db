"""Feature networks so small that their features are known by hand."""

import numpy as np

from gan_jax.evaluation.own_features import pack

NAMES = ("dark", "bright", "odd")


def brightness(shape=(4, 2, 3), names=NAMES, **changes) -> bytes:
    """A network whose two features of an image in [-1, 1] are its mean, and minus its mean, where those are positive.

    Logits: twice the second feature, twice the first, and -4. The one convolution adds channels up, and 3 against what
    a ReLU would cut off.
    """
    height, width, channels = shape
    pixels = height * width
    mean = np.full((pixels, 1), 1 / (pixels * channels))
    params = {
        "conv_0": {"kernel": np.ones((1, 1, channels, 1)), "bias": np.full(1, 3.0)},
        "hidden": {
            "kernel": np.concatenate([mean, -mean], axis=1),
            "bias": np.array([-3.0, 3.0]) / channels,
        },
        "logits": {"kernel": np.array([[0, 2, 0], [2, 0, 0]]), "bias": np.array([0, 0, -4.0])},
    }
    layout = {"image_shape": shape, "strides": (1,), "class_names": names, "facts": {"seed": 7}}
    return pack(params | changes.pop("params", {}), **layout | changes)
