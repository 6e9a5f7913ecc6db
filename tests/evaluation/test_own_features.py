"""Feature networks of one's own: what they compute, by hand; and files from anyone, which are believed in nothing."""

import hashlib
import json
import math
import pickle
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from feature_files import NAMES, brightness
from safetensors.numpy import save

from gan_jax.evaluation import own_features
from gan_jax.evaluation.features import FeatureFileError, embed
from gan_jax.evaluation.own_features import pack, read_features, unpack
from gan_jax.models.classifier import classifier_of
from gan_jax.networks import from_linen

IMAGES = np.zeros((3, 4, 2, 3), np.float32)
IMAGES[1] = 0.5
IMAGES[2, 0] = -1.0  # a quarter of the pixels


def test_features_and_probabilities_of_three_images_by_hand():
    features, p = embed(unpack("b", brightness()), IMAGES)
    # float16 weights: a third and a 24th are rounded
    np.testing.assert_allclose(features, [[0, 0], [0.5, 0], [0, 0.25]], atol=4e-3)
    powers = [[1, 1], [1, math.e], [math.exp(0.5), 1]]
    for row, (dark, bright) in zip(p, powers, strict=True):
        total = dark + bright + math.exp(-4)
        np.testing.assert_allclose(
            row, [dark / total, bright / total, math.exp(-4) / total], atol=4e-3
        )


def test_a_file_says_what_it_reads_and_comes_back_as_it_was(tmp_path):
    packed = brightness()
    (tmp_path / "own.safetensors").write_bytes(packed)
    network = read_features(tmp_path / "own.safetensors")
    assert (network.name, network.dim, network.num_classes) == ("own", 2, 3)
    assert network.image_shape == (4, 2, 3) and network.class_names == NAMES
    assert network.facts == {"seed": 7}
    assert network.sha256 == hashlib.sha256(packed).hexdigest()
    assert brightness() == packed


@pytest.mark.slow
def test_a_trained_shape_of_classifier_comes_back_as_it_was():
    classifier, shape = classifier_of((12, 40, 3), num_classes=5), (12, 40, 3)
    images = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (3, *shape)), jnp.float32)
    network = from_linen(classifier)
    params, _ = jax.jit(network.init)(jax.random.key(0), images)
    params = jax.tree.map(lambda a: a.astype(jnp.float16).astype(jnp.float32), params)
    outputs, _ = jax.jit(partial(network.apply, train=False))(params, {}, images)
    found, _ = embed(
        unpack("x", pack(params, image_shape=shape, strides=classifier.strides)), images
    )
    np.testing.assert_allclose(found, outputs[:, :64], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("sides", "layers"), [((8, 8), 4), ((28, 28), 4), ((32, 20), 4), ((64, 64), 5), ((96, 128), 6)]
)
def test_large_images_get_more_layers_so_that_the_smallest_maps_are_alike(sides, layers):
    classifier = classifier_of((*sides, 3))
    assert len(classifier.strides) == len(classifier.widths) == len(classifier.kernels) == layers
    assert max(sides) / math.prod(classifier.strides) <= 4


def test_images_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"shape \[N, 4, 2, 3\], N >= 1, got \(1, 28, 28, 1\)"):
        embed(unpack("b", brightness()), np.zeros((1, 28, 28, 1)) - 1)


def test_a_batch_holds_fewer_images_the_larger_they_are():
    seen = []
    network = unpack("b", brightness())._replace(image_shape=(280, 280, 1))

    def note(images):
        seen.append(images.shape)
        return jnp.zeros((len(images), 2)), jnp.zeros((len(images), 3))

    embed(network._replace(apply=note), np.zeros((3, 280, 280, 1), np.uint8))
    assert seen == [(2, 280, 280, 1)] * 2


def said(packed: bytes) -> dict:
    return own_features._said(packed)


def saying(**changes) -> bytes:
    """A sound file but for what it says of itself."""
    packed = brightness()
    from safetensors.numpy import load

    text = json.dumps(said(packed) | changes)
    return save(load(packed), metadata={own_features.FORMAT: text})


NAN = {"logits": {"kernel": np.full((2, 3), np.nan), "bias": np.zeros(3)}}
WIDE = {"hidden": {"kernel": np.zeros((8, 3)), "bias": np.zeros(3)}}
FOREIGN = {
    "nothing": (b"", "is no feature network"),
    "text": (b"hello, this is no network at all", "is no feature"),
    "pickle": (pickle.dumps({"conv_0": 1}), "is no feature"),
    "half": (brightness()[:-5], "is no feature"),
    "longer": (brightness() + b"x", "is no feature"),
    "no word": (save({"logits.kernel": np.zeros((2, 3), np.float16)}), "no word of what they are"),
    "other": (saying(format="cats"), "it is cats 1, not gan_jax.features 1"),
    "later": (saying(version=2), "it is gan_jax.features 2"),
    "points": (saying(image_shape=[4, 2]), r"images of shape \[4, 2\]"),
    "many channels": (saying(image_shape=[4, 2, 4]), "images of shape"),
    "gigantic": (saying(image_shape=[10**9, 2, 3]), "images of shape"),
    "other size": (saying(image_shape=[8, 2, 3]), "other shapes than its layers"),
    "words": (saying(image_shape=["4", 2, 3]), "images of shape"),
    "truth": (saying(image_shape=[4, 2, True]), "images of shape"),
    "still": (saying(strides=[0]), r"its strides are \[0\]"),
    "no layer": (saying(strides=[]), "its strides are"),
    "a layer more": (saying(strides=[1, 1]), "conv_1"),
    "few names": (saying(class_names=["a"]), "names 1 classes and has 3"),
    "numbers": (saying(class_names=[1, 2, 3]), "class names are no words"),
    "no list": (saying(strides=None), "NoneType"),
    "not finite": (brightness(params=NAN), "logits.kernel holds no finite numbers"),
    "wide": (brightness(params=WIDE), "other shapes than its layers"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_file_that_is_no_network_is_refused_in_a_line(name, tmp_path):
    content, words = FOREIGN[name]
    (tmp_path / "x.safetensors").write_bytes(content)
    with pytest.raises(FeatureFileError, match=words) as caught:
        read_features(tmp_path / "x.safetensors")
    line = str(caught.value)
    assert "\n" not in line and "x.safetensors is no feature network" in line and len(line) < 600


def test_a_large_file_a_large_layer_and_a_missing_file_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "x.safetensors"
    path.write_bytes(brightness())
    monkeypatch.setattr(own_features, "MAX_WORK", 23)  # the one layer lays out 4 x 2 x 3 numbers
    with pytest.raises(FeatureFileError, match="its layers are too large"):
        read_features(path)
    monkeypatch.setattr(own_features, "MAX_WORK", 24)
    assert read_features(path).dim == 2
    monkeypatch.setattr(own_features, "MAX_BYTES", len(brightness()) - 1)
    with pytest.raises(FeatureFileError, match="bytes, at most"):
        read_features(path)
    with pytest.raises(FeatureFileError, match=r"cannot be read .*: name a file that"):
        read_features(tmp_path / "none.safetensors")
    monkeypatch.undo()
    with pytest.raises(FeatureFileError, match="cannot be read"):
        read_features(tmp_path)
