"""experiments.mnist from end to end, on built-in digits and tiny players."""

import json

import jax
import numpy as np
import pytest
from commands import TINY, call, reject_constant, run
from PIL import Image
from small_runs import configure

from experiments import mnist
from experiments.command.experiment import Task
from experiments.many import members
from gan_jax import data
from gan_jax.steps import init_state
from gan_jax.types import Batch

members.define_flags()


@pytest.fixture
def finished(tmp_path, capsys):
    """A finished run's folder."""
    folder = tmp_path / "run"
    outcome = call(mnist.main, [*TINY, f"--workdir={folder}"], capsys)
    assert outcome.code == 0, outcome.err
    return folder


def test_a_run_leaves_all_that_it_promises(finished):
    records = [
        json.loads(line, parse_constant=reject_constant)
        for line in (finished / "metrics.jsonl").read_text().splitlines()
    ]
    assert [record["step"] for record in records] == [2, 4, 6]
    assert [record["images"] for record in records] == [8, 16, 24]
    wanted = {
        "seconds", "images_per_second", "d_loss", "g_loss", "d_accuracy", "g_accuracy", "real_logits",
        "fake_logits", "d_grad_norm", "g_grad_norm", "dis_acc", "gan_acc",
    }  # fmt: skip
    assert all(wanted <= record.keys() for record in records)
    assert sorted(path.name for path in (finished / "samples").iterdir()) == [
        "0.png",
        "4.png",
        "6.png",
    ]
    for picture in ("curves.png", "samples.png", "progress.gif", "samples/6.png"):
        with Image.open(finished / picture) as image:
            assert min(image.size) > 100
    facts = json.loads((finished / "run.json").read_text())
    assert facts["dataset"]["samples"] == 1500 and len(facts["dataset"]["sha256"]) == 64
    assert facts["weights"]["generator"] > 0 and facts["versions"]["jax"]


def test_the_flagfile_replays_the_run_bit_for_bit(finished, tmp_path, capsys):
    again = tmp_path / "again"
    outcome = call(
        mnist.main, [f"--flagfile={finished}/flagfile.txt", f"--workdir={again}"], capsys
    )
    assert outcome.code == 0, outcome.err
    assert (again / "samples.png").read_bytes() == (finished / "samples.png").read_bytes()


def test_a_finished_run_given_again_says_so_and_changes_nothing(finished, capsys):
    before = (finished / "metrics.jsonl").read_bytes(), (finished / "samples.png").read_bytes()
    outcome = call(mnist.main, [*TINY, f"--workdir={finished}"], capsys)
    assert outcome.code == 0 and "continuing after step 6" in outcome.out
    assert before == (
        (finished / "metrics.jsonl").read_bytes(),
        (finished / "samples.png").read_bytes(),
    )


def test_another_configuration_is_refused_naming_the_flags(finished, capsys):
    before = sorted(str(path) for path in finished.rglob("*"))
    outcome = call(mnist.main, [*TINY, f"--workdir={finished}", "--g_lr=0.1", "--seed=7"], capsys)
    assert outcome.code == 1 and outcome.err.count("\n") == 1
    assert "--g_lr" in outcome.err and "--seed" in outcome.err and "--d_lr" not in outcome.err
    assert sorted(str(path) for path in finished.rglob("*")) == before


def test_damaged_metrics_after_the_last_checkpoint_are_cut_off(finished, capsys):
    whole = (finished / "metrics.jsonl").read_bytes()
    (finished / "metrics.jsonl").write_bytes(whole + b'{"step": 8, "half a li')
    assert call(mnist.main, [*TINY, f"--workdir={finished}"], capsys).code == 0
    assert (finished / "metrics.jsonl").read_bytes() == whole


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["--dataset=mnist", "--data_dir=/nowhere"],
            ["train-images-idx3-ubyte", "t10k-labels", "digits"],
        ),
        (["--dataset=ring"], ["experiments.gaussians"]),
        (["--update=article", "--r1_gamma=1"], ["penalties"]),
        (["--update=article", "--n_dis=2"], ["n_dis"]),
        (["--update=one_stage", "--n_dis=2"], ["n_dis"]),
        (["--g_lr=nan"], ["g_lr", "finite"]),
        (["positional"], ["positional", "--name=value"]),
        (["--flagfile=/no/such/file"], ["/no/such/file"]),
        (["--num_devices=1000"], ["num_devices"]),
        (["--num_processes=2"], ["coordinator_address"]),
    ],
)
def test_what_a_user_can_do_wrong_gets_one_line_and_writes_nothing(
    tmp_path, capsys, arguments, words
):
    outcome = call(mnist.main, [*TINY, f"--workdir={tmp_path}/run", *arguments], capsys)
    assert outcome.code == 1
    assert outcome.err.startswith("error: ") and outcome.err.count("\n") == 1
    assert all(word in outcome.err for word in words), outcome.err
    assert not (tmp_path / "run").exists()


def test_images_that_a_network_cannot_make_are_refused(tmp_path, capsys):
    from idx_files import write_set

    write_set(tmp_path / "odd")
    arguments = ["--dataset=odd", f"--data_dir={tmp_path}", "--network=article"]
    outcome = call(mnist.main, [*TINY, f"--workdir={tmp_path}/run", *arguments], capsys)
    assert outcome.code == 1 and "28x28" in outcome.err and "5x4" in outcome.err


def test_a_folder_of_other_files_is_left_alone(tmp_path, capsys):
    (tmp_path / "thesis.tex").write_text("precious")
    outcome = call(mnist.main, [*TINY, f"--workdir={tmp_path}"], capsys)
    assert outcome.code == 1 and "thesis.tex" in outcome.err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_run_under_way_keeps_others_out(finished, capsys):
    import fcntl

    with (finished / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        outcome = call(mnist.main, [*TINY, f"--workdir={finished}"], capsys)
    assert outcome.code == 1 and "another process" in outcome.err


def test_divergence_stops_the_run_naming_step_and_quantity(tmp_path, capsys, monkeypatch):
    from gan_jax import losses

    def exploding():
        loss = losses.wasserstein()
        return loss._replace(generator=lambda real, fake: 1e30 * loss.generator(real, fake))

    monkeypatch.setitem(losses.LOSSES, "wasserstein", exploding)
    arguments = [*TINY, f"--workdir={tmp_path}/run", "--loss=wasserstein", "--g_lr=10"]
    outcome = call(mnist.main, [*arguments, "--num_steps=60"], capsys)
    assert outcome.code == 1
    assert "diverged: g_" in outcome.err and "not finite at step" in outcome.err, outcome.err
    assert "--on_divergence=rollback" in outcome.err


def test_sampling_gives_what_was_asked_for(finished, tmp_path):
    npz, png = tmp_path / "out.npz", tmp_path / "walks.png"
    assert run("sample", f"--workdir={finished}", "--num_samples=7", f"--out={npz}").code == 0
    images = np.load(npz)["images"]
    assert images.shape == (7, 28, 28, 1) and images.dtype == np.uint8
    outcome = run(
        "sample", f"--workdir={finished}", "--num_samples=2", "--interpolate", f"--out={png}"
    )
    assert outcome.code == 0 and png.exists()
    for wrong in (["--num_samples=0"], ["--out=x.jpg"], [f"--workdir={tmp_path}"]):
        outcome = run("sample", f"--workdir={finished}", f"--out={npz}", *wrong)
        assert outcome.code == 1 and outcome.err.count("\n") == 1, outcome


def as_floats(dataset, low: float):
    images = dataset.images.astype(np.float32) / 255 * (1 - low) + low
    return data.make_dataset(images, dataset.labels, dataset.name)


def test_held_out_floats_are_judged_as_the_pixels_that_they_are(tmp_path):
    config = configure(tmp_path)
    source = mnist.load(config)
    task = Task(mnist.EXPERIMENT, config, source)
    state = init_state(task.gan, jax.random.key(0), Batch(np.zeros((4, 28, 28, 1), np.float32)))
    floats = source._replace(held_out=as_floats(source.held_out, -1))
    pixels, signed = (mnist.observe(config, s, task.gan).watch(state) for s in (source, floats))
    assert signed["dis_acc"] == pytest.approx(pixels["dis_acc"], abs=1e-5)


def test_held_out_floats_of_another_range_are_refused(tmp_path, capsys, monkeypatch):
    def load(config):
        source = mnist.load(config)
        grey = as_floats(source.held_out, -1)
        washed = grey.images / 2 + 0.5
        return source._replace(held_out=grey._replace(images=washed, name="washed"))

    monkeypatch.setattr(mnist, "EXPERIMENT", mnist.EXPERIMENT._replace(load=load))
    outcome = call(mnist.main, [*TINY, f"--workdir={tmp_path}/run"], capsys)
    assert outcome.code == 1 and "washed: expected floats in [-1, 1]" in outcome.err
    assert not (tmp_path / "run").exists()
