"""cifar10.flags: no data are here to train on, but its game can be played."""

import dataclasses

import jax
import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver

from experiments import images
from experiments.command import config as configs
from experiments.command.experiment import Source, Task
from experiments.command.game import check, count_weights, shapes_of_state
from experiments.command.presets import FOLDER
from experiments.many import members
from gan_jax.data.dataset import make_dataset
from gan_jax.sampling import to_signed
from gan_jax.steps import init_state
from gan_jax.types import Batch


@pytest.fixture
def config():
    members.define_flags()
    with flagsaver.flagsaver():
        flags.FLAGS(["x", f"--flagfile={FOLDER / 'cifar10.flags'}"])
        yield configs.from_flags()


@pytest.mark.slow
def test_its_game_takes_a_step_on_pictures_of_32x32_in_colour(config):
    pixels = np.random.default_rng(0).integers(0, 256, (16, 32, 32, 3), np.uint8)
    dataset = make_dataset(pixels, None, "cifar10")
    task = Task(images.EXPERIMENT, config, Source(dataset, dataset))
    check(config, task.gan, task.rule, task.sample)  # traces a step at full size
    state = shapes_of_state(task.gan, task.sample, config.batch_size, jax.random.key(0))
    assert 5e5 < count_weights(state.generator.params) < 2e7


@pytest.mark.slow
def test_a_narrow_one_really_takes_a_step(config):
    pixels = np.random.default_rng(0).integers(0, 256, (16, 32, 32, 3), np.uint8)
    dataset = make_dataset(pixels, None, "cifar10")
    small = dataclasses.replace(config, width=0.1, g_hidden="8", d_hidden="8", batch_size=2)
    task = Task(images.EXPERIMENT, small, Source(dataset, dataset))
    batch = Batch(to_signed(pixels[:4]))

    @jax.jit
    def step(key):
        init_key, step_key = jax.random.split(key)
        state = init_state(task.gan, init_key, batch)
        return task.rule.step(task.gan, state, batch, key=step_key)

    state, metrics = step(jax.random.key(0))
    assert int(state.step) == 1 and all(np.isfinite(value) for value in metrics.values())
