"""The judges of spoken digits: their file, what they take, and that their answers are what their network says."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.evaluation import judges
from gan_jax.evaluation.features import FeatureFileError, to_bytes
from gan_jax.networks import from_linen
from gan_jax.sampling import to_signed

PICTURES = np.random.default_rng(0).integers(0, 256, (5, *judges.SOUND.shape), np.uint8)


@pytest.fixture(scope="module")
def drawn():
    network = from_linen(judges.network())
    params, _ = network.init(jax.random.key(0), jnp.zeros((2, *judges.SOUND.shape)))
    return network, params, judges.from_bytes(to_bytes(params))


def test_answers_are_those_of_the_network_whatever_the_batch(drawn):
    network, params, found = drawn
    heard = judges.listen(found, PICTURES, batch=2)
    halved = jax.tree.map(lambda w: np.float32(np.float16(w)), params)
    outputs, _ = network.apply(halved, {}, to_signed(jnp.asarray(PICTURES)), train=False)
    features, digits, speakers = np.split(np.asarray(outputs), [64, 75], axis=1)
    np.testing.assert_allclose(heard.features, features, rtol=1e-3, atol=1e-4)
    for logits, said in ((digits, heard.digits), (speakers, heard.speakers)):
        shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        np.testing.assert_allclose(said, shares, rtol=1e-3)
    assert (heard.digits.shape, heard.speakers.shape) == ((5, 11), (5, 7))
    assert heard.images is PICTURES


@pytest.mark.parametrize(
    "pictures", [PICTURES[:, :, :32], PICTURES[:0], PICTURES.astype(np.float32)]
)
def test_other_pictures_are_refused(drawn, pictures):
    with pytest.raises(ValueError, match=r"pictures must be uint8 \[N, \(64, 64, 1\)\], N >= 1"):
        judges.listen(drawn[2], pictures)


def test_the_file_is_the_one_that_is_stated(tmp_path, monkeypatch):
    assert judges.load_judges().sha256 == judges.SHA256
    changed = tmp_path / "spoken_digits.npz"
    changed.write_bytes(judges.FILE.read_bytes()[:-1] + b"?")
    for file, said in ((changed, "must have SHA-256"), (tmp_path / "no.npz", "cannot be read")):
        monkeypatch.setattr(judges, "FILE", file)
        with pytest.raises(FeatureFileError, match=said):
            judges.load_judges()


def test_the_judges_know_recordings_and_no_digit_from_noise(data_dir):
    """One recording of the test set for each speaker and digit, and as much noise."""
    from gan_jax.data.folder.sounds import read_wave
    from gan_jax.evaluation import control_sounds
    from gan_jax.signals import to_pictures

    folder = data_dir / "spoken_digits" / "recordings"
    names = [(digit, speaker) for digit in range(10) for speaker in judges.SPEAKERS]
    files = [folder / f"{digit}_{speaker}_0.wav" for digit, speaker in names]
    waves = np.stack([read_wave(file.read_bytes(), judges.SOUND) for file in files])
    found = judges.load_judges()
    heard = judges.listen(found, to_pictures(waves, judges.SOUND))
    assert (heard.digits.argmax(axis=1) == [digit for digit, _ in names]).mean() > 0.9
    assert (heard.speakers.argmax(axis=1) == np.tile(np.arange(6), 10)).mean() > 0.9
    noise = control_sounds.white_noise(20, judges.SOUND.num_samples, np.random.default_rng(0))
    heard = judges.listen(found, to_pictures(noise, judges.SOUND))
    assert (heard.digits.argmax(axis=1) == judges.DIGITS).all()
