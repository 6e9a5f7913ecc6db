"""Frozen features of images, the common ground on which generators are measured.

    network = load_features("mnist")
    features, probabilities = embed(network, images)

Two networks come with the package, of 28x28 grey images; `own_features` reads those of one's own, of any shape.

| network | trained on | test accuracy |
|---|---|---|
| mnist | MNIST, the first 55,000 training images, 10 epochs | 99.50 % of 10,000 |
| fashion_mnist | Fashion-MNIST, all 60,000 training images, 15 epochs | 93.09 % of 10,000 |

Each is a `models.classifier.Classifier` of 196,042 weights; the features are its 64 activations before the logits.
The accuracies are those of the files shipped here, whose weights are float16 (computed with as float32).
experiments/train_features.py holds the recipe, chosen by the last 5,000 training images, and the commands.

A distance between features is a property of the network too: compare only numbers from files of one SHA-256.
"""

import hashlib
import io
from collections.abc import Callable, Mapping
from functools import partial
from importlib import resources
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from gan_jax.models.classifier import Classifier, split_outputs
from gan_jax.networks import from_linen
from gan_jax.sampling import to_signed
from gan_jax.types import Array, Images, Params

SHA256 = {
    "mnist": "f3bc2c776326a3984a5d8fad33e91eb48e71a505bb87f498c52273dfb9358c3b",
    "fashion_mnist": "6df7145f0a9d1e42c752cef83c44401cf64c8e2f0d5177c774de3e92aa805240",
}
FOLDER = resources.files("gan_jax.evaluation")
IMAGE_SHAPE = (28, 28, 1)
STRIDES = (2, 2, 1, 2)  # of the convolutions of a network that comes with the package
BATCH_PIXELS = 250 * 28 * 28  # of the images that `embed` hands over at once
RANGE_TOLERANCE = 1e-3  # how far rounding may carry a float image out of [-1, 1]


class FeatureFileError(ValueError):
    """A file of weights that is missing, or is not the one that the stated accuracies belong to."""


class FeatureNetwork(NamedTuple):
    """A frozen classifier.

    Attributes:
      name: of the data set it was trained on.
      sha256: of its file, to state beside every number that came from it.
      dim: number of features.
      num_classes: number of classes.
      apply: images f32[N, *image_shape] in [-1, 1] -> (features f32[N, dim] >= 0, class probabilities
        f32[N, num_classes]); compiled once for each N, so use `embed` for many images.
      image_shape: (H, W, C) of the images that it reads.
      class_names: of its classes; () where they have none.
      facts: what is known of it besides, such as its held-out accuracy.
    """

    name: str
    sha256: str
    dim: int
    num_classes: int
    apply: Callable[[Images], tuple[Array, Array]]
    image_shape: tuple[int, int, int] = IMAGE_SHAPE
    class_names: tuple[str, ...] = ()
    facts: Mapping[str, Any] = MappingProxyType({})


def load_features(name: str) -> FeatureNetwork:
    """Load a network that is shipped with the package, after checking that its file is the one shipped.

    Args:
      name: "mnist" or "fashion_mnist".

    Returns:
      The `FeatureNetwork`.

    Raises:
      ValueError: there is no network of that name.
      FeatureFileError: its file is missing or changed; a `ValueError` too.
    """
    if name not in SHA256:
        raise ValueError(f"name must be one of {', '.join(SHA256)}, got {name!r}")
    file = FOLDER / f"{name}.npz"
    restore = (
        f"restore it with `git checkout -- gan_jax/evaluation/{name}.npz` or install gan_jax again"
    )
    try:
        packed = file.read_bytes()
    except OSError as error:
        raise FeatureFileError(f"{file} cannot be read ({error}); {restore}") from error
    found = hashlib.sha256(packed).hexdigest()
    if found != SHA256[name]:
        raise FeatureFileError(f"{file} must have SHA-256 {SHA256[name]}, got {found}; {restore}")
    return from_bytes(name, packed)


def embed(
    network: FeatureNetwork,
    images: ArrayLike,
    *,
    batch: int | None = None,
    signed: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Run images through a network, in batches of one size so that one program is compiled.

    Args:
      network: from `load_features` or `own_features.read_features`.
      images: [N, *network.image_shape], uint8 pixels 0..255 or floats in [-1, 1].
      batch: images in one call, None for 250 of 28x28 or as many pixels of others; the last is padded. It changes
        nothing but speed and rounding.
      signed: True vouches that float images are meant in [-1, 1], as a generator's are, even if none of their
        values is negative. Without it such images are refused: pictures in [0, 1] look the same, and would be
        measured as washed out (a Frechet distance of 146 for real digits).

    Returns:
      (features f32[N, dim], class probabilities f32[N, num_classes]).

    Raises:
      ValueError: images of another shape or type, not finite, outside [-1, 1], or in [0, 1] without `signed`; or
        batch < 1.
    """
    images = _as_images(images, signed, network.image_shape)
    if batch is None:
        batch = max(1, BATCH_PIXELS // (network.image_shape[0] * network.image_shape[1]))
    if batch < 1:
        raise ValueError(f"batch must be at least 1, got {batch}")
    rows = []
    for start in range(0, len(images), batch):
        chunk = images[start : start + batch]
        chunk = to_signed(chunk) if chunk.dtype == np.uint8 else chunk.astype(np.float32)
        padding = np.zeros((batch - len(chunk), *network.image_shape), np.float32)
        outputs = network.apply(jnp.asarray(np.concatenate([chunk, padding])))
        rows.append([np.asarray(output)[: len(chunk)] for output in outputs])
    features, probabilities = (np.concatenate(column) for column in zip(*rows, strict=True))
    return features, probabilities


def _as_images(images: ArrayLike, signed: bool, shape: tuple[int, int, int]) -> np.ndarray:
    images = np.asarray(images)
    if images.shape[1:] != shape or len(images) < 1:
        expected = ", ".join(map(str, ("N", *shape)))
        raise ValueError(f"images must have shape [{expected}], N >= 1, got {images.shape}")
    if images.dtype == np.uint8:
        return images
    if not jnp.issubdtype(images.dtype, jnp.floating):
        raise ValueError(f"images must be uint8 or floats in [-1, 1], got {images.dtype}")
    low, high = float(images.min()), float(images.max())
    if not np.isfinite(low + high):
        bad = sum(not np.isfinite(image).all() for image in images.astype(np.float32))
        raise ValueError(f"images must be finite, got {bad} of {len(images)} that are not")
    if max(-low, high) > 1 + RANGE_TOLERANCE:
        raise ValueError(f"float images must lie in [-1, 1], got values from {low} to {high}")
    if low >= 0 and not signed:
        raise ValueError(
            f"float images must lie in [-1, 1], got values from {low} to {high}, which look like [0, 1]; map them by "
            "2 x - 1, or say signed=True if they are right"
        )
    return images


def to_bytes(params: Params) -> bytes:
    """Write the weights of a folded `Classifier` as a .npz file of float16 arrays; the same weights, the same bytes."""
    arrays = {
        f"{layer}.{name}": np.asarray(array, np.float16)
        for layer, weights in sorted(params.items())
        for name, array in sorted(weights.items())
    }
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def from_bytes(name: str, packed: bytes) -> FeatureNetwork:
    """Make the network whose weights `to_bytes` wrote."""
    params: dict[str, dict[str, Array]] = {}
    with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
        for key, array in arrays.items():
            layer, leaf = key.split(".")
            params.setdefault(layer, {})[leaf] = jnp.asarray(array, jnp.float32)
    dim, num_classes = params["logits"]["kernel"].shape
    digest = hashlib.sha256(packed).hexdigest()
    return FeatureNetwork(name, digest, dim, num_classes, partial(apply, params))


def classifier_with(params: Params, strides: tuple[int, ...]) -> Classifier:
    """Give the `Classifier` whose folded weights these are; the strides alone they do not tell."""
    shapes = [params[f"conv_{number}"]["kernel"].shape for number in range(len(strides))]
    dim, num_classes = params["logits"]["kernel"].shape
    return Classifier(
        widths=tuple(shape[3] for shape in shapes),
        kernels=tuple(shape[0] for shape in shapes),
        strides=strides,
        dim=dim,
        num_classes=num_classes,
    )


@partial(jax.jit, static_argnames="strides")
def apply(
    params: Params, images: Images, strides: tuple[int, ...] = STRIDES
) -> tuple[Array, Array]:
    """Compute features f32[N, dim] and class probabilities f32[N, K] by the weights of a folded `Classifier`."""
    num_classes = params["logits"]["kernel"].shape[1]
    network = from_linen(classifier_with(params, strides))
    with jax.default_matmul_precision("highest"):  # the same numbers on GPU and TPU
        outputs, _ = network.apply(params, {}, images, train=False)
    features, logits = split_outputs(outputs, num_classes)
    return features, jax.nn.softmax(logits)
