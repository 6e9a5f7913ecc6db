"""A small convolutional classifier of images, whose penultimate layer serves as features.

It is trained with batch norm, which makes the samples of a batch depend on one another and needs statistics. Neither
belongs into a measure, so `fold_batch_norm` moves both into kernels and biases afterwards: the same function, as
plain convolutions, each sample for itself.
"""

import math

import jax.numpy as jnp
from flax import linen as nn

from gan_jax.layers import Conv, Dropout
from gan_jax.types import Array, ModelState, Params

EPSILON = 1e-5  # added to a batch norm's variance


class Classifier(nn.Module):
    """Map images [B, H, W, C] in [-1, 1] to [B, dim + num_classes]: features, then logits.

    Four convolutions, as they stand 28 -> 14 -> 7 -> 7 -> 4 pixels wide (`classifier_of` has more for larger images);
    then a hidden layer, whose activations (ReLU, >= 0) are the features, and one linear layer to the logits.
    `split_outputs` takes them apart.

    Attributes:
      widths: output channels of the convolutions.
      kernels: heights and widths of their kernels, pixels.
      strides: their strides, pixels.
      dim: number of features.
      num_classes: number of logits.
      dropout: share of the features that the logits do not see in training.
      batch_norm: normalise each layer but the last, for training; False for the folded network.
    """

    widths: tuple[int, ...] = (32, 64, 96, 64)
    kernels: tuple[int, ...] = (4, 3, 3, 3)
    strides: tuple[int, ...] = (2, 2, 1, 2)
    dim: int = 64
    num_classes: int = 10
    dropout: float = 0.0
    batch_norm: bool = False

    @property
    def couples_batch(self) -> bool:
        """Whether batch norm makes the samples of a batch depend on one another."""
        return self.batch_norm

    @nn.compact
    def __call__(self, images: Array, *, train: bool) -> Array:
        """Return features and logits side by side."""
        bias = not self.batch_norm  # a batch norm brings its own
        x = images
        layers = zip(self.widths, self.kernels, self.strides, strict=True)
        for number, (width, kernel, stride) in enumerate(layers):
            name = f"conv_{number}"
            x = Conv(width, (kernel, kernel), (stride, stride), use_bias=bias, name=name)(x)
            x = self._activate(x, name, train)
        x = nn.Dense(self.dim, use_bias=bias, name="hidden")(x.reshape(x.shape[0], -1))
        features = self._activate(x, "hidden", train)
        kept = Dropout(self.dropout)(features, train=train)
        logits = nn.Dense(self.num_classes, name="logits")(kept)
        return jnp.concatenate([features, logits], axis=-1)

    def _activate(self, x: Array, name: str, train: bool) -> Array:
        if self.batch_norm:
            norm = nn.BatchNorm(not train, momentum=0.9, epsilon=EPSILON, name=f"{name}_norm")
            x = norm(x)
        return nn.relu(x)


def classifier_of(
    image_shape: tuple[int, int, int],
    *,
    num_classes: int = 10,
    dropout: float = 0.0,
    batch_norm: bool = False,
) -> Classifier:
    """Give a `Classifier` whose smallest maps are at most 4 pixels wide and high: four layers up to 32x32.

    Each further halving is one more layer like the second, of half its channels, after the first.

    Args:
      image_shape: (H, W, C).
      num_classes: as `Classifier` has it, and so the others.
      dropout: likewise.
      batch_norm: likewise.
    """
    own = Classifier(num_classes=num_classes, dropout=dropout, batch_norm=batch_norm)
    further = max(0, math.ceil(math.log2(max(image_shape[:2]) / 32)))
    return own.clone(
        widths=(own.widths[0], *[own.widths[0]] * further, *own.widths[1:]),
        kernels=(own.kernels[0], *[own.kernels[1]] * further, *own.kernels[1:]),
        strides=(own.strides[0], *[2] * further, *own.strides[1:]),
    )


def split_outputs(outputs: Array, num_classes: int = 10) -> tuple[Array, Array]:
    """Take a classifier's outputs [B, dim + num_classes] apart: features [B, dim], logits [B, num_classes]."""
    return outputs[:, :-num_classes], outputs[:, -num_classes:]


def fold_batch_norm(params: Params, model_state: ModelState) -> Params:
    """Move the batch norms of a trained `Classifier` into its kernels and biases.

    gamma (W x - mean) / sqrt(var + epsilon) + beta = (s W) x + (beta - s mean), s = gamma / sqrt(var + epsilon)

    Args:
      params: of a `Classifier` with `batch_norm=True`.
      model_state: its running statistics.

    Returns:
      The weights of `Classifier(batch_norm=False)` that computes what the other does with `train=False`.
    """
    folded = {}
    for name, layer in params.items():
        if name.endswith("_norm"):
            continue
        norm = params.get(f"{name}_norm")
        if norm is None:
            folded[name] = dict(layer)
            continue
        statistics = model_state["batch_stats"][f"{name}_norm"]
        scale = norm["scale"] / jnp.sqrt(statistics["var"] + EPSILON)
        kernel = layer["kernel"]
        folded[name] = {
            "kernel": kernel * scale.reshape((1,) * (kernel.ndim - 1) + (-1,)),
            "bias": norm["bias"] - scale * statistics["mean"],
        }
    return folded
