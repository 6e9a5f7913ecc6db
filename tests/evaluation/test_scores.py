"""All measures at once: the numbers of the single measures, and those of other people's programs."""

import numpy as np
import pytest
import scipy.linalg

from gan_jax.evaluation import Score, evaluate, features_of_images, pixels_of_images
from gan_jax.evaluation.features_of_images import Embedded

RNG = np.random.default_rng(0)
TRAIN, UNSEEN, SAMPLES = (
    RNG.integers(0, high, (num, 4, 5, 3), np.uint8)
    for num, high in ((60, 256), (50, 256), (40, 230))
)


def means(images):
    """Features [N, 5] and probabilities [N, 3] of pictures: means over rows and channels."""
    values = np.asarray(images, np.float64)
    shares = values.mean(axis=(1, 2))
    return values.mean(axis=(1, 3)), shares / shares.sum(axis=1, keepdims=True)


@pytest.fixture(scope="module")
def found():
    return evaluate(SAMPLES, TRAIN, UNSEEN, means, resamples=20)


def test_every_number_stands_beside_its_floor_of_as_many_unseen_images(found):
    train, real, generated = (Embedded(x, *means(x)) for x in (TRAIN, UNSEEN[:40], SAMPLES))
    for module in (features_of_images, pixels_of_images):
        for name in ("frechet", "kernel", "manifold", "classes", "copies", "pixels", "agreement"):
            if measure := getattr(module, name, None):
                floors = measure(train, real, real, 0)
                for number, (value, interval) in measure(train, real, generated, 20).items():
                    assert found[number] == Score(value, interval, floors[number].value)
    assert len(found) == 14


def test_the_frechet_distance_is_that_of_its_textbook_formula(found):
    a, b = means(TRAIN)[0], means(SAMPLES)[0]
    cross = scipy.linalg.sqrtm(np.cov(a.T) @ np.cov(b.T)).real
    textbook = np.sum((a.mean(0) - b.mean(0)) ** 2) + np.trace(np.cov(a.T) + np.cov(b.T) - 2 * cross)  # fmt: skip
    assert found["frechet"].value == pytest.approx(textbook, rel=1e-4)


def test_precision_recall_density_coverage_are_those_of_prdc():
    """Prdc counts a point on the edge of a ball as outside, so no pair may lie on one: k = 5 as in ours."""
    prdc = pytest.importorskip("prdc", reason="prdc is not installed: pip install prdc")
    samples = RNG.integers(0, 256, (60, 4, 5, 3), np.uint8)
    theirs = prdc.compute_prdc(means(TRAIN)[0], means(samples)[0], nearest_k=5)
    ours = evaluate(samples, TRAIN, UNSEEN, means, resamples=0)
    for name, value in theirs.items():
        assert ours[name].value == pytest.approx(value, abs=1e-4), name


def test_the_kernel_distance_is_that_of_its_textbook_formula(found):
    """The unbiased estimate: no pair of a sample with itself."""
    a, b = means(TRAIN)[0], means(SAMPLES)[0]

    def kernel(x, y):
        return (x @ y.T / 5 + 1) ** 3

    def apart(x):
        k = kernel(x, x)
        return (k.sum() - np.trace(k)) / (len(x) * (len(x) - 1))

    textbook = apart(a) + apart(b) - 2 * kernel(a, b).mean()
    assert found["kernel"].value == pytest.approx(textbook, rel=1e-4)


def test_features_alone_leave_classes_out_and_no_features_leave_pixels():
    features = evaluate(SAMPLES, TRAIN, UNSEEN, lambda x: means(x)[0], resamples=0)
    assert "frechet" in features and not {"class_kl", "unsure", "agreement"} & features.keys()
    pixels = evaluate(SAMPLES, TRAIN, UNSEEN, resamples=0)
    assert pixels.keys() == {"pixel_frechet", "neighbour_ratio", "copied"}
    assert pixels["pixel_frechet"] == features["pixel_frechet"]


def test_floats_are_the_pixels_they_would_be_saved_as(found):
    signed = (SAMPLES.astype(np.float32) - 127.5) / 127.5
    assert evaluate(signed, TRAIN, UNSEEN, means, resamples=20) == found


def test_a_shipped_network_is_named():
    images, others = RNG.integers(0, 256, (2, 12, 28, 28, 1), np.uint8)
    scores = evaluate(images, images[::-1], others, "mnist", resamples=0)
    assert scores["frechet"].value == pytest.approx(0, abs=1e-2)


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (SAMPLES[:5], r"samples must have shape \[N, H, W, C\], N >= 11, got \(5, 4, 5, 3\)"),
        (SAMPLES[..., :1], "agree in shape per image"),
        (SAMPLES / 255, r"samples must be uint8 pixels or floats in \[-1, 1\], .* by 2 x - 1"),
        (SAMPLES.astype(int), "got int64 from 0"),
        (np.full(SAMPLES.shape, np.nan), "from nan to nan"),
    ],
)
def test_what_cannot_be_measured_is_refused(samples, message):
    with pytest.raises(ValueError, match=message):
        evaluate(samples, TRAIN, UNSEEN)
