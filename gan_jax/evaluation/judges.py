"""Two frozen judges of spoken digits: what is said, and who says it. Each may answer that it is no digit at all.

    judges = load_judges()
    heard = listen(judges, pictures)

They are two heads of one `models.classifier.Classifier`, which reads the log-mel picture of 0.768 s at 8 kHz
(signals.py): 64 activations, the features in which distances are measured, then 10 digits and "none", then 6 speakers
and "none". A judge that knows digits alone is no evidence: it must be sure of something, and is, of noise. So they
learnt from recordings, from recordings led through Griffin-Lim (the way back from a picture is not to be punished) and,
as "none", from such recordings played backwards, mixed, turned to hiss, from noise, and from pictures that a Gaussian
draws. experiments/train_judges.py holds the recipe.

Trained on the 2,700 training recordings of the Free Spoken Digit Dataset (Jackson et al., CC BY-SA 4.0); its test set
are recordings 0 to 4 of every speaker and digit. A distance between features is a property of the network too: compare
only numbers from files of one SHA-256.
"""

import hashlib
import io
from collections.abc import Callable
from functools import partial
from importlib import resources
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from gan_jax.evaluation.features import FeatureFileError
from gan_jax.models.classifier import Classifier
from gan_jax.networks import from_linen
from gan_jax.sampling import to_signed
from gan_jax.signals import Spectrogram
from gan_jax.types import Array, Params

SHA256 = "96622dd6598cb3762387ffd564dc5983b6bd295b828ed308484c9b35e5f0ae89"
FILE = resources.files("gan_jax.evaluation") / "spoken_digits.npz"
SOUND = Spectrogram(sample_rate=8000, num_samples=6144)
SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
DIGITS = 10
HEADS = (DIGITS + 1, len(SPEAKERS) + 1)  # the last of each is "none"
DIM = 64
BATCH = 100


class Judges(NamedTuple):
    """Both.

    Attributes:
      sha256: of their file, to state beside every number that came from it.
      apply: pictures f32[N, 64, 64, 1] in [-1, 1] -> (features f32[N, 64], digits f32[N, 11], speakers f32[N, 7]), the
        latter two probabilities; compiled once for each N, so use `listen` for many.
    """

    sha256: str
    apply: Callable[[Array], tuple[Array, Array, Array]]


class Heard(NamedTuple):
    """Sounds as the judges hear them.

    Attributes:
      images: their pictures, uint8 [N, 64, 64, 1].
      features: f32[N, 64].
      digits: their probabilities, f32[N, 11], the last of "none".
      speakers: of the speakers, f32[N, 7], likewise.
    """

    images: np.ndarray
    features: np.ndarray
    digits: np.ndarray
    speakers: np.ndarray


def load_judges() -> Judges:
    """Load them, after checking that their file is the one shipped.

    Raises:
      FeatureFileError: it is missing or changed; a `ValueError` too.
    """
    restore = (
        f"restore it with `git checkout -- gan_jax/evaluation/{FILE.name}` or install gan_jax again"
    )
    try:
        packed = FILE.read_bytes()
    except OSError as error:
        raise FeatureFileError(f"{FILE} cannot be read ({error}); {restore}") from error
    judges = from_bytes(packed)
    if judges.sha256 != SHA256:
        raise FeatureFileError(f"{FILE} must have SHA-256 {SHA256}, got {judges.sha256}; {restore}")
    return judges


def from_bytes(packed: bytes) -> Judges:
    """Make the judges whose weights `features.to_bytes` wrote."""
    params: dict[str, dict[str, Array]] = {}
    with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
        for key, array in arrays.items():
            layer, leaf = key.split(".")
            params.setdefault(layer, {})[leaf] = jnp.asarray(array, jnp.float32)
    return Judges(hashlib.sha256(packed).hexdigest(), partial(_apply, params))


def listen(judges: Judges, pictures: ArrayLike, *, batch: int = BATCH) -> Heard:
    """Let the judges hear sounds, in batches of one size so that one program is compiled.

    Args:
      judges: from `load_judges`.
      pictures: of the sounds, uint8 [N, 64, 64, 1], N >= 1.
      batch: pictures in one call; the last is padded.

    Raises:
      ValueError: other pictures.
    """
    pictures = np.asarray(pictures)
    if pictures.shape[1:] != SOUND.shape or len(pictures) < 1 or pictures.dtype != np.uint8:
        raise ValueError(
            f"pictures must be uint8 [N, {SOUND.shape}], N >= 1, got {pictures.dtype} {pictures.shape}"
        )
    rows = []
    for start in range(0, len(pictures), batch):
        chunk = pictures[start : start + batch]
        padding = np.zeros((batch - len(chunk), *SOUND.shape), np.uint8)
        outputs = judges.apply(to_signed(jnp.asarray(np.concatenate([chunk, padding]))))
        rows.append([np.asarray(output)[: len(chunk)] for output in outputs])
    return Heard(pictures, *(np.concatenate(column) for column in zip(*rows, strict=True)))


def network(*, dropout: float = 0.0, batch_norm: bool = False) -> Classifier:
    """Build the network of both heads; its attributes are those of `Classifier` that training alone needs."""
    layers = ((16, 32, 48, 48), (4, 3, 3, 3), (2, 2, 2, 2))
    return Classifier(*layers, DIM, sum(HEADS), dropout, batch_norm)


def split_outputs(outputs: Array) -> tuple[Array, Array, Array]:
    """Take the network's outputs apart: features [B, 64], logits of digits [B, 11] and of speakers [B, 7]."""
    return (
        outputs[:, :DIM],
        outputs[:, DIM : DIM + HEADS[0]],
        outputs[:, DIM + HEADS[0] :],
    )


@jax.jit
def _apply(params: Params, pictures: Array) -> tuple[Array, Array, Array]:
    with jax.default_matmul_precision("highest"):  # the same numbers on GPU and TPU
        outputs, _ = from_linen(network()).apply(params, {}, pictures, train=False)
    features, digits, speakers = split_outputs(outputs)
    return features, jax.nn.softmax(digits), jax.nn.softmax(speakers)
