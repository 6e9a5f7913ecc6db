"""`--augment_target`: the strength goes with a run wherever it goes, and a run without it is what it always was."""

import dataclasses

import jax
import numpy as np
import pytest
from commands import TINY, call, import_main
from picture_files import encoded, noise, write
from small_runs import configure

from experiments import images
from experiments.command.experiment import Source, Task, some_of
from experiments.record.restored import restore_run
from gan_jax.adaptive import KEPT
from gan_jax.data.dataset import make_dataset

SMALL = (
    *TINY, "--image_size=8x12", "--compilation_cache=", "--latent_dim=4", "--augment=translation",
    "--augment_target=0.001", "--augment_images=64", "--lr_schedule=constant", "--batch_size=8",
)  # fmt: skip


def task(tmp_path, **values) -> Task:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 1), np.uint8)
    config = configure(tmp_path / "run", network="mlp", width=0.05, batch_size=4, **values)
    source = Source(*(make_dataset(part, None, "x") for part in (pixels[:30], pixels[30:])))
    return Task(images.EXPERIMENT, config, source)


def test_without_a_target_game_and_rule_are_what_they_always_were(tmp_path):
    plain = task(tmp_path, augment="translation")
    assert plain.rule is plain.experiment.rule(plain.config)
    assert plain.gan.augment is not None
    adaptive = plain._replace(config=dataclasses.replace(plain.config, augment_target=0.5))
    assert adaptive.gan.augment is None and adaptive.rule.step is not plain.rule.step
    assert "augment_signal" in traced(adaptive) and "augment_signal" not in traced(plain)


def traced(task: Task) -> dict:
    from gan_jax.steps import init_state
    from gan_jax.types import Batch

    batch = Batch(np.zeros((4, 8, 8, 1), np.float32))

    def run(key):
        init_key, step_key = jax.random.split(key)
        state = init_state(task.gan, init_key, batch)
        assert (KEPT in state.discriminator.model_state) == (task.config.augment_target is not None)
        return task.rule.step(task.gan, state, batch, key=step_key)[1]

    return jax.eval_shape(run, jax.random.key(0))


def test_a_program_holds_two_megabytes_of_unseen_samples_at_most():
    large = make_dataset(np.zeros((300, 64, 64, 3), np.uint8), np.arange(300) % 2, "x")
    batch = some_of(large, labelled=True)
    assert batch.images.nbytes <= 2**21 and len(batch.labels) == len(batch.images) == 170
    assert set(batch.labels.tolist()) == {0, 1}
    assert some_of(large._replace(images=large.images[:5]), labelled=False).images.shape[0] == 5


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--augment_target=0.6"], "--augment_target is of --augment: name the augmentations"),
        (["--augment=cutout", "--augment_control=r_t"], "are of --augment_target: leave them out"),
        (["--augment=cutout", "--augment_images=9"], "are of --augment_target: leave them out"),
        (["--augment=cutout", "--augment_target=1"], "at most 0.999"),
    ],
)
def test_flags_without_their_sense_are_refused_in_a_line(arguments, words, tmp_path, capsys):
    line = [f"--workdir={tmp_path}/run", f"--data_dir={tmp_path}", *arguments]
    outcome = call(import_main("images"), line, capsys)
    assert outcome.code == 1 and words in outcome.err and outcome.err.count("\n") == 1


@pytest.mark.slow
def test_a_run_that_goes_on_ends_in_the_same_bits_strength_and_all(tmp_path, capsys):
    folder = write(tmp_path / "a", {f"{k}.png": encoded(noise(9, 9, "L", k)) for k in range(30)})
    main, runs = import_main("images"), {}
    for name, stages in {"at once": [8], "in parts": [2, 6, 8]}.items():
        for steps in stages:
            line = [f"--data_dir={folder}", f"--data_cache={tmp_path}/kept", f"--num_steps={steps}"]
            outcome = call(main, [*SMALL, *line, f"--workdir={tmp_path}/{name}"], capsys)
            assert outcome.code == 0, outcome.err
        runs[name] = restore_run(tmp_path / name)
    whole, parts = (run.state.discriminator for run in runs.values())
    same = jax.tree.map(lambda a, b: bool((a == b).all()), whole.model_state, parts.model_state)
    assert jax.tree.all(same)
    same = jax.tree.map(lambda a, b: bool((a == b).all()), whole.params, parts.params)
    assert jax.tree.all(same)
    assert "augment_strength" in (tmp_path / "in parts" / "metrics.jsonl").read_text()
    assert runs["at once"].generate(np.zeros((2, 4), np.float32)).shape == (2, 8, 12, 1)


@pytest.mark.slow
def test_targets_can_be_swept_in_one_call(tmp_path, capsys):
    folder = write(tmp_path / "a", {f"{k}.png": encoded(noise(9, 9, "L", k)) for k in range(30)})
    line = [f"--data_dir={folder}", f"--data_cache={tmp_path}/kept", f"--workdir={tmp_path}/runs"]
    sweep = ["--sweep=augment_target:0.001,0.9", "--num_steps=8"]
    outcome = call(import_main("images"), [*SMALL, *line, *sweep], capsys)
    assert outcome.code == 0, outcome.err
    assert "2 runs in one call" in outcome.out + outcome.err
