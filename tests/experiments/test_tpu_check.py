"""experiments.tpu_check: what it compiles is what a run would call, and what it cannot do it says in one line."""

import importlib.util
import json

import pytest
from commands import call, run

from experiments import tpu_check
from experiments.command import config as configs
from experiments.command import shared_flags
from experiments.training import ahead_of_time
from gan_jax.layers import convolutional

needs_libtpu = pytest.mark.skipif(
    importlib.util.find_spec("libtpu") is None,
    reason="libtpu is not installed: pip install 'gan_jax[tpu]'",
)
TINY = ("--dataset=digits", "--network=mlp", "--width=0.05", "--latent_dim=4", "--batch_size=8")
TINY_IMAGES = ("--dataset=digits", "--network=dcgan", "--width=0.05", "--batch_size=8")


shared_flags.define_flags()


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """Set for libtpu what the program sets as it begins."""
    for name, value in tpu_check.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


def rows_of(outcome):
    assert outcome.code == 0, outcome.err
    return json.loads(outcome.out.splitlines()[-1])["rows"]


@needs_libtpu
def test_the_step_compiles_for_a_chip_group_and_every_figure_is_given(capsys):
    (row,) = rows_of(call(tpu_check.main, [*TINY, "--topology=v5e:2x2"], capsys))
    assert (row["chips"], row["processes"], row["kind"]) == (4, 1, "TPU v5 lite")
    assert row["flops"] > 0 and row["bytes_accessed"] > 0 and row["seconds"] > 0
    assert row["seconds_per_image"] == row["seconds"] / 8
    assert row["byte_seconds"] == row["bytes_accessed"] / 819e9
    assert row["total_memory"] == sum(row["memory"].values()) < row["chip_memory"] == 16e9
    assert row["memory"]["arguments"] > 1500 * 28 * 28  # the data set is on every chip
    assert row["collectives"]["all-reduce"][0] >= 2  # each player's gradients


@needs_libtpu
@pytest.mark.slow
def test_a_slice_of_many_hosts_compiles(capsys):
    arguments = [*TINY, "--batch_size=256", "--topology=v5e:16x16,v6e:16x16"]
    rows = rows_of(call(tpu_check.main, arguments, capsys))
    assert [row["chips"] for row in rows] == [256, 256]
    assert all(row["processes"] > 1 for row in rows)
    assert [row["chip_memory"] for row in rows] == [16e9, 32e9]


@needs_libtpu
@pytest.mark.slow
def test_the_compiler_counts_the_loop_of_a_chunk_once(capsys):
    flops = []
    for steps in (2, 40):
        arguments = [*TINY, f"--steps_per_call={steps}", "--topology=v5e:2x2"]
        (row,) = rows_of(call(tpu_check.main, arguments, capsys))
        flops.append(row["flops"])
    assert flops[1] == pytest.approx(flops[0], rel=0.01)


def lowered_operations(lowering):
    values = ["program", *TINY_IMAGES]
    from absl import flags
    from absl.testing import flagsaver

    with flagsaver.flagsaver():
        flags.FLAGS(values)
        config = configs.from_flags()
    where = ahead_of_time.find_slice("v5e:2x2", config.batch_size)
    with ahead_of_time.convolutions_as(lowering):
        return ahead_of_time.count_operations(ahead_of_time.lower_chunk(config, where).as_text())


@pytest.mark.slow
@needs_libtpu
def test_on_tpu_auto_is_lax_and_either_lowering_can_be_had():
    auto, lax, matmul = map(lowered_operations, ("auto", "lax", "matmul"))
    assert auto == lax and auto["convolutions"] > 0
    assert matmul["convolutions"] == 0 and matmul["matrix products"] > lax["matrix products"]


def test_a_forced_lowering_ends_with_its_block():
    before = convolutional.Geometry
    with pytest.raises(ZeroDivisionError), ahead_of_time.convolutions_as("matmul"):
        assert convolutional.Geometry((3, 3), (1, 1), (4, 4), "auto").lowering == "matmul"
        raise ZeroDivisionError
    assert convolutional.Geometry is before


@needs_libtpu
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--topology=v5e:2x2", "--batch_size=6"], ["6", "4 chips", "--batch_size=8"]),
        (["--topology=v5e:2x2,v5e:16x16"], ["256 chips", "--batch_size=256", "smaller topology"]),
        (["--topology=v9z:2x2"], ["v9z:2x2", "v5e:2x2"]),
        (["--topology=nonsense"], ["nonsense", "v5e:2x2"]),
        (["--topology="], ["--topology", "v5e:2x2"]),
        (["--topology=v4:2x2"], ["8 devices", "v4:2x2x1"]),
        (["--topology=v5e:2x2", "--dataset=ring"], ["ring", "mnist"]),
        (["--topology=v5e:2x2", "--num_devices=2"], ["--num_devices", "--topology"]),
        (["--topology=v5e:2x2", "--update=article", "--r1_gamma=1"], ["penalties"]),
    ],
)
def test_what_a_user_can_do_wrong_gets_one_line(capsys, arguments, words):
    outcome = call(tpu_check.main, [*TINY, *arguments], capsys)
    assert outcome.code == 1 and outcome.err.count("\n") == 1
    assert outcome.err.startswith("error: ")
    assert all(word in outcome.err for word in words), outcome.err


@pytest.mark.slow
@needs_libtpu
def test_a_program_that_does_not_fit_is_refused_by_name(capsys):
    arguments = [*TINY, "--latent_dim=1048576", "--width=64", "--topology=v5e:2x2"]
    outcome = call(tpu_check.main, arguments, capsys)
    assert outcome.code == 1 and outcome.err.count("\n") == 1
    assert all(word in outcome.err for word in ("does not fit", "16 GB", "v5e:2x2", "--width"))


@pytest.mark.slow
@needs_libtpu
def test_a_program_that_fills_more_than_a_chip_is_refused(capsys, monkeypatch):
    small = ahead_of_time.CHIPS["TPU v5 lite"]._replace(memory=1e-3)
    monkeypatch.setitem(ahead_of_time.CHIPS, "TPU v5 lite", small)
    outcome = call(tpu_check.main, [*TINY, "--topology=v5e:2x2"], capsys)
    assert outcome.code == 1 and "does not fit into the 0.001 GB" in outcome.err


@pytest.mark.slow
@needs_libtpu
def test_in_a_process_of_its_own_only_the_report_is_printed():
    outcome = run("tpu_check", *TINY, "--topology=v5e:2x2")
    assert rows_of(outcome) and outcome.err == ""


def test_without_libtpu_it_says_what_to_install(capsys, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "libtpu" else find(name)
    )
    outcome = call(tpu_check.main, [*TINY], capsys)
    assert outcome.code == 1
    assert outcome.err == "error: libtpu is not installed: pip install 'gan_jax[tpu]'\n"


def test_the_shapes_of_built_in_data_are_theirs():
    from gan_jax import data

    assert data.load("digits").images.shape == ahead_of_time.DATA_SHAPES["digits"]


@pytest.mark.parametrize("figure", [None, -1.0, 0.0, float("nan"), float("inf")])
def test_a_figure_that_is_none_is_called_unavailable(figure):
    row = {
        "topology": "v5e:2x2", "kind": "TPU v5 lite", "chips": 4, "processes": 1, "batch": 8,
        "lowering": "auto", "chip_memory": 16e9, "memory": {"arguments": 1}, "total_memory": 1,
        "operations": {}, "collectives": {}, "compile_seconds": 1.0, "flops": 1e9, "bytes_accessed": 1e6,
        "seconds": ahead_of_time.known(figure), "seconds_per_image": None, "flop_seconds": 1.0, "byte_seconds": 1.0,
    }  # fmt: skip
    assert "(ms unavailable) a step" in tpu_check.describe(row)


PROGRAM = """
  %a = (f32[7,7]{1,0:T(8,128)S(1)}, bf16[3]{0}) all-reduce(%x, %y), channel_id=9
  %b = f32[128,4]{1,0} all-to-all(%x), channel_id=15
  %c = (f32[128]{0}, f32[128]{0}, u32[]{:S(2)}, u32[]{:S(2)}) collective-permute-start(%x), channel_id=18
  %d = f32[128]{0} collective-permute-done(%c)
  %e = f32[] all-reduce(%z), channel_id=3
  %f = pred[5]{0} fusion(%all-reduce.1), calls=%all-reduce-like
"""


def test_collectives_are_counted_once_with_the_bytes_of_their_results():
    assert ahead_of_time.count_collectives(PROGRAM) == {
        "all-reduce": (2, 4 * 49 + 2 * 3 + 4),
        "all-to-all": (1, 4 * 512),
        "collective-permute": (1, 4 * 128),
    }
