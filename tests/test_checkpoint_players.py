"""Sampling needs no optimizer: the players of a run come back whatever trained them."""

import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gan_jax.checkpoint import CheckpointError, Checkpoints, disk
from gan_jax.types import GANState, NetworkState

PARAMS = {"dense": {"kernel": jnp.arange(12.0).reshape(3, 4), "bias": jnp.arange(4.0)}}
EMA = jax.tree.map(lambda leaf: leaf + 0.5, PARAMS)


def state_of(g_tx: optax.GradientTransformation, d_tx: optax.GradientTransformation) -> GANState:
    generator = NetworkState(PARAMS, {"mean": jnp.full(300, 2.0)}, g_tx.init(PARAMS))
    discriminator = NetworkState(PARAMS["dense"], {}, d_tx.init(PARAMS["dense"]))
    return GANState(jnp.int32(7), generator, discriminator, EMA)


ADAM = state_of(optax.adam(1e-3), optax.chain(optax.clip(1.0), optax.adam(1e-4, b1=0.5)))
SGD = state_of(optax.sgd(1.0), optax.sgd(1.0))
MOMENTUM = state_of(optax.sgd(1.0, momentum=0.9), optax.sgd(1.0))


def players_of(state: GANState) -> tuple:
    (g_params, g_stats, _), (d_params, d_stats, _) = state.generator, state.discriminator
    leaves, structure = jax.tree.flatten(
        (state.step, g_params, g_stats, d_params, d_stats, state.ema_params)
    )
    return structure, [np.asarray(leaf).tobytes() for leaf in leaves]


@pytest.fixture
def folder(tmp_path) -> Path:
    """Steps 5 and 7 of a run with Adam; the latter's weights of the moving average are larger."""
    old = ADAM._replace(step=jnp.int32(5), ema_params=PARAMS)
    with Checkpoints(tmp_path / "checkpoints") as checkpoints:
        checkpoints.save(5, old, {"offset": 5}, measure=1.0)
        checkpoints.save(7, ADAM, {"offset": 7}, measure=2.0)
    return tmp_path / "checkpoints"


@pytest.mark.parametrize("like", [SGD, MOMENTUM, ADAM], ids=["sgd", "momentum", "adam"])
@pytest.mark.parametrize("abstract", [True, False])
def test_players_trained_with_adam_come_back_whatever_optimizer_is_expected(folder, like, abstract):
    like = jax.eval_shape(lambda: like) if abstract else like
    restored = Checkpoints(folder).restore_players(like, report=pytest.fail)
    assert (restored.step, restored.metadata) == (7, {"offset": 7})
    assert players_of(restored.state) == players_of(ADAM)
    assert restored.state.generator.opt_state == restored.state.discriminator.opt_state == ()


@pytest.mark.parametrize("like", [ADAM, SGD, MOMENTUM], ids=["adam", "sgd", "momentum"])
def test_players_trained_with_stateless_optimizers_come_back_too(tmp_path, like):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(7, SGD, {})
        restored = checkpoints.restore_players(like, report=pytest.fail)
    assert players_of(restored.state) == players_of(SGD)


def test_going_on_with_another_optimizer_is_still_refused(folder):
    with pytest.raises(CheckpointError, match=r"\.generator\.opt_state"):
        Checkpoints(folder).restore(SGD, report=pytest.fail)


def test_only_the_players_are_read(folder, monkeypatch):
    read, asked = disk.read_arrays, []

    def listen(folder: Path, step: int, names=None) -> dict:
        arrays = read(folder, step, names)
        asked.extend(arrays)
        return arrays

    monkeypatch.setattr(disk, "read_arrays", listen)
    Checkpoints(folder).restore_players(SGD)
    assert len(asked) == 8 and not any("opt_state" in name for name in asked)


def rewrite(folder: Path, step: int, state: GANState) -> None:
    """Let a checkpoint hold the arrays of another state, under its own record."""
    other = folder.parent / "other"
    with Checkpoints(other) as checkpoints:
        checkpoints.save(step, state, {})
    shutil.rmtree(folder / str(step) / "state")
    (other / str(step) / "state").rename(folder / str(step) / "state")


def test_damage_to_an_optimizers_state_does_not_matter_to_the_players(folder):
    moved = jax.tree.map(lambda leaf: leaf + 1, ADAM.generator.opt_state)
    rewrite(folder, 7, ADAM._replace(generator=ADAM.generator._replace(opt_state=moved)))
    assert Checkpoints(folder).restore_players(SGD, report=pytest.fail).step == 7
    lines = []
    assert Checkpoints(folder).restore(ADAM, report=lines.append).step == 5
    assert "CRC-32 of .generator.opt_state" in lines[0]


@pytest.mark.parametrize("part", ["ema_params", "generator", "discriminator", "step"])
def test_damage_to_a_player_gives_the_one_of_the_checkpoint_before(folder, part):
    moved = jax.tree.map(lambda leaf: leaf + 1, getattr(ADAM, part))
    rewrite(folder, 7, ADAM._replace(**{part: moved}))
    lines = []
    restored = Checkpoints(folder).restore_players(SGD, report=lines.append)
    assert restored.step == 5 and restored.metadata == {"offset": 5}
    assert len(lines) == 1 and f"CRC-32 of .{part}" in lines[0]


def test_a_weight_that_is_not_on_disk_is_damage_and_not_zero(folder):
    rewrite(folder, 7, ADAM._replace(ema_params={"dense": {"kernel": EMA["dense"]["kernel"]}}))
    for restore, like in ((Checkpoints.restore, ADAM), (Checkpoints.restore_players, SGD)):
        lines = []
        assert restore(Checkpoints(folder), like, report=lines.append).step == 5
        assert lines[0].endswith(": .ema_params['dense']['bias'] is missing")


def test_another_architecture_is_one_line_with_the_first_leaf_that_differs(folder):
    wide = {"dense": {"kernel": jnp.zeros((3, 5)), "bias": jnp.zeros(5)}}
    like = SGD._replace(generator=SGD.generator._replace(params=wide), ema_params=wide)
    with pytest.raises(CheckpointError) as caught:
        Checkpoints(folder).restore_players(like, report=pytest.fail)
    assert str(caught.value) == (
        f"checkpoint {folder / '7'}: .generator.params['dense']['bias'] has float32[4], expected float32[5]"
    )


def test_what_is_no_state_of_a_game_is_refused_by_the_name_of_a_leaf(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, {"x": jnp.ones(2)}, {})
        with pytest.raises(CheckpointError, match=r"\.step has nothing, expected int32\[\]"):
            checkpoints.restore_players(SGD)


def test_the_players_of_a_chosen_step_and_none_without_checkpoints(folder, tmp_path):
    assert Checkpoints(folder).restore_players(SGD, step=5).step == 5
    with pytest.raises(CheckpointError, match=r"no checkpoint of step 6 in .*, but of \[5, 7\]"):
        Checkpoints(folder).restore_players(SGD, step=6)
    assert Checkpoints(tmp_path / "absent").restore_players(SGD) is None


def test_a_weight_that_is_called_opt_state_is_a_weight(tmp_path):
    params = {"opt_state": jnp.arange(3.0), ".generator.opt_state": jnp.arange(4.0)}
    state = SGD._replace(generator=SGD.generator._replace(params=params), ema_params=params)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(7, state, {})
        restored = checkpoints.restore_players(state, report=pytest.fail)
    assert players_of(restored.state) == players_of(state)


# Chosen steps


def test_a_chosen_checkpoint_that_is_not_sound_is_told_with_the_others(folder):
    (folder / "7" / "record" / "metadata").write_text("damaged")
    for restore, like in ((Checkpoints.restore, ADAM), (Checkpoints.restore_players, SGD)):
        lines = []
        with pytest.raises(CheckpointError) as caught:
            restore(checkpoints := Checkpoints(folder), like, step=7, report=lines.append)
        assert str(caught.value) == (
            f"the checkpoint of step 7 in {folder} is not sound; others are of steps [5]"
        )
        assert len(lines) == 1
        assert checkpoints.steps() == [5, 7], "to look at one checkpoint disowns none"


GOES_ON = {
    "still measured": (
        {8: 9.0, 12: 1.0, 16: 0.5, 20: 2.0},
        [[4, 7, 8], [4, 8, 12], [12, 16], [16, 20]],
    ),
    "no longer measured": (dict.fromkeys((8, 12, 16)), [[4, 7, 8], [4, 8, 12], [4, 12, 16]]),
}


@pytest.mark.parametrize("case", GOES_ON)
def test_a_finished_run_that_goes_on_keeps_its_best_until_there_is_a_better(tmp_path, case):
    later, expected = GOES_ON[case]

    def save(measures: dict) -> list[list[int]]:
        kept = []
        with Checkpoints(tmp_path) as checkpoints:
            checkpoints.restore({"x": jnp.zeros(2, int)})
            for step, measure in measures.items():
                checkpoints.save(step, {"x": jnp.full(2, step)}, {}, measure=measure)
                kept.append(checkpoints.steps())
        return kept

    assert save({2: 3.0, 4: 1.0, 6: 2.0, 7: 4.0})[-1] == [4, 6, 7]  # of a run that ends at step 7
    assert save(later) == expected
    assert Checkpoints(tmp_path).best_step() == expected[-1][0]
