"""From flags to a game: what the optimizers do with their rates."""

import jax
import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver
from tiny import quick_jit

from experiments.command import config as configs
from experiments.command import game, shared_flags
from experiments.command.experiment import Experiment
from experiments.command.program import UserError
from gan_jax import rules

shared_flags.define_flags()
STEPS = 6


def step_sizes(tx) -> np.ndarray:
    """Sizes of the steps that Adam takes against a gradient that never changes: its rates."""

    def walk(weight):
        def body(state, _):
            updates, state = tx.update(1.0, state, weight)
            return state, -updates

        return jax.lax.scan(body, tx.init(weight), length=STEPS)[1]

    return np.asarray(quick_jit(walk)(np.float32(0.0)))


@pytest.mark.parametrize("schedule", shared_flags.SCHEDULES)
def test_a_warm_up_lets_the_generators_rate_rise_and_no_other(schedule):
    def rates(*arguments):
        with flagsaver.flagsaver():
            common = ("--network=mlp", f"--num_steps={STEPS}", f"--lr_schedule={schedule}")
            flags.FLAGS(["program", *common, *arguments])
            gan = game.build_gan(configs.from_flags(), (2,))
        return step_sizes(gan.g_tx), step_sizes(gan.d_tx)

    g_plain, d_plain = rates()
    g_warm, d_warm = rates("--g_warmup_steps=4")
    rise = np.array([0.25, 0.5, 0.75, 1.0, 1.0, 1.0])
    np.testing.assert_allclose(g_warm, rise * g_plain, rtol=1e-5)
    np.testing.assert_array_equal(d_warm, d_plain)
    np.testing.assert_allclose(g_plain[0], 2e-4, rtol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "g_last", "d_last"),
    [("--n_dis=3", 1, 5), ("--update=article", 1, 3), ("--update=extragradient", 3, 3)],
)
def test_the_rates_that_are_told_are_those_of_the_last_updates_of_two_steps(
    arguments, g_last, d_last
):
    with flagsaver.flagsaver():
        common = ("--network=mlp", f"--num_steps={STEPS}", "--lr_schedule=linear")
        flags.FLAGS(["program", *common, arguments])
        config = configs.from_flags()
    gan = game.build_gan(config, (2,))
    taken = step_sizes(gan.g_tx)[g_last], step_sizes(gan.d_tx)[d_last]
    np.testing.assert_allclose(game.last_learning_rates(config, 2), taken, rtol=1e-5)


def test_d_sees_augmented_images_where_that_is_asked_for_and_points_have_none():
    def build(shape, *arguments):
        with flagsaver.flagsaver():
            flags.FLAGS(["program", "--network=mlp", *arguments])
            return game.build_gan(configs.from_flags(), shape)

    x = np.ones((2, 8, 8, 1), np.float32)
    assert build((8, 8, 1)).augment is None
    changed = build((8, 8, 1), "--augment=cutout").augment(jax.random.key(0), x)
    assert set(np.unique(changed)) == {0.0, 1.0}
    with pytest.raises(
        UserError, match=r"--augment=cutout is of images, samples have shape \(2,\)"
    ):
        build((2,), "--augment=cutout")
    with pytest.raises(
        flags.IllegalFlagValueError, match="'color' is none: choose from colour, tr"
    ):
        build((8, 8, 1), "--augment=color")


def test_rates_count_the_turns_of_the_experiments_own_rule_or_are_refused():
    with flagsaver.flagsaver():
        common = ("--network=mlp", f"--num_steps={STEPS}", "--lr_schedule=linear")
        flags.FLAGS(["program", *common])
        config = configs.from_flags()

    def build(config, sample_shape, rule=None):
        return game.build_gan(config, sample_shape, rule=rule)

    def deaf(config, sample_shape):
        return game.build_gan(config, sample_shape)

    def twice(config):
        return rules.alternating._replace(updates=2)

    told = Experiment("told", "points", None, build, None, twice)
    plain = Experiment("plain", "points", None, deaf, None)
    rates, expected = (step_sizes(of.game(config, (2,)).g_tx) for of in (told, plain))
    np.testing.assert_allclose(rates, expected[[0, 0, 1, 1, 2, 2]], rtol=1e-6)
    with pytest.raises(UserError, match="its own rule, with 2 updates a turn"):
        Experiment("deaf", "points", None, deaf, None, twice).game(config, (2,))
