"""--seeds and --sweep: which runs a command asks for."""

import dataclasses

import pytest
from absl import flags
from absl.testing import flagsaver
from hypothesis import given
from hypothesis import strategies as st

from experiments.command import config as configs
from experiments.command.program import UserError
from experiments.many import members

SEEDS = st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=5, unique=True)


def asked(*arguments: str) -> list[members.Member]:
    members.define_flags()
    with flagsaver.flagsaver():
        flags.FLAGS(["program", *arguments])
        return members.from_flags("W")


@given(SEEDS)
def test_a_list_of_seeds_is_read_as_written(seeds):
    assert members.parse_seeds(",".join(map(str, seeds))) == seeds


@given(st.integers(0, 2**32 - 200), st.integers(0, 100))
def test_a_range_holds_both_its_ends(low, length):
    assert members.parse_seeds(f"{low}..{low + length}") == list(range(low, low + length + 1))


def test_ranges_and_single_seeds_mix():
    assert members.parse_seeds("0..2, 7") == [0, 1, 2, 7]


@pytest.mark.parametrize(
    "text", ["", "a", "3..1", "1,1", "0..2,1", "-1", "1.5", "0..", "1,,2", "0..4294967296", "0..99999", "٣"]
)  # fmt: skip
def test_what_is_no_list_of_seeds_is_refused(text):
    with pytest.raises(UserError, match="--seeds="):
        members.parse_seeds(text)


def test_every_pair_of_swept_values_gets_every_seed():
    runs = asked("--seeds=3,4", "--sweep=r1_gamma:0.1,1,10", "--sweep=loss:hinge,minimax")
    assert len({run.name for run in runs}) == len(runs) == 2 * 3 * 2
    assert {(r.config.r1_gamma, r.config.loss, r.config.seed) for r in runs} == {
        (gamma, loss, seed)
        for gamma in (0.1, 1.0, 10.0)
        for loss in ("hinge", "minimax")
        for seed in (3, 4)
    }
    first = runs[0]
    assert first.config.workdir == f"W/{first.name}"
    assert first.swept == {"r1_gamma": 0.1, "loss": "hinge"}


def test_a_member_is_the_run_that_the_flags_alone_would_name():
    (run,) = asked("--seeds=5", "--sweep=r1_gamma:3", "--g_lr=0.01")
    with flagsaver.flagsaver():
        flags.FLAGS(["program", "--seed=5", "--r1_gamma=3", "--g_lr=0.01"])
        alone = configs.from_flags()
    assert dataclasses.replace(run.config, workdir=alone.workdir) == alone


def test_listing_the_runs_leaves_the_flags_as_they_were():
    members.define_flags()
    with flagsaver.flagsaver():
        flags.FLAGS(["program", "--seed=7", "--seeds=5", "--sweep=r1_gamma:3"])
        before = configs.from_flags()
        members.from_flags("W")
        assert configs.from_flags() == before and before.seed == 7 and before.r1_gamma is None


def test_one_value_written_in_two_ways_is_refused():
    with pytest.raises(UserError, match="same value twice"):
        asked("--sweep=r1_gamma:1,1.0")


@pytest.mark.parametrize(
    ("sweep", "words"),
    [
        ("r1_gamma", "FLAG:VALUE"),
        ("r1_gamma:", "FLAG:VALUE"),
        (":1,2", "FLAG:VALUE"),
        ("r1_gamma:1,,2", "FLAG:VALUE"),
        ("r1_gamma:1,1", "twice"),
        ("seed:1,2", "cannot be swept"),
        ("workdir:a,b", "cannot be swept"),
        ("dataset:mnist,digits", "cannot be swept"),
        ("nonsense:1", "cannot be swept"),
        ("r1_gamma:a", "r1_gamma"),
        ("r1_gamma:-1", "r1_gamma"),
        ("r1_gamma:nan", "finite"),
        ("batch_size:0", "batch_size"),
        ("loss:none", "loss"),
        ("loss:hinge", None),
    ],
)
def test_what_cannot_be_swept_is_refused(sweep, words):
    if words is None:
        assert [run.config.loss for run in asked(f"--sweep={sweep}")] == ["hinge"]
        return
    with pytest.raises((UserError, flags.Error), match=words):
        asked(f"--sweep={sweep}")


def test_one_flag_swept_twice_is_refused():
    with pytest.raises(UserError, match="same flag twice"):
        asked("--sweep=g_lr:1,2", "--sweep=g_lr:3")
