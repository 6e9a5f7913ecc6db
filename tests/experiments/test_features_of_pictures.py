"""Pictures that a network of one's own reads: every number by hand; and runs that different networks measured."""

import json

import jax
import numpy as np
import pytest
from commands import TINY, run
from feature_files import brightness
from picture_files import encoded, solid, write
from PIL import Image

from experiments.command.experiment import Source
from experiments.command.program import UserError
from experiments.measuring import evaluation, given_samples, measures, pictures
from experiments.measuring.classifier_training import fit, recipe_of_pictures
from experiments.measuring.measure import frozen_network
from gan_jax.data.dataset import make_dataset
from gan_jax.evaluation.features import FeatureFileError, embed
from gan_jax.evaluation.own_features import pack, unpack
from gan_jax.models.classifier import classifier_of

SHAPE = (4, 2, 3)
# Brightness of images in [-1, 1]: a feature of (x, 0), where it is not below 0.
TRAIN, UNSEEN, SAMPLES = (np.array(values) for values in (
    [0.2, 0.4, 0.6, 0.2, 0.4, 0.6, 0.2, 0.4, 0.6], [0.3, 0.5, 0.4] * 2, [0.6, 0.8, 1.0, 0.6, 0.8, 1.0]
))  # fmt: skip


def plain(brightness_of: np.ndarray) -> np.ndarray:
    """Images of one brightness each, as pixels."""
    pixels = np.round((brightness_of + 1) * 127.5).astype(np.uint8)
    return np.broadcast_to(pixels[:, None, None, None], (len(pixels), *SHAPE)).copy()


def dataset(values: np.ndarray, names=("dark", "bright")):
    return make_dataset(plain(values), np.zeros(len(values), np.int32), f"grey {names[0]}", names)


@pytest.fixture
def network(tmp_path):
    path = tmp_path / "own.safetensors"
    path.write_bytes(brightness())
    return str(path)


def measured(tmp_path, network, chosen=None, samples=SAMPLES):
    np.savez(tmp_path / "theirs.npz", images=plain(samples))
    request = evaluation.Request(features=network, measures=chosen)
    source = Source(dataset(TRAIN), dataset(UNSEEN))
    found = given_samples.evaluate_samples(
        tmp_path / "theirs.npz", source, request, tmp_path / "out.json"
    )
    return found, {name: row["value"] for name, row in found["measures"].items()}


def test_distances_shares_and_classes_of_colour_pictures_by_hand(tmp_path, network):
    found, value = measured(tmp_path, network)
    assert found["features"] == "own" and found["num_floor_samples"] == 6
    assert found["features_sha256"] == frozen_network("grey", network, SHAPE).sha256
    spread = [np.var(part, ddof=1) for part in (TRAIN, SAMPLES)]
    frechet = 0.4**2 + (spread[0] ** 0.5 - spread[1] ** 0.5) ** 2
    assert value["frechet"] == pytest.approx(frechet, abs=0.01)
    floor = 0.0**2 + (spread[0] ** 0.5 - np.std(UNSEEN, ddof=1)) ** 2
    assert found["measures"]["frechet"]["floor"] == pytest.approx(floor, abs=0.01)

    def mean_kernel(a, b, distinct=False):  # (x . y / 2 + 1)^3, two features of which one is 0
        table = (np.outer(a, b) / 2 + 1) ** 3
        return table[~np.eye(len(a), dtype=bool)].mean() if distinct else table.mean()

    kernel = mean_kernel(TRAIN, TRAIN, True) + mean_kernel(SAMPLES, SAMPLES, True)
    assert value["kernel"] == pytest.approx(kernel - 2 * mean_kernel(TRAIN, SAMPLES), abs=0.02)
    # all are bright, as the training pictures are; the surest, at 1.0, to e^2 / (e^2 + 1 + e^-4) = 0.88
    assert value["class_kl"] == 0 and value["unsure"] == 1
    assert {"precision", "recall", "density", "coverage", "agreement"} <= value.keys()


def test_precision_and_coverage_of_pictures_by_hand(tmp_path, network):
    # k = 5 neighbours of as many training pictures as samples: six of each
    _, near = measured(tmp_path, network, ("manifold",), np.array([0.4] * 6))
    assert near["precision"] == 1 and near["coverage"] == 1
    _, far = measured(tmp_path, network, ("manifold",), np.array([-1.0, -0.9] * 3))
    assert far["precision"] == 0 and far["coverage"] == 0


def test_classes_are_those_of_the_data_whatever_the_network_calls_first():
    kind = measures.kind_named("pictures", "own")
    train = dataset(TRAIN, names=("bright", "dark"))
    yardstick = pictures.through(unpack("own", brightness()), train)
    assert yardstick.knows_classes and kind.name == "images"
    read = yardstick.read(plain(np.array([0.9, -0.9])))
    assert read.probabilities.argmax(axis=1).tolist() == [0, 1]
    np.testing.assert_allclose(read.probabilities.sum(axis=1), 1, rtol=1e-5)
    other = pictures.through(unpack("own", brightness()), dataset(TRAIN, names=("cats", "dogs")))
    assert not other.knows_classes
    unnamed = pictures.through(unpack("own", brightness(names=())), train)
    assert unnamed.knows_classes


def test_whether_a_sample_is_what_was_asked_for_is_not_said_by_who_knows_other_classes(network):
    kind = measures.kind_named("pictures", network)
    asked = measures.named(["asked", "frechet"])
    for names, left in ((("dark", "bright"), asked), (("cats", "dogs"), asked[1:])):
        source = Source(dataset(TRAIN, names), dataset(UNSEEN, names))
        real = evaluation.real_data(kind, evaluation.compared(source, "x"), network, 3, asked)
        assert real.chosen == left
    with pytest.raises(UserError, match="knows other classes than cats, dogs"):
        evaluation.real_data(kind, evaluation.compared(source, "x"), network, 3, asked[:1])


def test_networks_of_another_shape_sounds_and_damaged_files_are_refused(tmp_path, network):
    with pytest.raises(UserError, match=r"reads images of 4x2x3 .* these are 28x28x1; train one"):
        frozen_network("mnist", network)
    with pytest.raises(UserError, match="no network reads spectrograms"):
        measures.kind_named("sounds", network).yardstick(dataset(TRAIN), network)
    with pytest.raises(FeatureFileError, match="cannot be read"):
        frozen_network("mnist", str(tmp_path / "none"))


def test_many_pictures_are_compared_by_number_and_by_bytes(monkeypatch):
    greys = dataset(TRAIN)
    assert pictures.some_of(greys) == (None, {})
    monkeypatch.setattr(pictures, "MOST_BYTES", 5 * 24)
    chosen, facts = pictures.some_of(greys)
    assert len(chosen) == 5 and facts == {"compared": "5 of 9 training pictures"}
    assert sorted(set(chosen.tolist())) == chosen.tolist()
    monkeypatch.setattr(pictures, "MOST", 3)
    assert len(pictures.some_of(greys)[0]) == 3


@pytest.mark.slow
def test_a_classifier_learns_to_tell_colours_apart():
    rng = np.random.default_rng(0)
    labels = np.arange(48, dtype=np.int32) % 3
    images = rng.integers(0, 60, (48, 8, 12, 3), np.uint8)
    images[np.arange(48), :, :, labels] += 150  # red, green, blue
    train = make_dataset(images[:36], labels[:36], "colours", ("r", "g", "b"))
    params = fit(train, recipe_of_pictures((8, 12, 3), mirror=True), num_epochs=16, seed=0)
    packed = pack(params, image_shape=(8, 12, 3), strides=classifier_of((8, 12, 3)).strides)
    _, p = embed(unpack("colours", packed), images[36:])
    assert (p.argmax(axis=1) == labels[36:]).mean() > 0.9


@pytest.mark.slow
def test_a_network_is_trained_measures_a_run_and_refuses_another_networks_numbers(tmp_path):
    folder = tmp_path / "pictures"
    for name, colour in (("red", (200, 0, 0)), ("blue", (0, 0, 200))):
        shades = {
            f"{name}{k}.png": encoded(Image.new("RGB", (8, 8), tuple(c + k for c in colour)))
            for k in range(20)
        }
        write(folder / name, shades)
    data = [f"--data_dir={folder}", f"--data_cache={tmp_path}/kept"]
    for seed in (0, 1):
        out = f"--out={tmp_path}/{seed}.safetensors"
        trained = run("train_features", *data, out, "--num_epochs=2", f"--seed={seed}")
        assert trained.code == 0 and "accuracy" in trained.out, trained.err
    network = frozen_network("pictures", str(tmp_path / "0.safetensors"), (8, 8, 3))
    assert network.class_names == ("blue", "red") and network.facts["num_held_out"] == 4
    assert f"{network.facts['accuracy']:.2%} of 4 unseen images" in run_said(tmp_path, data)
    for seed in (0, 1):
        features = f"--features={tmp_path}/{seed}.safetensors"
        line = [*TINY, *data, f"--workdir={tmp_path}/run{seed}", "--latent_dim=4", features]
        assert run("images", *line, "--eval_every=3", "--eval_samples=100").code == 0
        found = run(
            "evaluate", f"--workdir={tmp_path}/run{seed}", "--num_samples=20", "--measures=frechet"
        )
        assert found.code == 0, found.err
    results = [json.loads((tmp_path / f"run{k}" / "evaluation.json").read_text()) for k in (0, 1)]
    assert results[0][-1]["features_sha256"] == network.sha256 != results[1][-1]["features_sha256"]
    assert "frechet" in results[0][-1]["measures"]
    assert "frechet" in (tmp_path / "run0" / "evaluations.jsonl").read_text()
    compared = run("compare", str(tmp_path / "run0"), str(tmp_path / "run1"))
    assert compared.code == 1 and "measured with different features_sha256" in compared.err


def run_said(tmp_path, data) -> str:
    """What the network of seed 0 is said to reach, by the program that trains it again."""
    again = run("train_features", *data, "--num_epochs=2", f"--out={tmp_path}/again.safetensors")
    first, second = ((tmp_path / f"{name}.safetensors").read_bytes() for name in ("0", "again"))
    assert first == second
    return again.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "--data_dir is missing"),
        (["--out=x.npy"], "--out=x.npy must end in .safetensors"),
        (["--out=/nowhere/x.npz"], "must lie in a folder that exists"),
        (["--data_dir={flat}"], "flat has 0 classes: a feature network learns"),
    ],
)
@pytest.mark.slow
def test_what_no_network_can_learn_from_is_refused_in_a_line(arguments, words, tmp_path):
    write(tmp_path / "flat", solid(4))
    line = [argument.format(flat=tmp_path / "flat") for argument in arguments]
    outcome = run("train_features", *line, "--data_cache=")
    assert outcome.code == 1 and words in outcome.err, outcome.err
    assert jax.process_count() == 1
