"""Flags and Config: what goes in comes back."""

import dataclasses

import pytest
from absl import flags
from absl.testing import flagsaver
from hypothesis import given
from hypothesis import strategies as st

from experiments.command import config as configs
from experiments.command import shared_flags
from experiments.command.program import UserError
from experiments.record.resumption import resumable

shared_flags.define_flags()

OPTIONAL = st.none() | st.floats(0, 1e6)
CHANGES = st.fixed_dictionaries(
    {
        "dataset": st.sampled_from(["digits", "mnist", "my set"]),
        "workdir": st.sampled_from(["runs/a", "a folder/with spaces", "x=y"]),
        "seed": st.integers(0, 2**32 - 1),
        "batch_size": st.integers(1, 1000),
        "g_lr": st.floats(0, 10),
        "b1": st.floats(0, 0.99),
        "bias_std": st.floats(0, 100),
        "r1_gamma": OPTIONAL,
        "gp_weight": OPTIONAL,
        "ema_half_life_images": st.none() | st.floats(1e-3, 1e9),
        "loss": st.sampled_from(shared_flags.LOSSES),
        "update": st.sampled_from(shared_flags.UPDATES),
        "download": st.booleans(),
    }
)


def parsed(arguments: list[str]) -> configs.Config:
    with flagsaver.flagsaver():
        flags.FLAGS(["program", *arguments])
        return configs.from_flags()


@given(CHANGES)
def test_a_flagfile_gives_back_the_configuration_it_was_written_from(tmp_path_factory, changes):
    config = dataclasses.replace(parsed([]), **changes)
    path = tmp_path_factory.mktemp("flags") / "flagfile.txt"
    path.write_text(configs.to_flagfile(config))
    assert parsed([f"--flagfile={path}"]) == config


@given(CHANGES)
def test_a_run_is_kept_from_going_on_by_just_what_changed_and_matters(changes):
    config = parsed([])
    saved = dataclasses.asdict(dataclasses.replace(config, **changes))
    reasons = resumable(saved, dataclasses.asdict(config), 0)
    named = {text.split()[0].removeprefix("--") for text in reasons}
    changed = {name for name, value in changes.items() if getattr(config, name) != value}
    assert named == changed - set(configs.INCIDENTAL)


@pytest.mark.parametrize(
    "argument",
    [
        "--g_lr=nan", "--d_lr=inf", "--g_lr=-1", "--batch_size=0", "--n_dis=-1", "--n_dis=0", "--num_steps=0",
        "--real_label=1.5", "--fake_label=-0.1", "--r1_gamma=-1", "--r1_gamma=nan", "--b1=1", "--b2=1.5",
        "--latent_dim=0", "--seed=-1", "--loss=nonsense", "--update=", "--dtype=float16", "--width=0",
        "--steps_per_call=0", "--ema_half_life_images=0", "--batch_size=eight", "--num_devices=0", "--no_such_flag=1",
        "--bias_std=-1", "--bias_std=nan", "--g_warmup_steps=-1",
    ],
)  # fmt: skip
def test_values_out_of_range_are_refused(argument):
    with pytest.raises(flags.Error):
        parsed([argument])


def test_smoothed_labels_need_a_cross_entropy():
    assert parsed(["--real_label=0.9", "--loss=minimax"]).real_label == 0.9
    with pytest.raises(UserError, match="hinge"):
        parsed(["--real_label=0.9", "--loss=hinge"])


def test_every_field_of_the_configuration_is_a_flag_with_help():
    for field in dataclasses.fields(configs.Config):
        assert len(flags.FLAGS[field.name].help) > 10


def test_a_run_older_than_a_flag_has_its_default():
    with flagsaver.flagsaver():
        flags.FLAGS(["program"])
        config = configs.from_flags()
    older = dataclasses.asdict(config)
    del older["bias_std"], older["g_warmup_steps"]
    assert configs.Config(**older) == config
    assert resumable(older, dataclasses.asdict(config), 0) == []
    assert resumable(older, dataclasses.asdict(dataclasses.replace(config, bias_std=0.5)), 0)


@pytest.mark.parametrize("weight", ["0", "1.5"])
def test_lookahead_keeps_a_share_of_the_way(weight):
    with pytest.raises(UserError, match=rf"--update_weight={weight}: .*above 0 and at most 1"):
        parsed(["--update=lookahead_minimax", f"--update_weight={weight}"])
    assert parsed(["--update=lookahead_minimax", "--update_weight=1"]).update_weight == 1
    assert parsed(["--update=consensus", f"--update_weight={weight}"]).update_weight == float(
        weight
    )
