"""Laws of the benchmarks' arithmetic. Times are not tested."""

import json

import jax
import jax.numpy as jnp
import pytest

from experiments.benchmarks import article_game as game
from experiments.benchmarks import dcgan_game, memory
from experiments.benchmarks.timing import interleave_all, ratio, summarize


@pytest.mark.parametrize(
    ("player", "layers", "shape"),
    [("generator", game.G_LAYERS, (100,)), ("discriminator", game.D_LAYERS, (28, 28, 1))],
)
def test_the_counted_products_are_those_that_the_compiler_counts(player, layers, shape):
    network = getattr(game.build(), player)
    variables = jax.eval_shape(network.init, jax.random.key(0), jnp.zeros((1, *shape)))

    def flops(batch):
        def forward(variables, x):
            return network.apply(*variables, x, train=False)[0]

        x = jax.ShapeDtypeStruct((batch, *shape), jnp.float32)
        return jax.jit(forward).lower(variables, x).cost_analysis()["flops"]

    # The difference of two batches leaves out what is done once; element-wise work is about a hundredth.
    assert flops(3) - flops(1) == pytest.approx(2 * 2 * sum(layers), rel=0.03)


@pytest.mark.parametrize("rule", game.PASSES)
def test_the_arithmetic_grows_with_the_batch(rule):
    assert game.flops_per_step(rule, 24) == 3 * game.flops_per_step(rule, 8)


def test_one_stage_saves_a_forward_pass_of_each_player_and_one_backward_pass_of_the_discriminator():
    saved = game.flops_per_step("article", 1) - game.flops_per_step("one_stage", 1)
    one_pass = sum(game.G_LAYERS) + sum(game.D_LAYERS)
    assert saved == 2 * (one_pass + sum(game.D_LAYERS) - game.D_INPUT_LAYER)


def test_rounds_are_taken_in_turn_after_a_warm_up():
    calls = []
    contestants = {name: lambda name=name: calls.append(name) for name in "ab"}
    seconds = interleave_all(contestants, 3)
    assert calls == list("ab" * 4)
    assert [len(values) for values in seconds.values()] == [3, 3]


def test_ratios_compare_rounds_so_that_a_slow_round_cancels():
    assert ratio([2.0, 20.0, 4.0], [1.0, 10.0, 2.0]) == (2.0, 2.0, 2.0)
    assert summarize([1.0, 2.0, 3.0, 4.0, 5.0]) == (3.0, 2.0, 4.0)


# What is timed really runs: each contestant's first call, at its smallest


@pytest.mark.slow
@pytest.mark.parametrize("rule", game.PASSES)
def test_the_articles_contestants_take_their_steps(rule):
    game.make_runner(game.build(width=1 / 128), rule, batch=2, num_steps=1)()


@pytest.mark.slow
@pytest.mark.parametrize("at_once", [None, 1])
def test_the_contestants_of_many_seeds_take_their_steps(at_once):
    gan, data = dcgan_game.build("mlp"), dcgan_game.draw_data("mlp", num=10)
    dcgan_game.make_runner(gan, data, batch=2, num_steps=2)()
    dcgan_game.make_population_runner(gan, data, 2, num_steps=2, members=2, at_once=at_once)()


@pytest.mark.slow
def test_the_contestants_of_images_take_their_steps():
    gan, data = dcgan_game.build("dcgan", 1 / 32, 8), dcgan_game.draw_data("dcgan", 8, 10)
    dcgan_game.make_runner(gan, data, batch=2, num_steps=1)()


def test_pictures_are_drawn_once_and_no_two_are_alike(tmp_path):
    memory.draw(tmp_path, 3, 16)
    first = [(tmp_path / f"{k:07d}.png").read_bytes() for k in range(3)]
    assert len(set(first)) == 3
    (tmp_path / "0000001.png").write_bytes(b"kept")
    memory.draw(tmp_path, 4, 16)
    assert (tmp_path / "0000001.png").read_bytes() == b"kept"
    assert len(list(tmp_path.iterdir())) == 4


def test_the_pace_is_the_median_without_the_first_line(tmp_path):
    lines = [{"images_per_second": rate} for rate in (1.0, 30.0, 10.0, 20.0)]
    (tmp_path / "metrics.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    assert memory.pace(tmp_path) == 20
