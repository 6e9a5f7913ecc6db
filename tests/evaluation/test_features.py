"""The frozen feature networks: the files are the ones stated, and each image is judged alone."""

import hashlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import data
from gan_jax.evaluation import features
from gan_jax.evaluation.features import (
    SHA256,
    FeatureFileError,
    embed,
    from_bytes,
    load_features,
    to_bytes,
)
from gan_jax.models.classifier import Classifier, fold_batch_norm
from gan_jax.networks import from_linen
from gan_jax.sampling import to_signed

NAMES = sorted(SHA256)
LEAST_ACCURACY = {"mnist": 0.994, "fashion_mnist": 0.92}


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (13, 28, 28, 1), np.uint8)


def shipped(name: str) -> bytes:
    return (features.FOLDER / f"{name}.npz").read_bytes()


@pytest.mark.parametrize("name", NAMES)
def test_a_network_names_the_file_it_came_from(name):
    network = load_features(name)
    assert (network.name, network.dim, network.num_classes) == (name, 64, 10)
    assert network.sha256 == SHA256[name] == hashlib.sha256(shipped(name)).hexdigest()


def test_the_files_are_small_and_hold_finite_half_precision_numbers():
    assert sum(len(shipped(name)) for name in NAMES) < 1_000_000
    for name in NAMES:
        with np.load(features.FOLDER / f"{name}.npz", allow_pickle=False) as arrays:
            assert all(array.dtype == np.float16 for array in arrays.values())
            assert all(np.isfinite(array).all() for array in arrays.values())


@pytest.mark.parametrize("where", [100, 100_000, -1])
def test_a_file_with_one_changed_byte_is_refused_with_the_way_to_restore_it(
    tmp_path, monkeypatch, where
):
    damaged = bytearray(shipped("mnist"))
    damaged[where] ^= 1
    (tmp_path / "mnist.npz").write_bytes(damaged)
    monkeypatch.setattr(features, "FOLDER", tmp_path)
    found = hashlib.sha256(damaged).hexdigest()
    with pytest.raises(FeatureFileError, match=f"{SHA256['mnist']}, got {found}; restore it with"):
        load_features("mnist")


def test_a_missing_file_and_an_unknown_name_are_refused(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"name must be one of .*mnist.*, got 'cifar10'"):
        load_features("cifar10")
    monkeypatch.setattr(features, "FOLDER", tmp_path)
    with pytest.raises(ValueError, match=r"mnist\.npz cannot be read .*; restore it with"):
        load_features("mnist")


@pytest.mark.parametrize("name", NAMES)
def test_features_are_rectified_and_probabilities_sum_to_one(name, pixels):
    found, probabilities = embed(load_features(name), pixels, batch=5)
    assert found.shape == (13, 64) and probabilities.shape == (13, 10)
    assert found.dtype == probabilities.dtype == np.float32
    assert isinstance(found, np.ndarray) and isinstance(probabilities, np.ndarray)
    assert found.min() >= 0 and found.max() > 0 and probabilities.min() >= 0
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)


def test_an_image_is_judged_alone_whatever_the_batch(pixels):
    network = load_features("mnist")
    whole = embed(network, pixels, batch=13)
    backwards = embed(network, pixels[::-1], batch=13)
    for a, b in zip(whole, backwards, strict=True):
        np.testing.assert_array_equal(a, b[::-1])
    for batch in (1, 5, 40):
        for a, b in zip(whole, embed(network, pixels, batch=batch), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def test_pixels_and_the_floats_they_stand_for_have_the_same_features(pixels):
    network = load_features("mnist")
    for a, b in zip(
        embed(network, pixels, batch=13),
        embed(network, to_signed(jnp.asarray(pixels)), batch=13),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)  # one rounding of a pixel


def test_one_program_serves_all_batches_and_both_networks(pixels):
    sizes = []
    for name in NAMES:
        for num in (6, 7, 13):
            embed(load_features(name), pixels[:num], batch=6)
            sizes.append(features.apply._cache_size())
    assert len(set(sizes)) == 1


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((4, 28, 28)), r"shape \[N, 28, 28, 1\], N >= 1, got \(4, 28, 28\)"),
        (np.zeros((4, 32, 32, 1)), r"got \(4, 32, 32, 1\)"),
        (np.zeros((0, 28, 28, 1)), r"got \(0, 28, 28, 1\)"),
        (np.zeros((4, 28, 28, 1), int), "uint8 or floats in .*, got int64"),
        (np.full((4, 28, 28, 1), np.nan), "finite, got 4 of 4 that are not"),
        (np.full((4, 28, 28, 1), -np.inf), "finite, got 4 of 4 that are not"),
        (np.full((4, 28, 28, 1), 255.0), r"\[-1, 1\], got values from 255.0 to 255.0"),
        (np.full((4, 28, 28, 1), -1.01), r"\[-1, 1\], got values from -1.01 to -1.01"),
        (
            np.zeros((4, 28, 28, 1)),
            r"got values from 0.0 to 0.0, which look like \[0, 1\]; map them",
        ),
    ],
)
def test_images_that_cannot_be_judged_are_refused(images, message):
    with pytest.raises(ValueError, match=message):
        embed(load_features("mnist"), images)


def test_pictures_between_0_and_1_are_refused_unless_the_caller_vouches_for_them(pixels):
    network, washed_out = load_features("mnist"), pixels / np.float32(255)
    with pytest.raises(
        ValueError, match=r"look like \[0, 1\]; map them by 2 x - 1, or say signed=True"
    ):
        embed(network, washed_out)
    assert embed(network, washed_out, signed=True)[0].shape == (13, 64)
    for a, b in zip(embed(network, 2 * washed_out - 1), embed(network, pixels), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


def test_a_batch_without_images_is_refused(pixels):
    with pytest.raises(ValueError, match="batch must be at least 1, got 0"):
        embed(load_features("mnist"), pixels, batch=0)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_stated_accuracy_is_reached_on_the_real_test_set(name, data_dir):
    test = data.load(name, split="test", data_dir=data_dir)
    _, probabilities = embed(load_features(name), test.images)
    accuracy = (probabilities.argmax(axis=1) == test.labels).mean()
    assert accuracy >= LEAST_ACCURACY[name]
    (stated,) = (row for row in features.__doc__.splitlines() if row.startswith(f"| {name} |"))
    assert f"| {100 * accuracy:.2f} % of {len(test.labels):,} |" in stated


def test_the_same_weights_are_the_same_bytes_and_come_back_as_they_were():
    packed = shipped("mnist")
    network = from_bytes("mnist", packed)
    (params,) = network.apply.args
    assert to_bytes(dict(reversed(params.items()))) == to_bytes(params) == packed


def test_products_are_computed_in_full_precision_on_every_platform(pixels):
    (params,) = load_features("mnist").apply.args
    text = features.apply.trace(params, to_signed(pixels)).lower(lowering_platforms=("tpu",))
    products = [
        line
        for line in text.as_text().splitlines()
        if "dot_general" in line or "convolution(" in line
    ]
    assert len(products) == 6 and all("HIGHEST" in line for line in products)


@pytest.mark.slow
def test_folding_batch_norm_away_changes_nothing(pixels):
    def redraw(key, tree):
        leaves, structure = jax.tree.flatten(tree)
        keys = jax.random.split(key, len(leaves))
        drawn = [
            jax.random.uniform(k, x.shape, minval=0.5) for k, x in zip(keys, leaves, strict=True)
        ]
        return jax.tree.unflatten(structure, drawn)

    images = to_signed(pixels)
    training, frozen = from_linen(Classifier(batch_norm=True)), from_linen(Classifier())
    init_key, scale_key, state_key = jax.random.split(jax.random.key(0), 3)
    params, model_state = jax.jit(training.init)(init_key, images)
    norms = {name: layer for name, layer in params.items() if name.endswith("_norm")}
    params, model_state = params | redraw(scale_key, norms), redraw(state_key, model_state)

    @jax.jit
    def both(params, model_state):
        expected, _ = training.apply(params, model_state, images, train=False)
        found, _ = frozen.apply(fold_batch_norm(params, model_state), {}, images, train=False)
        return expected, found

    expected, found = both(params, model_state)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
