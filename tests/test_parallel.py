"""One run on any layout of devices: the same program, the same numbers but for rounding, the same checkpoints."""

import json
import os
import re
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import bits, busy_game, conditional_game, game, paying, quick_jit

from gan_jax import parallel, rules
from gan_jax.steps import init_state
from gan_jax.types import Batch

ROOT = Path(__file__).parents[1]
# Each rule with batch norm, R1 where it may be; and a game with labels, which are divided too, and augmentation.
RULES = ("alternating", "article", "one_stage", "labels")
OTHERS = ("relativistic", "dcgan")
FLOAT64 = ("relativistic", "images")  # images: the DCGAN in small, without its casts to float32

# After 10 steps that move weights by up to 0.1. Rounding is 6e-8 in float32 and 1e-16 in float64.
TOLERANCES = {np.dtype(np.float32): 2e-5, np.dtype(np.float64): 1e-10}


def launch(folder, games, meshes, *, devices, **order) -> subprocess.Popen:
    """Start tests/layouts.py on so many virtual devices."""
    order = {"games": games, "meshes": meshes, "x64": False, "out": str(folder), **order}
    given = os.environ.get("XLA_FLAGS", "")
    flags = f"{given} --xla_force_host_platform_device_count={devices}"
    flags += " --xla_backend_optimization_level=0"
    # NPROC sizes XLA's pool of threads: with fewer threads than devices they can block one another for ever.
    environment = {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags, "NPROC": "16", "PYTHONPATH": "."}
    return subprocess.Popen(
        [sys.executable, "tests/layouts.py", json.dumps(order)],
        cwd=ROOT, env=os.environ | environment, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def finish(*processes: subprocess.Popen) -> None:
    """Wait for processes to end well."""
    try:
        errors = [process.communicate(timeout=240)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0] * len(processes), errors


def pair(folder, games, **order) -> None:
    """Train on two processes with two devices each."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    finish(
        *(
            launch(folder, games, [4], devices=2, distributed=[address, 2, rank], **order)
            for rank in (0, 1)
        )
    )


def leaves(folder, name, num_devices, process=0) -> dict[str, np.ndarray]:
    """What a layout ended in."""
    with np.load(folder / f"{name}-{num_devices}-{process}.npz") as file:
        return dict(file)


def assert_same(one: dict, other: dict) -> None:
    """Compare every leaf within its type's rounding; metrics computed in float32 stay float32's in either case."""
    assert one.keys() == other.keys() and len(one) > 30
    for name, leaf in one.items():
        close = TOLERANCES.get(leaf.dtype, 0)
        np.testing.assert_allclose(other[name], leaf, rtol=close, atol=close, err_msg=name)
        assert other[name].dtype == leaf.dtype


@pytest.fixture(scope="module")
def in_float64(tmp_path_factory):
    """Every rule on meshes of 1 and 8 devices, in float64."""
    folder = tmp_path_factory.mktemp("float64")
    finish(launch(folder, RULES, [1, 8], devices=8, x64=True))
    return folder


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """What every rule runs on meshes of 1 and 8 devices, spelt out and not computed."""
    folder = tmp_path_factory.mktemp("programs")
    finish(launch(folder, RULES, [1, 8], devices=8, x64=True, programs=True))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", RULES)
def test_eight_devices_train_as_one_in_every_leaf(in_float64, name):
    one, eight = (leaves(in_float64, name, k) for k in (1, 8))
    assert one["[0].discriminator.params['dense']['kernel']"].dtype == np.float64
    assert_same(one, eight)


@pytest.mark.parametrize("name", RULES)
def test_every_number_of_devices_runs_the_same_program(programs, name):
    def program(k):
        return (programs / f"{name}-{k}-0.txt").read_text()

    meshless = [re.sub(r"'batch': \d+", "'batch': N", program(k)) for k in (1, 8)]
    assert program(8) != program(1) and meshless[0] == meshless[1]


@pytest.fixture(scope="module")
def in_float32(tmp_path_factory):
    """Games on meshes of 1 and 8 devices in one process, and of 4 in two, in float32."""
    folder = tmp_path_factory.mktemp("float32")
    finish(launch(folder, [*RULES, *OTHERS], [1, 8], devices=8))
    (folder / "pair").mkdir()
    pair(folder / "pair", [*RULES, *OTHERS])
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", [*RULES, *OTHERS])
def test_one_and_eight_devices_and_two_processes_agree_in_float32(in_float32, name):
    one = leaves(in_float32, name, 1)
    assert_same(one, leaves(in_float32, name, 8))
    first, second = (leaves(in_float32 / "pair", name, 4, process) for process in (0, 1))
    assert bits(first) == bits(second), "the processes have drifted apart"
    assert_same(one, first)


@pytest.mark.slow
def test_two_processes_and_other_games_agree_in_float64(tmp_path, in_float64):
    finish(launch(tmp_path, FLOAT64, [1, 8], devices=8, x64=True))
    (tmp_path / "pair").mkdir()
    pair(tmp_path / "pair", [*RULES, *FLOAT64], x64=True)
    for name in [*RULES, *FLOAT64]:
        one = leaves(in_float64 if name in RULES else tmp_path, name, 1)
        assert_same(one, leaves(tmp_path / "pair", name, 4))
        if name in FLOAT64:
            assert_same(one, leaves(tmp_path, name, 8))


@pytest.mark.slow
def test_a_checkpoint_of_one_layout_resumes_on_another(tmp_path, in_float64):
    saved = str(tmp_path / "checkpoints")
    pair(tmp_path, ["alternating"], x64=True, steps=[0, 5], checkpoints=saved)
    for file in tmp_path.glob("*.npz"):
        file.unlink()
    rest = {"x64": True, "steps": [5, 10], "checkpoints": saved}
    finish(launch(tmp_path, ["alternating"], [1, 8], devices=8, **rest))
    pair(tmp_path, ["alternating"], **rest)
    whole = {
        k: v for k, v in leaves(in_float64, "alternating", 1).items() if k.startswith("[0]")
    }  # the metrics of the second half are not those of the whole
    for k in (1, 4, 8):
        half = leaves(tmp_path, "alternating", k)
        assert_same(whole, {name: half[name] for name in whole})


# On one device


def test_a_mesh_of_one_changes_no_bit():
    gan = busy_game(penalties=paying(r1_gamma=1.0))
    mesh = parallel.make_mesh(1)
    batch = Batch(jax.random.normal(jax.random.key(0), (4, 2)))
    state = init_state(gan, jax.random.key(1), batch)
    shared = parallel.over_batch(gan, mesh, 4)
    plain = quick_jit(partial(rules.alternating.step, gan))
    meshed = quick_jit(partial(parallel.keep_replicated(rules.alternating, mesh).step, shared))
    key = jax.random.key(2)
    assert bits(plain(state, batch, key=key)) == bits(
        meshed(state, batch, key=jax.random.clone(key))
    )


@pytest.mark.parametrize("n_dis", [1, 3])
def test_a_rule_on_a_mesh_takes_as_many_batches_as_before(n_dis):
    kept = parallel.keep_replicated(rules.alternating, parallel.make_mesh(1))
    assert kept.batches(game(n_dis=n_dis)) == n_dis


def test_a_mesh_takes_only_devices_that_there_are():
    there = jax.device_count()
    assert parallel.make_mesh().size == there and parallel.make_mesh(1).size == 1
    for wrong in (0, -1, there + 1):
        with pytest.raises(ValueError, match=rf"1\.\.{there}, got {wrong}"):
            parallel.make_mesh(wrong)


class FakeDevice:
    """A device as a mesh sees it."""

    def __init__(self, process_index):
        self.process_index = process_index


@pytest.fixture
def two_by_three(monkeypatch):
    """Three devices in each of two processes, in turn."""
    devices = [FakeDevice(i % 2) for i in range(6)]
    monkeypatch.setattr(jax, "devices", lambda: devices)
    monkeypatch.setattr(parallel, "Mesh", lambda devices, names: list(devices))
    return devices


def test_fewer_devices_come_equally_from_every_process(two_by_three):
    assert [d.process_index for d in parallel.make_mesh(4)] == [0, 0, 1, 1]
    assert parallel.make_mesh() == two_by_three
    with pytest.raises(ValueError, match="multiple of the 2 processes, got 3"):
        parallel.make_mesh(3)


def test_labels_are_shared_out_like_the_images_that_wear_them():
    gan = conditional_game()
    shared = parallel.over_batch(gan, parallel.make_mesh(1), 4)
    z, labels = jnp.zeros((4, 2)), jnp.zeros(4, jnp.int32)
    for network in (shared.generator, shared.discriminator):
        variables = jax.eval_shape(network.init, jax.random.key(0), z, labels)
        apply = partial(network.apply, train=False)
        program = jax.make_jaxpr(apply)(*variables, z, labels)
        divided = [
            (equation.invars[0].aval.shape, equation.invars[0].aval.dtype)
            for equation in program.eqns
            if equation.primitive.name == "sharding_constraint"
        ]
        assert divided == [((4, 2), jnp.float32), ((4,), jnp.int32)]


class MeshOf:
    """A mesh as `over_batch` sees it before it is used."""

    def __init__(self, size):
        self.size = size


def test_a_batch_that_cannot_be_divided_is_refused():
    with pytest.raises(ValueError, match="batch of 12 cannot be divided between 8 devices"):
        parallel.over_batch(game(), MeshOf(8), 12)


@pytest.mark.parametrize("labels", [None, np.array([2, 0, 1])], ids=["plain", "labelled"])
def test_samples_that_do_not_divide_are_left_whole(labels):
    gan = game() if labels is None else conditional_game()
    shared = parallel.over_batch(gan, MeshOf(8), 16)
    z = jnp.ones((3, 2))
    params, model_state = gan.generator.init(jax.random.key(0), z, labels)
    points = [
        g.generator.apply(params, model_state, z, labels, train=False)[0] for g in (gan, shared)
    ]
    assert bits(points[0]) == bits(points[1])


@pytest.mark.parametrize("labels", [None, np.array([2, 0, 1], np.int32)])
def test_replicating_keeps_the_bits_of_images_and_of_labels_if_there_are_any(labels):
    data = Batch(np.arange(12, dtype=np.uint8).reshape(3, 4), labels)
    placed = parallel.replicate(data, parallel.make_mesh(1))
    assert jax.tree.structure(placed) == jax.tree.structure(data) and bits(placed) == bits(data)
    for leaf, array in zip(jax.tree.leaves(placed), jax.tree.leaves(data), strict=True):
        assert leaf.dtype == array.dtype and leaf.is_fully_replicated


def test_what_keeps_jax_from_joining_is_told_in_one_line(monkeypatch):
    def fail(*arguments, **timeouts):
        assert timeouts == {"initialization_timeout": 17, "heartbeat_timeout_seconds": 7}
        raise RuntimeError("UNKNOWN: the port is taken\nand a page of stack")

    monkeypatch.setattr(jax.distributed, "initialize", fail)
    with pytest.raises(ConnectionError, match=r"^could not join .* at host:1: .* is taken$"):
        parallel.start_processes("host:1", 2, 0, timeout=7)
