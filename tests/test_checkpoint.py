"""Checkpoints: bits come back or the older ones do; a full disk, a kill, a flipped byte lose nothing sound."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import optax
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gan_jax.checkpoint import CheckpointError, Checkpoints, disk
from gan_jax.checkpoint.retention import NewestAndBest
from gan_jax.types import GANState, NetworkState

DTYPES = {"f": np.float32, "b": ml_dtypes.bfloat16, "i": np.int32, "u": np.uint32}
SIZE = 1200  # bytes of each drawn leaf; up to 1024 would lie inside a file that TensorStore checksums itself


def state_of(raw: bytes) -> GANState:
    """A state whose leaves have the given bits, one of each dtype, with every kind of empty subtree."""
    params = {
        name: jnp.asarray(np.frombuffer(raw, dtype).reshape(2, -1))
        for name, dtype in DTYPES.items()
    }
    d_state = NetworkState({"f": params["f"][0]}, {}, (optax.EmptyState(), None, ()))
    g_state = NetworkState(params, {"batch_stats": params["f"][0]}, optax.sgd(1.0).init(params))
    return GANState(jnp.int32(raw[0]), g_state, d_state, {"b": params["b"]})


def bits(state) -> tuple:
    """Structure, and dtype, shape and bytes of every leaf."""
    raw = [
        jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x
        for x in jax.tree.leaves(state)
    ]
    leaves = [(str(x.dtype), x.shape, np.asarray(x).tobytes()) for x in raw]
    return jax.tree.structure(state), leaves


def contents(folder: Path) -> dict[str, bytes | None]:
    paths = sorted(folder.rglob("*"))
    return {str(path): path.read_bytes() if path.is_file() else None for path in paths}


OLD, NEW = (state_of(np.random.default_rng(seed).bytes(SIZE)) for seed in (1, 2))


@pytest.fixture(scope="module")
def master(tmp_path_factory) -> Path:
    """A folder with checkpoints of steps 10 and 20; tests work on copies."""
    folder = tmp_path_factory.mktemp("master") / "checkpoints"
    with Checkpoints(folder) as checkpoints:
        checkpoints.save(10, OLD, {"offset": 10}, measure=1.0)
        checkpoints.save(20, NEW, {"offset": 20}, measure=2.0)
    return folder


@pytest.fixture
def folder(master, tmp_path) -> Path:
    return Path(shutil.copytree(master, tmp_path / "checkpoints"))


def flip(path: Path, position: int) -> None:
    raw = bytearray(path.read_bytes())
    raw[position] ^= 0x10
    path.write_bytes(raw)


def spoil(folder: Path, step: int = 20) -> None:
    flip(folder / str(step) / "record" / "metadata", 60)


NOT_A_NUMBER = np.array([0x7FC00001, 0xFFFFFFFF, 0x80000000, 1, 0], np.uint32).tobytes()


@given(st.binary(min_size=SIZE, max_size=SIZE))
@example(NOT_A_NUMBER * 60)  # NaNs with a payload, -0.0, a subnormal
@settings(max_examples=8)
def test_what_comes_back_is_what_was_saved_bit_for_bit(tmp_path_factory, raw):
    state, folder = state_of(raw), tmp_path_factory.mktemp("bits")
    metadata = {"best": float("inf"), "offset": 2**40, "names": ["a", {"é": None}], "third": 1 / 3}
    with Checkpoints(folder) as checkpoints:
        checkpoints.save(7, state, metadata)
        restored = checkpoints.restore(jax.eval_shape(lambda: state))
    assert (restored.metadata, restored.step) == (metadata, 7)
    assert bits(restored.state) == bits(state)


def test_metadata_come_back_as_json_has_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Checkpoints("relative") as checkpoints:
        checkpoints.save(0, {"x": jnp.ones(2)}, {"pair": (1, 2), 3: "three"})
        assert checkpoints.restore({"x": jnp.zeros(2)}).metadata == {"pair": [1, 2], "3": "three"}


def test_keys_numpy_arrays_and_empty_arrays_come_back_as_they_are(tmp_path):
    state = {
        "key": jax.random.key(3, impl="rbg"),
        "keys": jax.random.split(jax.random.key(4)),
        "host": np.arange(6.0).reshape(2, 3).T,
        "none": jnp.zeros((0, 3), jnp.bfloat16),
        "flag": jnp.array(True),
    }
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(0, state, {})
        restored = checkpoints.restore(state).state
    assert bits(restored) == bits(state)
    assert [str(x.dtype) for x in jax.tree.leaves(restored)] == [
        str(x.dtype) for x in jax.tree.leaves(state)
    ]
    assert isinstance(restored["host"], np.ndarray)


def test_a_state_may_be_donated_as_soon_as_save_returns(tmp_path):
    grow = jax.jit(lambda state: {"x": state["x"] * 2 + 1}, donate_argnums=0)
    state = {"x": jnp.arange(1e6)}
    with Checkpoints(tmp_path) as checkpoints:
        for step in range(3):
            fresh, saved = state["x"], np.array(state["x"] + 0)
            checkpoints.save(step, state, {})
            state = grow(state)
            assert fresh.is_deleted(), "a host copy that save left behind forbids donation"
            state = grow(checkpoints.restore(state).state)  # restored buffers are donated in turn
            assert np.array_equal(state["x"], 2 * saved + 1)


def test_a_resumed_run_is_the_uninterrupted_run(tmp_path):
    train = jax.jit(lambda x: {"x": jnp.sin(x["x"]) * 1.1 + 0.3}, donate_argnums=0)
    state, straight = ({"x": jnp.linspace(0, 1, 7)} for _ in range(2))
    for step in range(4):
        straight = train(straight)
        with Checkpoints(tmp_path) as checkpoints:
            restored = checkpoints.restore(state)
            state = train(restored.state if restored else state)
            checkpoints.save(step, state, {})
    assert bits(state) == bits(straight)


G = NEW.generator
OTHER_STATES = {
    "shape": (
        NEW._replace(ema_params={"b": jnp.zeros((2, 9), jnp.bfloat16)}),
        ".ema_params['b'] has bfloat16[2,300], expected bfloat16[2,9]",
    ),
    "dtype": (NEW._replace(step=jnp.float32(1)), ".step has int32[], expected float32[]"),
    "more leaves": (
        NEW._replace(ema_params={"a": jnp.zeros(1), **NEW.ema_params}),
        ".ema_params['a'] has nothing, expected float32[1]",
    ),
    "fewer leaves": (
        NEW._replace(generator=G._replace(params={k: G.params[k] for k in "fbi"})),
        ".generator.params['u'] has uint32[2,150], expected nothing",
    ),
    "other empty subtree": (
        NEW._replace(discriminator=NEW.discriminator._replace(model_state=None)),
        ".discriminator.model_state has empty dict, expected empty NoneType",
    ),
}


@pytest.mark.parametrize("case", OTHER_STATES)
def test_a_checkpoint_of_another_network_is_refused_by_the_name_of_a_leaf(folder, case):
    like_state, message = OTHER_STATES[case]
    with pytest.raises(CheckpointError) as caught:
        Checkpoints(folder).restore(like_state, report=pytest.fail)
    assert str(caught.value) == f"checkpoint {folder / '20'}: {message}"


def test_without_checkpoints_there_is_nothing_to_restore_and_nothing_is_created(tmp_path):
    checkpoints = Checkpoints(tmp_path / "absent")
    assert checkpoints.restore(NEW, report=pytest.fail) is None
    assert (checkpoints.steps(), checkpoints.best_step()) == ([], None)
    checkpoints.close()
    assert contents(tmp_path) == {}


POSITIONS = (0.0, 0.21, 0.37, 0.5, 0.63, 0.84, 0.999)
DAMAGES = {
    "emptied": lambda path: path.write_bytes(b""),
    "halved": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "removed": Path.unlink,
    **{
        f"flipped at {at}": lambda path, at=at: flip(path, int(at * path.stat().st_size))
        for at in POSITIONS
    },
}


def outcome(folder: Path) -> int:
    """Restore from a damaged folder, check what came, and return its step."""
    before, lines = contents(folder), []
    restored = Checkpoints(folder).restore(OLD, report=lines.append)
    state, metadata, step = restored
    assert (step, len(lines)) in ((20, 0), (10, 1))
    assert bits(state) == bits({10: OLD, 20: NEW}[step])
    assert metadata == {"offset": step}
    assert all("skipped checkpoint" in line and "\n" not in line for line in lines)
    assert contents(folder) == before, "restoring may not touch the folder"
    return step


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_to_any_file_gives_the_right_bits_or_the_older_checkpoint(folder, damage):
    fallen_back = []
    for path in [path for path in (folder / "20").rglob("*") if path.is_file()]:
        whole = path.read_bytes()
        DAMAGES[damage](path)
        if outcome(folder) == 10:
            fallen_back.append(path.name)
        path.write_bytes(whole)
    assert "metadata" in fallen_back  # the record always matters
    assert len(fallen_back) >= 2


@pytest.mark.slow
def test_no_byte_of_any_file_can_be_flipped_into_wrong_bits(folder):
    for path in [path for path in (folder / "20").rglob("*") if path.is_file()]:
        for position in range(0, path.stat().st_size, 11):
            flip(path, position)
            outcome(folder)
            flip(path, position)


def test_if_no_checkpoint_is_sound_one_line_says_where_and_what_to_do(folder):
    spoil(folder, 10)
    shutil.rmtree(folder / "20" / "state")
    lines = []
    with pytest.raises(CheckpointError, match="put back a copy") as caught:
        Checkpoints(folder).restore(NEW, report=lines.append)
    assert len(lines) == 2
    assert str(folder) in str(caught.value) and "[10, 20]" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_checkpoint_renamed_to_another_step_is_not_believed(folder):
    (folder / "20").rename(folder / "30")
    lines = []
    assert Checkpoints(folder).restore(NEW, report=lines.append).step == 10
    assert "its record is of step 20" in lines[0]


def test_a_record_of_a_later_format_is_refused_not_skipped(folder):
    path = folder / "20" / "record" / "metadata"
    path.write_text(json.dumps(disk.seal({"format": 2, "step": 20})))
    with pytest.raises(CheckpointError, match="has format 2, expected 1"):
        Checkpoints(folder).restore(NEW, report=pytest.fail)


def test_after_a_fall_back_the_same_steps_can_be_saved_and_the_unsound_ones_stay_as_evidence(
    folder,
):
    for round_ in ("unsound-20", "unsound-20-2"):
        spoil(folder)
        damaged = contents(folder / "20").values()
        with Checkpoints(folder) as checkpoints:
            assert checkpoints.restore(NEW, report=str).step == 10
            assert checkpoints.steps() == [10]
            checkpoints.save(20, NEW, {})
            assert checkpoints.steps() == [10, 20], "a step counts from the return of save"
        assert list(contents(folder / round_).values()) == list(damaged)
        assert Checkpoints(folder).restore(NEW, report=pytest.fail).step == 20


def test_unsound_checkpoints_do_not_count_among_those_that_are_kept(folder):
    spoil(folder)
    with Checkpoints(folder) as checkpoints:
        checkpoints.restore(NEW, report=str)
        checkpoints.save(15, NEW, {})
        checkpoints.close()
        assert checkpoints.steps() == [10, 15]
        assert checkpoints.restore(NEW, report=pytest.fail).step == 15


def test_a_reader_goes_on_to_what_a_run_saves_while_it_reads(folder, monkeypatch):
    read = disk.read_arrays
    spoil(folder, 10)

    def read_late(folder: Path, step: int, names=None) -> dict:
        with Checkpoints(folder) as run:
            for new in range(30, 60, 10) if step == 20 else ():
                run.save(new, OLD, {}, measure=0.0)  # 20 is deleted
        return read(folder, step, names)

    monkeypatch.setattr(disk, "read_arrays", read_late)
    assert Checkpoints(folder).restore(NEW, report=str).step == 50


MEASURES = st.lists(st.none() | st.floats(width=16), max_size=12)


@given(MEASURES)
@example([1.0, None, 2.0, float("nan"), 3.0])
def test_the_newest_two_and_the_best_survive(measures):
    known = {step: m for step, m in enumerate(measures) if m is not None and m == m}
    kept = []
    for step in range(len(measures)):
        policy = NewestAndBest(Path("absent"), {s: m for s, m in known.items() if s <= step})
        kept.append(step)
        infos = [SimpleNamespace(step=s) for s in kept]
        stays = policy.should_preserve(infos, context=None)
        kept = [s for s, stay in zip(kept, stays, strict=True) if stay]
    best = min(known, key=known.__getitem__, default=None)
    assert kept == [s for s in range(len(measures)) if s >= len(measures) - 2 or s == best]


def test_the_best_survives_on_disk_and_in_a_later_process(tmp_path):
    for step, measure in enumerate([float("nan"), 5.0, 3.0, None, 4.0, None, 9.0]):
        with Checkpoints(tmp_path) as checkpoints:  # opened anew: measures come from the records
            checkpoints.save(step, {"x": jnp.full(2, step)}, {}, measure=measure)
    assert Checkpoints(tmp_path).steps() == [2, 5, 6]
    assert Checkpoints(tmp_path).best_step() == 2
    best = Checkpoints(tmp_path).restore({"x": jnp.zeros(2, int)}, step=2)
    assert best.step == 2 and best.state["x"].tolist() == [2, 2]
    with pytest.raises(CheckpointError, match=r"no checkpoint of step 3 in .*, but of \[2, 5, 6\]"):
        Checkpoints(tmp_path).restore({"x": jnp.zeros(2, int)}, step=3)


BAD_SAVES = {
    "an old step": ((20, NEW, {}), "step must be after 20"),
    "an older step": ((15, NEW, {}), "step must be after 20"),
    "a Python number": ((30, {"x": 1.0}, {}), r"leaf \['x'\] must be an array, got float"),
    "metadata beyond JSON": ((30, NEW, {"x": {1, 2}}), "plain JSON values: TypeError"),
    "no arrays": ((30, {"x": {}}, {}), "without arrays"),
}


@pytest.mark.parametrize("case", BAD_SAVES)
def test_what_cannot_be_saved_is_refused_and_harms_nothing(folder, case):
    arguments, message = BAD_SAVES[case]
    with Checkpoints(folder) as checkpoints:
        with pytest.raises(CheckpointError, match=message) as caught:
            checkpoints.save(*arguments)
        assert "\n" not in str(caught.value)
        assert checkpoints.restore(NEW, report=pytest.fail).step == 20
        checkpoints.save(30, OLD, {})
    assert bits(Checkpoints(folder).restore(NEW, report=pytest.fail).state) == bits(OLD)


@pytest.fixture
def full_disk():
    """Make every file end at 16 KiB, which to a writer looks like a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 14, hard))
    yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_told_at_the_next_call_and_harms_no_earlier_checkpoint(
    folder, full_disk, capfd
):
    big = {f"x{i}": jnp.asarray(np.random.default_rng(i).normal(size=100_000)) for i in range(5)}
    checkpoints = Checkpoints(folder)
    checkpoints.save(30, big, {})
    with pytest.raises(
        CheckpointError, match=r"file too large .*; earlier checkpoints are kept"
    ) as caught:
        checkpoints.close()
    assert str(folder) in str(caught.value) and "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")
    full_disk()  # there is room again
    assert bits(checkpoints.restore(NEW, report=pytest.fail).state) == bits(NEW)
    checkpoints.save(30, big, {})
    checkpoints.close()
    assert Checkpoints(folder).steps() == [10, 20, 30]
    assert Checkpoints(folder).restore(big, report=pytest.fail).step == 30


def test_a_failed_save_does_not_hide_the_error_that_ended_the_run(folder, full_disk):
    with pytest.raises(KeyboardInterrupt) as caught, Checkpoints(folder) as checkpoints:
        checkpoints.save(30, {"x": jnp.ones(100_000)}, {})
        raise KeyboardInterrupt
    assert "earlier checkpoints are kept" in caught.value.__notes__[0]


def test_a_save_that_cannot_begin_is_an_error_at_once(folder):
    with Checkpoints(folder) as checkpoints:
        checkpoints.save(30, NEW, {})
        checkpoints.wait()
        (folder / "40.orbax-checkpoint-tmp").symlink_to("nowhere")  # no folder can be made here
        with pytest.raises(CheckpointError, match=r"saving step 40 in .* failed"):
            checkpoints.save(40, NEW, {})
        checkpoints.save(40, NEW, {})
        assert checkpoints.steps() == [10, 30, 40]


def test_damage_that_does_not_matter_to_reading_does_not_matter_to_saving(folder):
    for path in folder.rglob("_CHECKPOINT_METADATA"):
        path.write_bytes(b"[]")
    with Checkpoints(folder) as checkpoints:
        assert checkpoints.restore(NEW, report=pytest.fail).step == 20
        checkpoints.save(30, OLD, {})
    assert Checkpoints(folder).steps() == [10, 20, 30]


def test_a_folder_that_cannot_be_one_is_an_error_in_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "checkpoints"):
        with pytest.raises(CheckpointError) as caught, Checkpoints(folder) as checkpoints:
            checkpoints.save(1, NEW, {})
        assert str(folder) in str(caught.value) and "\n" not in str(caught.value)


def child(code: str, *arguments: object, devices: int = 1, wait: bool = True) -> subprocess.Popen:
    """Run Python code with `devices` virtual CPU devices; `sys.argv` are the arguments."""
    header = f"import jax; jax.config.update('jax_num_cpu_devices', {devices})\n"
    command = [sys.executable, "-W", "error", "-c", header + code, *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent), "NPROC": "16"}
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdout=pipe, stderr=pipe, env=environment, text=True)
    process.output = process.communicate(timeout=120) if wait else None
    return process


KILLED = """
import os, signal, sys, jax.numpy as jnp
from gan_jax.checkpoint import Checkpoints
checkpoints = Checkpoints(sys.argv[1])
checkpoints.save(30, {"x": jnp.ones(3_000_000)}, {})
while not any("tmp" in name for name in os.listdir(sys.argv[1])): pass
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_kill_during_a_save_leaves_the_earlier_checkpoints_and_its_remains_are_cleared(folder):
    assert child(KILLED, folder).returncode == -signal.SIGKILL
    assert any("tmp" in path.name for path in folder.iterdir())
    with Checkpoints(folder) as checkpoints:
        assert bits(checkpoints.restore(NEW, report=pytest.fail).state) == bits(NEW)
        assert any("tmp" in path.name for path in folder.iterdir()), "restoring deletes nothing"
        checkpoints.save(40, OLD, {})
    assert sorted(path.name for path in folder.iterdir()) == ["10", "20", "40"]


FOUR_DEVICES = """
import sys, absl.logging, jax, jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec
from gan_jax.checkpoint import Checkpoints
absl.logging.set_verbosity(absl.logging.INFO)
mesh = jax.make_mesh((4,), ("data",))
whole, split = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in ((), ("data",)))
like = {"key": jax.random.key(0), "w": jnp.zeros((8, 3), jnp.bfloat16), "x": jnp.zeros(8)}
like = jax.device_put(like, {"key": whole, "w": whole, "x": split})
with Checkpoints(sys.argv[1]) as checkpoints:
    state = checkpoints.restore(like).state
    assert jax.tree.all(jax.tree.map(lambda a, b: a.sharding == b.sharding, state, like))
    state["x"] = state["x"] + 1
    checkpoints.save(2, state, {})
"""


def test_a_checkpoint_moves_from_one_device_to_four_and_back_without_a_word(tmp_path):
    keys = jax.random.split(jax.random.key(7))
    state = {
        "key": keys[0],
        "w": jax.random.normal(keys[1], (8, 3), jnp.bfloat16),
        "x": jnp.arange(8.0),
    }
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, state, {})
    process = child(FOUR_DEVICES, tmp_path, devices=4)
    assert (process.returncode, process.output) == (0, ("", ""))
    restored = Checkpoints(tmp_path).restore(state, report=pytest.fail)
    assert restored.step == 2
    assert bits(restored.state) == bits({**state, "x": state["x"] + 1})
    assert restored.state["w"].committed == state["w"].committed


TWO_PROCESSES = """
import sys
rank = int(sys.argv[2])
jax.distributed.initialize(f"127.0.0.1:{sys.argv[3]}", 2, rank)
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec
from gan_jax.checkpoint import Checkpoints, disk
whole = NamedSharding(jax.make_mesh((2,), ("data",)), PartitionSpec())
def state_at(step):
    draw = lambda: {"w": jnp.arange(6.0) + step, "key": jax.random.key(step)}
    return jax.jit(draw, out_shardings=whole)()
read, lines = disk.read_arrays, []
def read_badly(folder, step, names=None):
    if rank == 1 and step == 3:
        raise disk.UnsoundError("bad disk")
    return read(folder, step, names)
with Checkpoints(sys.argv[1]) as checkpoints:
    for step in range(4):
        checkpoints.save(step, state_at(step), {"step": step, "of": rank}, measure=step)
    disk.read_arrays = read_badly
    restored = checkpoints.restore(state_at(9), report=lines.append)
    assert restored.step == 2 and restored.metadata == {"step": 2, "of": 0}
    assert all(x.sharding == whole for x in restored.state.values())
    assert not restored.state["key"].is_fully_addressable
    assert restored.state["w"].addressable_data(0).tolist() == [2, 3, 4, 5, 6, 7]
    assert lines[0].endswith("bad disk" if rank == 1 else "another process could not read it")
    checkpoints.save(3, state_at(3), {})
    disk.read_arrays = read
    assert checkpoints.restore(state_at(9), report=exit).step == 3
"""


@pytest.mark.slow
def test_two_processes_save_together_and_agree_on_what_is_sound(tmp_path):
    arguments = (tmp_path / "checkpoints", (0, 1), 20_000 + os.getpid() % 20_000)
    processes = [
        child(TWO_PROCESSES, arguments[0], rank, arguments[2], wait=False) for rank in (0, 1)
    ]
    outputs = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == ["0", "2", "3", "unsound-3"]
