"""One WAV file as a sound of a chosen rate and length; a folder of them as log-mel pictures, or as waves."""

import contextlib
import hashlib
import io
import math
import os
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from gan_jax.data.folder.files import UnreadableError, find_files
from gan_jax.data.folder.load import Loaded, Parts, divide, name_of
from gan_jax.data.folder.naming import Naming, classes_of
from gan_jax.data.folder.workers import for_each
from gan_jax.signals import Spectrogram, to_picture

SUFFIXES = (".wav",)
MAX_CHANNELS = 64
RATES = (100, 768_000)  # samples in a second that a file may have


def load_sounds(
    path: str | os.PathLike,
    how: Spectrogram,
    naming: Naming,
    *,
    name: str = "",
    cache: str | os.PathLike = "",
) -> Parts:
    """Load sounds of one's own as log-mel pictures.

    Args:
      path: a folder or .zip with WAV files of any rate and number of channels.
      how: the rate and the length that they are brought to, see `read_wave`; and so the size of the pictures.
      naming: classes, and what is held out.
      name: of the data set; "" for that of the path.
      cache: folder that keeps the pictures; "" for none.

    Returns:
      Both sides: pictures uint8 [N, 64, W, 1], labels where there are classes.

    Raises:
      DataError: in one line, for everything that can be wrong with path and files.
    """
    decode = (partial(_draw, how=how), how.shape, ("sounds", how), np.uint8)
    return _load(path, naming, *decode, name=name or name_of(path), cache=cache)


def load_waves(
    path: str | os.PathLike,
    how: Spectrogram,
    naming: Naming,
    *,
    name: str = "",
    cache: str | os.PathLike = "",
) -> Parts:
    """Load sounds of one's own as waves, each as loud as can be.

    Args are those of `load_sounds`.

    Returns:
      Both sides: "images" one pixel high, f32 [N, 1, T, 1] with a peak of 1, or silent; labels where there are classes.

    Raises:
      DataError: as `load_sounds`.
    """
    decode = (partial(_normalise, how=how), how.wave_shape, ("waves", how), np.float32)
    return _load(path, naming, *decode, name=name or name_of(path), cache=cache)


def _load(
    path: str | os.PathLike,
    naming: Naming,
    decode: Callable[[bytes], np.ndarray],
    shape: tuple[int, ...],
    key: tuple[object, ...],
    dtype: type[np.generic],
    *,
    name: str,
    cache: str | os.PathLike,
) -> Parts:
    place = Path(path).expanduser()
    files = find_files(place, SUFFIXES)
    labels, class_names = classes_of([file.name for file in files], naming)
    found = Loaded(str(place), files, labels, class_names).of_classes(naming)
    with _only_damage_is_told():
        digests = list(for_each(found.files, _digest, "reading", found.place))
        return divide(
            found, digests, naming, decode, shape, key, name=name, cache=cache, dtype=dtype
        )


def read_wave(content: bytes, how: Spectrogram) -> np.ndarray:
    """Decode a sound.

    Its channels are averaged; another rate is changed by a polyphase filter; what is too long is cut off behind, what
    is too short is followed by silence.

    Args:
      content: of a WAV file: whole numbers of 8 to 64 bits, or floats.
      how: the rate and the number of samples wanted.

    Returns:
      f64[T], in units of the loudest sound that the file's format can hold.

    Raises:
      UnreadableError: it is no WAV file, damaged, or odd beyond use.
    """
    from scipy.io import wavfile
    from scipy.signal import resample_poly

    if content[:4] not in (b"RIFF", b"RIFX", b"RF64") or content[8:12] != b"WAVE":
        raise UnreadableError("no WAV inside")
    try:
        rate, samples = wavfile.read(io.BytesIO(content))
    except Exception as error:  # damaged files raise anything
        raise UnreadableError(f"damaged: {str(error).strip() or type(error).__name__}") from error
    if not RATES[0] <= rate <= RATES[1] or samples.size == 0:
        raise UnreadableError(f"{samples.size} samples at {rate} in a second")
    needed = math.ceil(how.num_samples * rate / how.sample_rate) + rate
    wave = _as_floats(samples[:needed])  # a long recording takes no memory to be thrown away
    common = math.gcd(rate, how.sample_rate)
    if rate != how.sample_rate:
        wave = resample_poly(wave, how.sample_rate // common, rate // common)
    wave = wave[: how.num_samples]
    return np.pad(wave, (0, how.num_samples - len(wave)))


def _as_floats(samples: np.ndarray) -> np.ndarray:
    """Average channels [T, C], or [T], in units of the loudest."""
    if samples.ndim == 2 and samples.shape[1] > MAX_CHANNELS:
        raise UnreadableError(f"{samples.shape[1]} channels are too many")
    wave = samples.astype(np.float64)
    if samples.dtype.kind == "u":
        wave -= 128
    if samples.dtype.kind in "iu":
        wave /= 2.0 ** (8 * samples.dtype.itemsize - 1)
    wave = wave.reshape(len(samples), -1).mean(axis=1)
    if not np.isfinite(wave).all():
        raise UnreadableError("values that are not finite")
    return wave


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def _draw(content: bytes, how: Spectrogram) -> np.ndarray:
    return to_picture(read_wave(content, how), how)


def _normalise(content: bytes, how: Spectrogram) -> np.ndarray:
    wave = read_wave(content, how)
    peak = np.abs(wave).max()
    return (wave / (peak or 1.0)).astype(np.float32).reshape(how.wave_shape)


@contextlib.contextmanager
def _only_damage_is_told() -> Iterator[None]:
    """Keep SciPy's warnings of odd files from the terminal, for all threads; a file that ends too soon is an error."""
    from scipy.io.wavfile import WavFileWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", WavFileWarning)
        warnings.filterwarnings("error", "Reached EOF prematurely", WavFileWarning)
        yield
