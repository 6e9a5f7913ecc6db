"""`experiments.images`: one command on a folder that no one prepared trains, or names the file that is in the way."""

import dataclasses
import json

import jax
import numpy as np
import pytest
from commands import TINY, call, import_main
from picture_files import encoded, noise, solid, unprepared, write
from PIL import Image
from small_runs import configure

from experiments import images
from experiments.command import own_data
from experiments.command.experiment import Source, Task
from experiments.command.program import UserError
from experiments.measuring import evaluation, measures, pictures
from experiments.record.restored import restore_run
from experiments.training import feed
from gan_jax.data.dataset import make_dataset
from gan_jax.sampling import sample_triples

SMALL = (*TINY, "--num_steps=2", "--image_size=8x12", "--compilation_cache=", "--latent_dim=4")


@pytest.fixture(scope="module")
def main():
    return import_main("images")


def command(folder, tmp_path, *more: str) -> list[str]:
    return [
        f"--data_dir={folder}",
        f"--workdir={tmp_path}/run",
        f"--data_cache={tmp_path}/kept",
        *SMALL,
        *more,
    ]


def test_an_unprepared_folder_trains_and_is_measured(main, tmp_path, capsys):
    folder = write(tmp_path / "my pictures", unprepared() | solid(8))
    outcome = call(main, command(folder, tmp_path), capsys)
    assert outcome.code == 0, outcome.err
    assert "19 samples of my_pictures" in outcome.out
    run = json.loads((tmp_path / "run" / "run.json").read_text())
    assert run["dataset"]["shape"] == [8, 12, 3] and run["config"]["dataset"] == "my_pictures"
    with Image.open(tmp_path / "run" / "samples.png") as drawn:
        assert drawn.mode == "RGB"
    (found,) = evaluation.evaluate_run(tmp_path / "run", evaluation.Request(num_samples=20))
    assert found["features"] == "none, pixels only" and found["num_floor_samples"] == 2
    assert set(found["measures"]) == {"pixel_frechet", "neighbour_ratio", "copied"}
    assert (tmp_path / "run" / "neighbours.png").exists()


@pytest.mark.slow
def test_a_run_goes_on_with_the_same_pictures_only(main, tmp_path, capsys):
    folder = write(tmp_path / "a", solid(8))
    assert call(main, command(folder, tmp_path), capsys).code == 0
    outcome = call(main, command(folder, tmp_path, "--num_steps=4"), capsys)
    assert outcome.code == 0 and "continuing after step 2" in outcome.out
    write(folder, {"new.png": encoded(noise(9, 9, "L"))})
    outcome = call(main, command(folder, tmp_path, "--num_steps=6"), capsys)
    assert outcome.code == 1 and "the data differ from those with which" in outcome.err
    assert restore_run(tmp_path / "run").step == 4


@pytest.mark.slow
def test_a_run_that_gets_its_data_from_the_host_is_the_same_and_may_go_on_without(
    main, tmp_path, capsys
):
    folder = write(tmp_path / "a", solid(12))
    for name, stages in {"there": ["no"], "here": ["yes", "no", "yes"]}.items():
        (tmp_path / name).mkdir()
        for stage, where in enumerate(stages):
            steps = f"--num_steps={6 if name == 'there' else 2 * (stage + 1)}"
            line = command(folder, tmp_path / name, f"--host_data={where}", steps)
            outcome = call(main, [*line, "--lr_schedule=constant"], capsys)
            assert outcome.code == 0, outcome.err
    there, here = (restore_run(tmp_path / name / "run") for name in ("there", "here"))
    assert there.step == here.step == 6
    for a, b in zip(jax.tree.leaves(there.state), jax.tree.leaves(here.state), strict=True):
        np.testing.assert_array_equal(a, b)


def test_large_data_stay_on_the_host(monkeypatch, tmp_path):
    config = configure(tmp_path)
    dataset = make_dataset(np.zeros((6, 8, 8, 1), np.uint8), None, "x")
    task = Task(images.EXPERIMENT, config, Source(dataset, dataset))
    assert not feed.stays_on_host(task)
    monkeypatch.setattr(feed, "LARGE_BYTES", 100)
    assert feed.stays_on_host(task)
    stacked = task._replace(experiment=images.EXPERIMENT._replace(draw_real=sample_triples))
    assert not feed.stays_on_host(stacked)
    asked = dataclasses.replace(config, host_data="yes")
    with pytest.raises(UserError, match="--host_data=yes: images makes its samples of several"):
        feed.stays_on_host(stacked._replace(config=asked))


@pytest.mark.parametrize(
    ("files", "more", "said"),
    [
        ({"notes.png": b"text"}, (), "cannot be read: notes.png (no PNG, JPEG, WebP or GIF inside)"),
        ({"cut.png": encoded(noise(40, 40))[:2000]}, (), "cannot be read: cut.png (damaged"),
        ({"new/1.png": encoded(noise(8, 8))}, (), "each in the sub-folder of its class"),
        ({"odd.png": encoded(noise(8, 9))}, ("--image_size=",), "odd.png is 8x9"),
        ({}, ("--network=dcgan", "--image_size=7x8"), "--network=dcgan: "),
        ({}, ("--held_out_names=x",), "--held_out_names=x, got no one"),
        ({}, ("--seeds=0,1", "--sweep=image_size:8,16"), "--image_size cannot be swept"),
        ({}, ("--image_size=8xx",), "must be 64, or 64x48"),
        ({}, ("--group_by=(",), "must be a regular expression"),
        ({}, ("--channels=2",), "must be 1 or 3"),
        ({}, ("--held_out=1",), "must be in 0..0.9"),
    ],
)  # fmt: skip
def test_what_is_in_the_way_is_named_in_one_line_and_nothing_is_left(
    main, tmp_path, capsys, files, more, said
):
    folder = write(tmp_path / "a", solid(4) | files)
    outcome = call(main, command(folder, tmp_path, *more), capsys)
    assert outcome.code == 1 and said in outcome.err
    assert outcome.err.count("\n") == 1 and outcome.err.startswith("error: ")
    assert not list((tmp_path / "run").rglob("*.json"))


def test_a_size_is_height_by_width():
    assert own_data.image_size("64x48") == (64, 48) and own_data.image_size("64") == (64, 64)
    assert own_data.image_size("") is None
    for text in ("0", "64x", "1x2x3", "1025", "x", "-4"):
        with pytest.raises(ValueError):
            own_data.image_size(text)


def test_classes_are_those_of_the_training_pictures_that_are_compared(monkeypatch):
    monkeypatch.setattr(pictures, "MOST", 12)
    labels = np.arange(40, dtype=np.int32) % 2
    pixels = np.random.default_rng(0).integers(0, 9, (40, 2, 2, 1), np.uint8)
    pixels[labels == 1] += 200
    source = Source(*(make_dataset(pixels, labels, name, ("a", "b")) for name in ("x", "y")))
    chosen = measures.named(["pixels_by_class"])
    real = evaluation.real_data(pictures.KIND, evaluation.compared(source, "x"), None, 20, chosen)
    of_train, _ = real.labels
    bright = real.yardstick.train.images.mean(axis=(1, 2, 3)) > 100
    assert len(bright) == 12
    np.testing.assert_array_equal(of_train, bright)


def test_pixels_alone_are_measured_and_it_is_said():
    dataset = make_dataset(np.asarray(noise(8, 8))[None], None, "x")
    train, read, facts, *_ = pictures.yardstick(dataset)
    assert facts == {"features": "none, pixels only"}
    assert len(train.images) == 1
    many = dataset._replace(
        images=np.arange(12_000, dtype=np.uint16).astype(np.uint8).reshape(-1, 1, 1, 1)
    )
    some, _, facts_of_many, *_ = pictures.yardstick(many)
    assert len(some.images) == 10_000
    assert facts_of_many["compared"] == "10,000 of 12,000 training pictures"
    signed = dataset.images / np.float32(127.5) - 1
    np.testing.assert_array_equal(read(signed).images, train.images)
    with pytest.raises(UserError, match="--features=mnist: that network reads images of 28x28x1"):
        measures.kind_named("pictures", "mnist").yardstick(dataset, "mnist")
    assert images.EXPERIMENT.kind == pictures.KIND.name
