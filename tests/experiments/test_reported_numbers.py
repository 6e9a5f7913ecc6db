"""Every number that is reported, beside one computed by hand."""

import dataclasses
import json
import math
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver
from commands import TINY, call, import_main
from small_runs import Lab, configure
from test_compare import measured

from experiments import compare, gaussians, mnist, stacked_mnist
from experiments.command import own_data
from experiments.command.experiment import Source
from experiments.command.program import UserError
from experiments.many import members, one_call, summary
from experiments.measuring import (
    by_class,
    evaluation,
    floor,
    grey_images,
    measures,
    mixtures,
    monitor,
    pictures,
    pixel_space,
    spoken_digits,
    stacked_digits,
)
from experiments.measuring.measure import Labelled, Measure
from experiments.record.chosen_checkpoint import checkpoints_to_measure, find_checkpoint
from experiments.training import divergence
from gan_jax import data, plots, signals
from gan_jax.data.mixtures import Mixture
from gan_jax.evaluation import features_of_images, judges
from gan_jax.evaluation.bootstrap import bootstrap_interval
from gan_jax.evaluation.frechet import frechet_distance_infinity
from gan_jax.evaluation.kernel import kernel_distance_interval
from gan_jax.evaluation.values import Value
from gan_jax.sampling import sample_latents

LN2 = math.log(2)


def embedded(features, probabilities=((0.5, 0.5),), images=None) -> grey_images.Embedded:
    """Samples with features [N] of one dimension."""
    column = np.asarray(features, np.float32)[:, None]
    pixels = np.zeros((len(column), 1, 1, 1), np.uint8) if images is None else images
    return grey_images.Embedded(pixels, column, np.resize(probabilities, (len(column), 2)))


def value(values, name: str) -> float:
    return values[name].value


# The measures of images


def test_the_four_shares_on_a_line():
    """Balls of the integers 0..6 to their 5th neighbours: radii 5, 4, 3, 3, 3, 4, 5; six samples at 0, one at -10."""
    train, samples = embedded(range(7)), embedded([0] * 6 + [-10])
    found = grey_images.manifold(train, None, samples, 0)
    assert value(found, "precision") == pytest.approx(6 / 7)  # nothing reaches -10
    assert value(found, "density") == pytest.approx(6 * 4 / 7 / 5)  # 0 lies in four balls
    assert value(found, "coverage") == pytest.approx(4 / 7)  # those four
    assert value(found, "recall") == pytest.approx(1 / 7)  # the ball around -10 ends at 0


def test_frechet_between_points_of_a_line():
    """Means 1 and 5; variances 2 (of 0 and 2) and 0: (5 - 1)^2 + 2, of however few samples."""
    train, samples = embedded([0, 2]), embedded([5] * 40)
    found = grey_images.frechet(train, embedded([5, 5]), samples, 20)
    assert value(found, "frechet") == pytest.approx(18)
    assert value(found, "frechet_infinity") == pytest.approx(18)
    assert found["frechet"].interval == pytest.approx((18, 18))


def test_an_interval_is_moved_around_its_value():
    samples = embedded(np.arange(30.0))
    middle, (low, high) = grey_images.frechet(embedded([0, 2]), None, samples, 20)["frechet"]
    assert low < middle < high and middle == pytest.approx((low + high) / 2)


def test_infinitely_many_samples_are_extrapolated_to_from_a_tenth_of_them():
    rng = np.random.default_rng(0)
    train, samples = embedded(rng.normal(size=200)), embedded(rng.normal(size=100))
    found = grey_images.frechet(train, None, samples, 0)
    expected = frechet_distance_infinity(train.features, samples.features, min_samples=10)
    assert value(found, "frechet_infinity") == expected != value(found, "frechet")
    assert value(found, "frechet") == pytest.approx(
        (train.features.mean() - samples.features.mean()) ** 2
        + (train.features.std(ddof=1) - samples.features.std(ddof=1)) ** 2, rel=1e-4
    )  # fmt: skip


def test_unseen_images_are_drawn_at_random_each_once():
    """The published test sets are not in random order."""
    test = SimpleNamespace(images=np.arange(20))
    some = grey_images.unseen(test, 10)
    assert len(set(some)) == 10 and list(some) != sorted(some)
    assert sorted(grey_images.unseen(test, 50)) == list(range(20))


def test_the_kernel_distance_between_two_points():
    """k(x, y) = (x y + 1)^3 in one dimension: k(1, 1) + k(0, 0) - 2 k(1, 0) = 8 + 1 - 2."""
    found = grey_images.kernel(embedded([0] * 5), None, embedded([1] * 5))
    assert value(found, "kernel") == pytest.approx(7)
    assert found["kernel"].interval == pytest.approx((7, 7))


def test_the_kernel_distance_has_the_interval_of_its_own_scatter():
    rng = np.random.default_rng(0)
    train, samples = embedded(rng.normal(size=50)), embedded(rng.normal(size=40))
    expected = kernel_distance_interval(train.features, samples.features)
    found = grey_images.kernel(train, None, samples)["kernel"]
    assert found == (expected.value, expected.interval)
    alone = grey_images.kernel(train, None, samples, 0)["kernel"]
    assert alone.value == pytest.approx(found.value) and alone.interval is None


def test_classes_are_held_against_the_training_images_own():
    train = embedded(range(4), np.eye(2)[[0, 0, 0, 1]])
    samples = embedded(range(2), np.eye(2))
    found = grey_images.classes(train, None, samples, 0)
    assert value(found, "class_kl") == pytest.approx(0.5 * math.log(4 / 3))
    assert value(found, "classifier_score") == pytest.approx(2)
    doubtful = embedded(range(4), [[0.9, 0.1], [0.2, 0.8], [0, 1], [0.89, 0.11]])
    assert value(grey_images.classes(train, None, doubtful, 0), "unsure") == 0.5


def images(*pixels: int) -> grey_images.Embedded:
    return embedded(range(len(pixels)), images=np.uint8(pixels).reshape(-1, 1, 1, 1))


def test_copies_are_nearer_to_the_training_images_than_unseen_ones():
    train, unseen, samples = images(0, 100), images(10, 90), images(5, 96, 140)
    found = grey_images.copies(train, unseen, samples)
    assert value(found, "neighbour_ratio") == pytest.approx(0.5)  # medians 5 and 10
    assert value(found, "copied") == pytest.approx(2 / 3)  # 5 and 4 are below 10, 40 is not


def test_pixels_are_measured_as_a_share_of_their_variance():
    """Training pixels 0, 2, 4: mean 2, variance 4. Samples 6, 6: shift 16 and variance 4, so 20 over 4."""
    train, samples = images(0, 2, 4), images(6, 6)
    found = pixel_space.pixels(train, None, samples, 20)
    assert value(found, "pixel_frechet") == pytest.approx(5)
    assert found["pixel_frechet"].interval == pytest.approx((5, 5))
    assert pixel_space.watch_pixels(train)(samples) == pytest.approx(5)


def test_pixels_of_any_shape_are_measured():
    rng = np.random.default_rng(0)
    both = rng.integers(0, 256, (2, 9, 5, 4, 3), np.uint8)
    train, samples = (SimpleNamespace(images=each) for each in both)
    assert value(pixel_space.pixels(train, None, samples), "pixel_frechet") > 0
    assert value(pixel_space.pixels(train, None, train), "pixel_frechet") == pytest.approx(
        0, abs=1e-6
    )


def test_the_reading_of_a_sample_is_held_against_the_nearest_training_pixels():
    """Pixels 40 are nearest to 0, of class 0, and 60 and 70 to 100, class 1; all are read as class 1."""
    train = embedded(range(2), np.eye(2), np.uint8([0, 100]).reshape(-1, 1, 1, 1))
    samples = embedded(range(3), np.eye(2)[[1, 1, 1]], np.uint8([40, 60, 70]).reshape(-1, 1, 1, 1))
    assert value(pixel_space.agreement(train, None, samples), "agreement") == pytest.approx(2 / 3)


# The measures of points and of stacked digits

TWO = Mixture(np.array([[0, 0], [10, 0]], np.float32), 1.0)


def test_points_on_two_gaussians():
    points = np.array([[0, 0], [3, 0], [0, 3.5], [10, 0]])
    found = mixtures.modes(TWO, None, points, 0)
    kl = 0.75 * math.log(1.5) - 0.25 * LN2
    assert {name: pytest.approx(number) for name, (number, _) in found.items()} == {
        "modes": 2, "high_quality": 0.75, "mode_kl": kl, "shortfall": kl + 0.25
    }  # fmt: skip
    assert mixtures.success(found, TWO) == {"means": "all 2 modes found", "met": True}
    one = mixtures.modes(TWO, None, points[:3], 0)
    assert not mixtures.success(one, TWO)["met"]


def test_triples_of_two_digits():
    """Training digits 0, 0, 0, 1: the triple 000 has share 27/64, and 111 has 1/64."""
    train = stacked_digits.frequencies(np.array([0, 0, 0, 1]))
    samples = np.eye(10)[[[0, 0, 0], [1, 1, 1]]]
    samples[0, 0] = [0.89, 0.11, *[0] * 8]
    found = stacked_digits.coverage(train, None, samples, 0)
    assert {name: pytest.approx(number) for name, (number, _) in found.items()} == {
        "modes": 2,
        "mode_kl": math.log(1000) - LN2,
        "mode_kl_digits": 0.5 * math.log(32 / 27) + 0.5 * math.log(32),
        "unsure": 1 / 6,
    }
    assert stacked_digits.watch_kl(train)(samples) == pytest.approx(math.log(1000) - LN2)


# Spoken digits


def heard(digits, speakers, features=None, pictures=None) -> judges.Heard:
    """Sounds as two judges hear them, each row of `digits` and `speakers` probabilities of classes and of none."""
    column = np.zeros((len(digits), 1)) if features is None else np.asarray(features)[:, None]
    pictures = np.zeros((len(digits), 1, 1, 1), np.uint8) if pictures is None else pictures
    return judges.Heard(pictures, column, np.asarray(digits), np.asarray(speakers))


def test_spoken_digits_are_counted_where_both_judges_are_sure():
    """Two digits, two speakers: modes 0, 0, 1, 3; of the last both doubt, of the second the judge of digits."""
    digits = [[1, 0, 0], [0.5, 0, 0.5], [0.9, 0.1, 0], [0.2, 0.8, 0]]
    speakers = [[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0.5, 0.5]]
    found = spoken_digits.coverage(None, None, heard(digits, speakers), 0)
    assert {name: pytest.approx(number) for name, (number, _) in found.items()} == {
        "sure_digit": 0.5, "sure_speaker": 0.75, "sure": 0.5, "spoken_modes": 2, "spoken_kl": 0.5 * LN2
    }  # fmt: skip
    same = spoken_digits.coverage(None, None, heard(digits[:1] * 4, speakers[:1] * 4), 20)
    assert same["sure"].interval == (1, 1) and same["spoken_kl"].interval == (2 * LN2, 2 * LN2)


def test_a_digit_by_a_speaker_is_heard_where_both_judges_name_it():
    """Two digits, two speakers: pairs 00, 01, 10, 11, then those with a "none"."""
    digits, speakers = np.array([[0.5, 0.3, 0.2]]), np.array([[0.1, 0.6, 0.3]])
    pairs = [0.05, 0.3, 0.03, 0.18, 0.15, 0.09, 0.02, 0.12, 0.06]
    np.testing.assert_allclose(spoken_digits.of_both(digits, speakers), [pairs])


def test_judges_answer_for_digits_speakers_and_both_and_for_nothing_else():
    digits, speakers = np.eye(11)[[3, 10, 9]], np.eye(7)[[5, 0, 6]]
    said = heard(digits, speakers)
    modes = tuple(f"{digit}_{speaker}" for digit in range(10) for speaker in judges.SPEAKERS)
    for names, expected in (
        (tuple("0123456789"), [3, 10, 9]),
        (judges.SPEAKERS, [5, 0, 6]),
        (modes, [3 * 6 + 5, 60 + 10 + 0, 60 + 9]),
    ):
        answered = spoken_digits.probabilities_of(names)(said)
        assert answered.argmax(axis=1).tolist() == expected and answered.max() == 1
    for others in ((), modes[:59], modes[::-1], tuple("012345678")):
        assert spoken_digits.probabilities_of(others) is None


def test_a_game_told_digit_and_speaker_is_measured_by_whether_both_are_heard(monkeypatch):
    """Four sounds, asked for mode 1: right; wrong digit; wrong speaker; no speaker."""
    modes = tuple(f"{digit}_{speaker}" for digit in range(10) for speaker in judges.SPEAKERS)
    said = heard(np.eye(11)[[0, 1, 0, 0]], np.eye(7)[[1, 1, 0, 6]])
    monkeypatch.setattr(spoken_digits, "read", lambda judges, samples: said)
    train = data.Dataset(np.zeros((4, 64, 64, 1), np.uint8), np.ones(4, np.int32), "", "", modes)
    yardstick = spoken_digits.yardstick(train)
    samples = Labelled(yardstick.read(train.images), train.labels)
    assert yardstick.knows_classes and samples.read.digits is said.digits
    assert value(by_class.asked(None, None, samples, 0), "label_agreement") == 0.25
    others = spoken_digits.yardstick(train._replace(class_names=("a", "b")))
    assert not others.knows_classes and others.read(train.images).probabilities is said.digits


def test_sounds_are_compared_in_parts_as_large_as_the_test_set():
    """Training features 0 and 2: mean 1, variance 2. Parts of two unseen: (1, 1) has 2, (5, 5) 16 + 2."""
    train, unseen, samples = (
        heard(np.eye(3)[[0] * len(row)], np.eye(3)[[0] * len(row)], row)
        for row in ([0, 2], [1, 1], [1, 1, 5, 5])
    )
    found = spoken_digits.frechet(train, unseen, samples)
    assert value(found, "spoken_frechet") == pytest.approx((2 + 18) / 2)
    assert value(spoken_digits.frechet(train, unseen, unseen), "spoken_frechet") == pytest.approx(2)
    assert spoken_digits.WATCH.against(train)(unseen) == pytest.approx(2)
    kind, watched = measures.of_kind("spoken_digits"), spoken_digits.WATCH
    assert next(m.watch for m in kind if m.watch) is watched


def test_what_is_heard_of_a_sample_is_its_sound(monkeypatch):
    """Recordings are pictures already; generated pictures go back to waves first, and waves are drawn as they are."""
    monkeypatch.setattr(spoken_digits, "listen", lambda judges, pictures: pictures)
    recording = np.zeros((1, *judges.SOUND.shape), np.uint8)
    assert spoken_digits.read(None, recording) is recording
    tone = np.sin(np.arange(6144.0)).astype(np.float32).reshape(1, 1, 6144, 1)
    drawn = spoken_digits.read(None, tone)
    np.testing.assert_array_equal(drawn, signals.to_pictures(tone.reshape(1, -1), judges.SOUND))
    generated = (drawn / 127.5 - 1).astype(np.float32)
    waves = signals.to_waves(generated, judges.SOUND)
    again = spoken_digits.read(None, generated)
    np.testing.assert_array_equal(again, signals.to_pictures(waves, judges.SOUND))


def test_the_kind_of_sounds_follows_from_the_flags():
    own = configure(Path("unused"), dataset="birds", duration=0.768)
    spoken = dataclasses.replace(own, dataset="spoken_digits")
    kind = measures.kind_of("sounds", own)
    assert kind.name == "sounds" and kind.yardstick is pictures.yardstick
    assert measures.kind_of("sounds", spoken).name == "spoken_digits"
    longer = dataclasses.replace(spoken, duration=1.024)
    assert measures.kind_of("sounds", longer).name == "sounds"
    waves = dataclasses.replace(longer, network="wave")
    found = measures.kind_of("sounds", waves)
    assert found == measures.kind_of("sounds", waves) and found.name == "sounds"
    how = own_data.spectrogram(waves)
    wave = np.sin(np.arange(8192.0)).astype(np.float32)
    train = data.Dataset(np.stack([wave, wave[::-1]]).reshape(2, 1, -1, 1), None, "", "")
    yardstick = found.yardstick(train, None)
    expected = signals.to_pictures(train.images.reshape(2, -1), how)
    np.testing.assert_array_equal(yardstick.train.images, expected)
    np.testing.assert_array_equal(yardstick.read(train.images[:1]).images, expected[:1])


# The table


SEEN = np.arange(7, dtype=np.uint8).reshape(7, 1, 1, 1)
SAMPLES = {
    "images": (embedded(range(7), np.eye(2)[[0] * 6 + [1]], SEEN), images(*range(11, 18)), embedded(range(7))),
    "points": (TWO, None, np.zeros((3, 2))),
    "stacked_digits": (np.ones(1000), None, np.full((4, 3, 10), 0.1)),
}  # fmt: skip
SAMPLES |= dict.fromkeys(("pictures", "sounds"), SAMPLES["images"])
SAMPLES["spoken_digits"] = tuple(
    spoken_digits.HeardOf(
        *heard(np.eye(3)[[0] * 6 + [1]], np.eye(3)[[1] * 7], range(7), each.images),
        np.eye(3)[[0] * 7],
    )
    for each in SAMPLES["images"]
)


@pytest.mark.parametrize("name", measures.MEASURES)
def test_every_number_of_a_measure_has_a_direction_or_is_said_to_have_none(name):
    measure = measures.MEASURES[name]
    for kind in measure.kinds:
        given = SAMPLES[kind]
        if measure.labelled:
            given = [Labelled(read, np.arange(7) % 2) for read in given]
        found = measure.compute(*given, 0)
        assert found.keys() == measure.directions.keys()
        assert all(interval is None for _, interval in found.values())


def test_directions_are_those_of_the_field():
    lower = {"frechet", "frechet_infinity", "kernel", "class_kl", "copied"}
    lower |= {"pixel_frechet", "mode_kl", "mode_kl_digits", "unsure", "shortfall"}
    higher = {"precision", "recall", "density", "coverage", "classifier_score"}
    higher |= {"agreement", "label_agreement"}
    lower |= {"class_frechet", "pixel_class_frechet"}
    higher |= {"modes", "high_quality"}
    higher |= {"sure", "sure_digit", "sure_speaker", "spoken_modes"}
    lower |= {"spoken_kl", "spoken_frechet"}
    numbers = {number for m in measures.MEASURES.values() for number in m.directions}
    assert {n for n in numbers if measures.direction(n) == "lower"} == lower
    assert {n for n in numbers if measures.direction(n) == "higher"} == higher
    assert numbers - lower - higher == {"neighbour_ratio", "class_samples"}
    for measure in measures.MEASURES.values():  # one number, one direction
        for number, direction in measure.directions.items():
            assert measures.direction(number) == direction
        assert measure.watch is None or measure.directions[measure.watch.name] == "lower"


def test_the_fewest_samples_of_a_measure_are_enough_and_one_less_is_not():
    train, unseen, samples = SAMPLES["images"]
    for measure in grey_images.MEASURES:
        few = [
            features_of_images.take(samples, np.arange(measure.fewest - less)) for less in (0, 1)
        ]
        measure.compute(train, unseen, few[0], 2)
        with pytest.raises(ValueError, match="must"):
            measure.compute(train, unseen, few[1], 2)


# --eval_every


def eval_config(**values):
    return configure(Path("unused"), **{"eval_every": 2, "eval_samples": 100, **values})


def first_pixels(network, images):
    """Stands in for a frozen network: the first pixel is the one feature."""
    return images[:, 0, 0].astype(float), np.full((len(images), 10), 0.1)


def test_what_eval_every_says_is_what_evaluate_says_of_the_same_samples(monkeypatch):
    monkeypatch.setattr(features_of_images, "embed", first_pixels)
    digits = data.load("digits")
    pixels = np.zeros_like(digits.images[:4])
    pixels[:, 0, 0, 0] = [1, 3, 1, 3]  # mean 2, variance 4/3
    found = monitor.monitor_for(
        eval_config(dataset="digits"), "images", digits._replace(images=pixels), (28, 28, 1)
    )
    samples = np.full((20, 28, 28, 1), 2 * 12.3 / 255 - 1, np.float32)  # pixels of 12
    assert found.name == "frechet"
    assert found.measure(samples) == pytest.approx((12 - 2) ** 2 + 4 / 3)
    yardstick = grey_images.yardstick(digits._replace(images=pixels))
    whole = grey_images.frechet(yardstick.train, None, yardstick.read(samples), 0)
    assert found.measure(samples) == pytest.approx(value(whole, "frechet"))


def test_eval_every_sums_up_what_points_lack():
    ring = data.load("ring")
    found = monitor.monitor_for(eval_config(dataset="ring"), "points", ring, (2,))
    assert found.name == "shortfall"
    assert found.measure(np.array([[1, 0.02]])) == pytest.approx(math.log(8))
    assert found.measure(np.array([[1, 0.04]])) == pytest.approx(math.log(8) + 1)


def test_eval_every_measures_as_many_samples_as_it_is_told():
    given = []

    def generate(state, latents):
        given.append(len(latents))
        return jnp.zeros((len(latents), 2)) + state

    config = eval_config(dataset="ring", eval_samples=600, latent_dim=2)
    means = monitor.Monitor("mean", lambda samples: float(samples.mean()) + len(samples))
    measure, name = monitor.of_states(means, config, generate)
    assert name == "mean" and measure(3.0) == 603.0 and sum(given) == 600
    assert monitor.of_states(None, config, generate) == (None, "")


@pytest.mark.parametrize(
    ("kind", "dataset", "shape"),
    [("images", "own", (32, 32, 1)), ("images", "own", (28, 28, 3)), ("points", "moons", (2,)),
     ("points", "swiss_roll", (2,)), ("stacked_digits", "mnist", (28, 28, 1))],
)  # fmt: skip
def test_eval_every_of_what_cannot_be_measured_is_refused(kind, dataset, shape):
    nothing = eval_config(dataset=dataset, eval_every=None)
    monitor.check_eval_every(nothing, kind, shape)
    assert monitor.monitor_for(nothing, kind, None, shape) is None
    with pytest.raises(UserError, match=f"--eval_every: nothing .* {dataset}"):
        monitor.monitor_for(eval_config(dataset=dataset), kind, None, shape)


def test_eval_every_of_one_training_image_is_refused():
    digits = data.load("digits")
    one = digits._replace(images=digits.images[:1], labels=digits.labels[:1])
    with pytest.raises(UserError, match="--eval_every: frechet of digits"):
        monitor.monitor_for(eval_config(dataset="digits"), "images", one, (28, 28, 1))


def test_samples_that_are_not_finite_end_a_measurement_in_a_line():
    ring = data.load("ring")
    found = monitor.monitor_for(eval_config(dataset="ring"), "points", ring, (2,))
    with pytest.raises(UserError, match=r"--eval_every: shortfall: .*finite"):
        found.measure(np.full((3, 2), np.nan))


# evaluation.json


CENTRES = data.mixture("ring").centres


def load_ring(config) -> Source:
    assert not config.download
    return Source(*(data.load(config.dataset, split=split) for split in ("train", "test")))


def ring_run(load=load_ring, **facts):
    """A run of which the average of weights draws the 8 modes once each, and the weights themselves one of them."""
    given = []

    def generate(latents, labels=None, *, ema: bool):
        given.append(latents)
        return np.resize(CENTRES if ema else CENTRES[:1], (len(latents), 2))

    dataset = {"shape": [2], "sha256": data.load("ring").sha256, **facts}
    config = configure(Path("unused"), dataset="ring", data_dir="nowhere", latent_dim=2)
    return SimpleNamespace(
        config=config,
        facts={"dataset": dataset},
        experiment=SimpleNamespace(name="fork", kind="points", labelled=False, load=load),
        generate=generate,
        draw_labels=lambda seed, num: None,
        given=given,
    )


def test_an_evaluation_holds_what_was_measured(tmp_path):
    run = ring_run()
    found = evaluation._evaluate(run, evaluation.Request(num_samples=16, seed=3), tmp_path)
    np.testing.assert_array_equal(run.given[0], sample_latents(jax.random.key(3), 16, 2))
    rows = found.pop("measures")
    assert found == {
        "num_samples": 16, "num_floor_samples": 16, "seed": 3, "ema": True,
        "success": {"means": "all 8 modes found", "met": True},
    }  # fmt: skip
    assert rows["modes"]["value"] == 8 and rows["high_quality"]["value"] == 1
    assert rows["high_quality"]["interval"] == [1, 1]
    unseen = data.load("ring", split="test").images[:16]
    floors = mixtures.numbers(unseen, data.mixture("ring"))
    assert {name: row["floor"] for name, row in rows.items()} == floors
    assert rows["mode_kl"]["value"] == pytest.approx(0) and floors["mode_kl"] > 0.1


def test_without_the_average_the_weights_themselves_are_measured(tmp_path):
    found = evaluation._evaluate(
        ring_run(), evaluation.Request(num_samples=16, ema=False), tmp_path
    )
    assert found["ema"] is False and not found["success"]["met"]
    assert found["measures"]["modes"]["value"] == 1
    assert found["measures"]["mode_kl"]["value"] == pytest.approx(math.log(8))


def part(dataset, num: int):
    return data.make_dataset(dataset.images[:num], dataset.labels[:num], dataset.name)


def test_more_samples_than_unseen_data_are_said(tmp_path):
    """And the unseen data are those that the experiment holds out."""

    def load(config):
        source = load_ring(config)
        return source._replace(held_out=part(source.held_out, 5))

    found = evaluation._evaluate(ring_run(load), evaluation.Request(num_samples=16), tmp_path)
    assert found["num_samples"] == 16 and found["num_floor_samples"] == 5
    text = evaluation.table({"checkpoint": "last", "step": 6, **found})
    assert "floor: only 5 unseen real samples exist" in text


def test_a_run_is_measured_against_the_data_that_its_experiment_loads(tmp_path):
    asked = []

    def load(config):
        asked.append(config.data_dir)
        source = load_ring(config)
        return Source(part(source.train, 50), source.held_out)

    run = ring_run(load, sha256=part(data.load("ring"), 50).sha256)
    evaluation.real_data.cache_clear()
    for place in (None, "elsewhere"):
        request = evaluation.Request(num_samples=16, data_dir=place)
        assert evaluation._evaluate(run, request, tmp_path)["measures"]["modes"]["value"] == 8
    assert asked == ["nowhere", "elsewhere"]
    assert evaluation.real_data.cache_info().hits == 1  # the same data are read once
    evaluation._evaluate(ring_run(), request, tmp_path)
    assert evaluation.real_data.cache_info().misses == 2


def test_an_experiment_without_unseen_data_is_told_what_it_lacks(tmp_path):
    run = ring_run(lambda config: Source(data.load("ring")))
    with pytest.raises(UserError, match=r"fork loads no unseen data .* Source\(train, held_out\)"):
        evaluation._evaluate(run, evaluation.Request(num_samples=16), tmp_path)


@pytest.mark.parametrize(
    ("module", "dataset"), [(mnist, "digits"), (gaussians, "ring"), (stacked_mnist, "digits")]
)
def test_every_program_holds_data_out(module, dataset, tmp_path):
    source = module.EXPERIMENT.load(configure(tmp_path, dataset=dataset))
    test = data.load(dataset, split="test")
    assert source.held_out.sha256 == test.sha256 != source.train.sha256


def test_other_data_than_the_runs_are_refused(tmp_path):
    run = ring_run(sha256="0" * 64)
    with pytest.raises(UserError, match="not those that the run was trained on"):
        evaluation._evaluate(run, evaluation.Request(num_samples=16), tmp_path)


def test_a_table_shows_value_interval_and_floor():
    result = {
        "checkpoint": "best", "step": 4, "num_samples": 1000, "num_floor_samples": 1000,
        "measures": {
            "frechet": {"value": 1.5, "interval": [1.25, 1.75], "floor": 0.5},
            "copied": {"value": 0.25, "interval": None, "floor": 0.01},
        },
    }  # fmt: skip
    head, names, *rows = evaluation.table(result).splitlines()
    assert head == "best checkpoint, step 4, 1,000 samples"
    assert names.split() == ["value", "95", "%", "interval", "floor"]
    assert [row.split() for row in rows] == [
        ["frechet", "1.5", "1.25", "to", "1.75", "0.5"],
        ["copied", "0.25", "0.01"],
    ]


# summary.json


def result(modes: float, met: bool = True, checkpoint: str = "last") -> dict:
    row = {"value": modes, "interval": None, "floor": 8.0}
    facts = {"num_samples": 100, "num_floor_samples": 100, "seed": 0, "ema": True}
    return {
        **facts, "checkpoint": checkpoint, "success": {"means": "all", "met": met}, "measures": {"modes": row},
    }  # fmt: skip


def test_a_summary_of_five_seeds_and_one_that_diverged():
    numbers = {"a": 8, "b": 1, "c": 4, "d": 3, "e": 2}
    results = {name: [result(float(n), met=n > 3)] for name, n in numbers.items()}
    names = [*numbers, "f", "g"]
    group = summary.summarise("last", "label", names, results, {"f": "nan"}, {"g": "it stopped"})
    assert group["runs"] == list(numbers)
    assert group["diverged"] == ["f"] and group["left_out"] == {"g": "it stopped"}
    assert group["success"] == {"means": "all", "met": 2, "of": 6, "rate": pytest.approx(1 / 3)}
    row = group["measures"]["modes"]
    assert row["values"] == [8, 1, 4, 3, 2] and row["floor"] == 8
    assert row["median"] == 3 and row["quartiles"] == [2, 4] and row["mean"] == 3.6
    for name, statistic in (("median", np.median), ("mean", np.mean)):
        interval = bootstrap_interval(statistic, row["values"], num_resamples=10_000)
        assert row[f"{name}_interval"] == list(interval) and interval.low < row[name]
    title, _, line = summary.table(group).splitlines()
    assert title.startswith("label, last checkpoint, 5 seeds, 1 diverged, 1 left out")
    assert title.endswith("100 samples each; success (all): 2 of 6")
    assert line.split()[:2] == ["modes", "3"] and line.split()[-1] == "8"
    assert "2 to 4" in line and "1 to 8" in line


def test_two_runs_have_the_median_between_them():
    group = summary.summarise(
        "last", "", ["a", "b"], {"a": [result(1.0)], "b": [result(2.0)]}, {}, {}
    )
    row = group["measures"]["modes"]
    assert row["median"] == row["mean"] == 1.5 and row["quartiles"] == [1.25, 1.75]
    assert group["success"]["rate"] == 1


def test_the_best_and_the_last_checkpoints_are_summed_up_apart():
    results = {
        "a": [result(7.0, checkpoint="best"), result(5.0)],
        "b": [result(6.0)],  # its last is its best
        "c": [result(4.0, checkpoint="step_2")],
    }
    assert summary._checkpoints([results["a"], results["b"]]) == ["best", "last"]
    assert summary._checkpoints([results["b"]]) == ["last"] == summary._checkpoints([()])
    assert summary._checkpoints([results["c"]]) == ["step_2"]
    for checkpoint, values in (("best", [7, 6]), ("last", [5, 6])):
        group = summary.summarise(checkpoint, "", ["a", "b"], results, {}, {})
        assert group["measures"]["modes"]["values"] == values


# compare


def sentence(differences: list[float]) -> str:
    a = measured("a", dict.fromkeys(range(len(differences)), 10.0))
    b = measured("b", {seed: 10.0 + difference for seed, difference in enumerate(differences)})
    return compare.in_words(compare.compare(a, b))[-1].strip()


def test_five_seeds_are_too_few_and_six_are_not():
    assert sentence([-1.0] * 5).endswith("fewer than 6 seeds, which cannot rule out luck")
    expected = "frechet: lower by 1 (better), 95 % interval -1 to -1, lower on 6 of 6 seeds"
    assert sentence([-1.0] * 6) == expected


def test_differences_are_the_other_less_the_first_and_their_median():
    text = sentence([2.0, 2.0, 2.0, 2.0, 2.0, 4.0, -1.0])
    assert text.startswith("frechet: higher by 2 (worse), 95 % interval ")
    assert "higher on 6 of 7 seeds" in text


@pytest.mark.parametrize(
    ("number", "verdict"),
    [("mode_kl_digits", "better"), ("unsure", "better"), ("neighbour_ratio", "neither better nor worse by itself"),
     ("modes", "worse"), ("shortfall", "better")],
)  # fmt: skip
def test_a_lower_number_is_judged_by_its_direction(number, verdict):
    a, b = measured("a", {0: 2.0}, measure=number), measured("b", {0: 1.0}, measure=number)
    assert f"{number}: lower by 1 ({verdict})" in compare.in_words(compare.compare(a, b))[-1]


def test_the_best_of_one_is_not_compared_with_the_last_of_another():
    a, b = (measured(c, {0: 1.0}, result={"checkpoint": c}) for c in ("best", "last"))
    with pytest.raises(UserError, match=r"different checkpoint \(best, last\)"):
        compare.compare(a, b)


# floors


def test_floors_are_means_over_subsets_with_their_spread():
    given = []

    def compute(train, unseen, samples, resamples):
        given.append((train, samples, resamples))
        return {"a": Value(float(len(given)))}

    counting = Measure("counting", ("images",), {"a": None}, compute)
    rng = np.random.default_rng(0)
    row = floor.row([counting], embedded(range(9)), embedded(range(5)), size=4, subsets=3, rng=rng)
    assert row == {"num_samples": 4, "a": 2.0, "a_std": pytest.approx(math.sqrt(2 / 3))}
    for train, samples, resamples in given:
        assert sorted(train.features[:, 0]) == list(range(9)) and resamples == 0
        assert len(set(samples.features[:, 0])) == 4
    head, line = floor.table([row]).splitlines()
    assert head.split() == ["n", "a"] and line.split() == ["4", "2", "+-", "0.82"]


# The log of a run


def records(folder) -> list[dict]:
    return [json.loads(line) for line in (Path(folder) / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture
def lab(monkeypatch):
    """A lab whose chunks of 2 steps take one second each by the clock, and nothing else takes time."""
    lab, clock = Lab(monkeypatch), [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])

    def tick(moment: str) -> None:
        clock[0] += moment == "after a chunk"

    lab.listener = tick
    return lab


def test_a_log_has_means_seconds_and_images(lab, tmp_path, capsys):
    def scripted(metrics, first_step):
        return {"d_loss": np.arange(first_step, first_step + len(metrics["d_loss"]), dtype=float)}

    lab.meddle = scripted
    config = configure(tmp_path / "run", log_every=4, checkpoint_every=2)
    assert lab.train(config, capsys).code == 0
    first, second = records(tmp_path / "run")
    assert first["step"] == 4 and second["step"] == 6
    assert first["d_loss"] == 2.5 and second["d_loss"] == 5.5
    assert first["images"] == 16 and second["images"] == 24  # batches of 4
    assert first["seconds"] == 2 and second["seconds"] == 3
    assert first["images_per_second"] == second["images_per_second"] == 8


def test_a_resumed_run_counts_each_second_once(lab, tmp_path, capsys):
    """Killed after step 2, between two lines of the log, and gone on with."""
    config = configure(tmp_path / "run", log_every=4, checkpoint_every=2)
    tick, folder = lab.listener, tmp_path / "run"

    class Killed(BaseException):
        pass

    def die(moment: str) -> None:
        tick(moment)
        if lab.moments.count("before a chunk") == 2:
            raise Killed

    lab.listener = die
    with pytest.raises(Killed):
        lab.train(config, capsys)
    lab.listener = tick
    assert lab.train(config, capsys).code == 0
    assert [record["seconds"] for record in records(folder)] == [2, 3]
    assert [record["images_per_second"] for record in records(folder)] == [8, 8]


def test_the_best_checkpoint_is_the_best_and_the_last_the_last(tmp_path, capsys, monkeypatch):
    distances = iter([3.0, 1.0, 2.0])
    monkeypatch.setattr(Lab, "_measure", lambda lab, state: next(distances))
    lab, folder = Lab(monkeypatch), tmp_path / "run"
    outcome = lab.train(configure(folder, eval_every=2), capsys)
    assert "distance: best 1 at step 4, last 2 at step 6" in outcome.out
    assert checkpoints_to_measure(folder, None) == {"best": 4, "last": None}
    assert checkpoints_to_measure(folder, "best") == {"best": 4}
    assert checkpoints_to_measure(folder, "04") == {"step_4": 4}
    assert checkpoints_to_measure(folder, "last") == {"last": None}
    with pytest.raises(UserError, match=r"--checkpoint=3: .* there are: 4, 6"):
        find_checkpoint(folder, "3")
    with pytest.raises(UserError, match="--checkpoint=newest: choose last, best"):
        find_checkpoint(folder, "newest")
    monkeypatch.setattr(evaluation, "_evaluate", lambda run, request, workdir: {"seen": run.step})
    for choice, found in ((None, [("best", 4), ("last", 6)]), ("best", [("best", 4)])):
        results = evaluation.evaluate_run(folder, evaluation.Request(checkpoint=choice))
        assert results == json.loads((folder / "evaluation.json").read_text())
        assert [(r["checkpoint"], r["step"], r["seen"]) for r in results] == [
            (name, step, step) for name, step in found
        ]


def test_a_run_is_finished_with_its_last_step_and_has_no_best_without_eval_every(
    lab, tmp_path, capsys
):
    lab.train(configure(tmp_path / "run"), capsys)
    summary._check_finished(tmp_path / "run", 6)
    for num_steps in (5, 7):
        with pytest.raises(UserError, match=f"it has taken 6 of {num_steps} steps"):
            summary._check_finished(tmp_path / "run", num_steps)
    with pytest.raises(UserError, match=r"population\.json names no --num_steps"):
        summary._check_finished(tmp_path / "run", None)
    with pytest.raises(UserError, match=r"--checkpoint=best: .* without --eval_every"):
        find_checkpoint(tmp_path / "run", "best")
    assert checkpoints_to_measure(tmp_path / "run", None) == {"last": None}


@pytest.mark.slow
def test_runs_of_one_call_share_its_time_and_every_batch_is_counted(tmp_path, monkeypatch, capsys):
    """Each reading of the clock by a module of ours is a second later: every chunk takes one second."""
    clock, real = [0.0], time.perf_counter

    def perf_counter() -> float:
        if not sys._getframe(1).f_globals.get("__name__", "").startswith("experiments."):
            return real()
        clock[0] += 1
        return clock[0]

    monkeypatch.setattr(time, "perf_counter", perf_counter)
    monkeypatch.setattr(summary, "conclude", lambda *arguments: None)
    for picture in ("save_curves", "save_animation", "save_scatter"):
        monkeypatch.setattr(plots, picture, lambda *arguments, **options: None)
    folder = tmp_path / "many"
    arguments = [
        *TINY,
        "--num_steps=4",
        "--dataset=ring",
        "--latent_dim=2",
        "--batch_size=8",
        "--n_dis=2",
    ]
    arguments += ["--seeds=0,1", "--together=yes", f"--workdir={folder}"]  # fmt: skip
    assert call(import_main("gaussians"), arguments, capsys).code == 0
    for name in ("seed_0", "seed_1"):
        first, second = records(folder / name)
        assert first["seconds"] == 0.5 and second["seconds"] == 1
        assert first["images"] == 32 and second["images"] == 64  # 2 batches of 8 in each step
        assert first["images_per_second"] == second["images_per_second"] == 64


def test_the_line_for_many_runs_has_medians_and_the_sum_of_speeds():
    logs = [{"step": 4, "d_loss": d, "images_per_second": s} for d, s in ((1.0, 10), (5.0, 20), (2.0, 30))]  # fmt: skip
    assert one_call._middle(logs) == {"step": 4, "d_loss": 2.0, "images_per_second": 60}


# Divergence


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_noticed(bad):
    with pytest.raises(divergence.DivergedError, match="weights not finite after step 7"):
        divergence.check_state({"w": jnp.array([1.0, bad])}, 7)
    with pytest.raises(divergence.DivergedError, match="d_loss not finite at step 12"):
        divergence.check_metrics({"d_loss": np.array([0, 1, bad]), "g_loss": np.zeros(3)}, 10)
    divergence.check_state({"w": jnp.array([1.0, 1e30])}, 7)


# --sweep


def test_the_limit_of_a_sweep_counts_every_pair(monkeypatch):
    monkeypatch.setattr(members, "MOST", 6)
    members.define_flags()

    def count(*arguments: str) -> int:
        with flagsaver.flagsaver():
            flags.FLAGS(["program", *arguments])
            return len(members.from_flags("W"))

    assert count("--seeds=0..2", "--sweep=r1_gamma:1,2") == 6
    for arguments in (
        ("--seeds=0..2", "--sweep=r1_gamma:1,2,3"),
        ("--sweep=g_lr:1,2,3", "--sweep=d_lr:1,2,3"),
    ):
        with pytest.raises(UserError, match="more than 6 runs"):
            count(*arguments)
