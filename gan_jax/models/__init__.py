"""Network families, one file each; `NETWORKS` names the builder of both players that each file ends with.

A builder takes `options.PlayerOptions` and returns two Linen modules, G and D. What is added to the table can be asked
for by --network.
"""

from collections.abc import Callable

from flax import linen as nn

from gan_jax.models import article, dcgan, mlp, residual, unrolled, wave
from gan_jax.models.options import PlayerOptions

NETWORKS: dict[str, Callable[[PlayerOptions], tuple[nn.Module, nn.Module]]] = {
    "article": article.players,
    "dcgan": dcgan.players,
    "mlp": mlp.players,
    "residual": residual.players,
    # Of experiments.sounds, whose pictures any family for pictures could make.
    "spectrogram": dcgan.players,
    "unrolled": unrolled.players,
    # Of experiments.sounds, which then learns waves in the place of pictures.
    "wave": wave.players,
}
