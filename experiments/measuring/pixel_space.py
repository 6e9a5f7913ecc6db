"""What is measured in the 64 principal components of the training pixels: distances there need no network's eyes.

Whoever chose a recipe by the frozen features has trained on that judge, by hand. These numbers come from elsewhere:
pictures of any size and any number of channels, and no weights but the directions in which the training data vary.
Only `agreement` asks a frozen network besides, how it reads a sample and its nearest training picture.
"""

from experiments.measuring.measure import HIGHER, LOWER, Measure, Watch
from gan_jax.evaluation.pixels_of_images import agreement, pixels, watch_pixels

MEASURES = (
    Measure(
        "pixels", ("images", "pictures", "sounds", "spoken_digits"), {"pixel_frechet": LOWER}, pixels,
        watch=Watch("pixel_frechet", watch_pixels),
    ),
    Measure("agreement", ("images",), {"agreement": HIGHER}, agreement, 1),
)  # fmt: skip
