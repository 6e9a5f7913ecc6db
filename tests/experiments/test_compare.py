"""experiments.compare: pairs by seed, differences with intervals, and what it refuses."""

import json
from pathlib import Path

import numpy as np
import pytest
from commands import call, run
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments import compare
from experiments.command import program

SAME = {"num_samples": 2500, "num_floor_samples": 2500, "seed": 0, "ema": True}


def measured(name: str, values: dict[int, float], config=(), result=(), measure="frechet"):
    """Runs of one recipe, measured: seed -> value."""
    rows = {seed: {measure: {"value": value, "floor": 0.0}} for seed, value in values.items()}
    flags = {"latent_dim": 2, "batch_size": 8, "update": "alternating", "n_dis": 1, "loss": "hinge"}
    return compare.Measured(
        Path(name),
        {seed: {**flags, "workdir": f"{name}/{seed}", "seed": seed, **dict(config)} for seed in values},
        {seed: {**SAME, "measures": rows[seed], **dict(result)} for seed in values},
    )  # fmt: skip


VALUES = st.dictionaries(st.integers(0, 20), st.floats(-100, 100), min_size=1, max_size=12)


@given(VALUES, VALUES)
@settings(max_examples=15)  # each draws 20,000 resamples
def test_only_seeds_of_both_are_compared_and_turning_the_pair_turns_the_sign(a, b):
    one, other = measured("a", a), measured("b", b)
    common = sorted(a.keys() & b.keys())
    if not common:
        with pytest.raises(program.UserError, match="no seed in common"):
            compare.compare(one, other)
        return
    forth, back = compare.compare(one, other), compare.compare(other, one)
    assert forth["seeds"] == common
    differences = forth["measures"]["frechet"]["differences"]
    assert differences == [b[seed] - a[seed] for seed in common]
    assert forth["measures"]["frechet"]["median"] == pytest.approx(np.median(differences))
    assert back["measures"]["frechet"]["differences"] == [-d for d in differences]


def words(a: dict[int, float], b: dict[int, float], **options) -> str:
    return "\n".join(
        compare.in_words(compare.compare(measured("a", a, **options), measured("b", b, **options)))
    )


def test_a_clear_difference_is_said_in_words_with_its_direction():
    ten = {seed: 10.0 + seed for seed in range(10)}
    lower = {seed: value - 3.0 for seed, value in ten.items()}
    text = words(ten, lower)
    assert "frechet: lower by 3 (better), 95 % interval -3 to -3, lower on 10 of 10 seeds" in text
    assert "frechet: higher by 3 (worse)" in words(lower, ten)
    assert "modes: higher by 3 (better)" in words(lower, ten, measure="modes")
    assert "frechet: equal" in words(ten, ten)


def test_luck_is_not_sold_as_a_difference():
    rng = np.random.default_rng(0)
    noise = [{seed: rng.normal() for seed in range(10)} for _ in range(2)]
    assert "no difference that these seeds show" in words(*noise)
    few = {0: 1.0, 1: 2.0}, {0: 0.5, 1: 1.5}
    assert "cannot rule out luck" in words(*few)
    assert "on the one seed" in words({0: 1.0}, {0: 2.0})


def test_what_the_pairs_do_not_share_is_said():
    a, b = measured("a", {0: 1.0}), measured("b", {0: 2.0}, config={"batch_size": 16, "g_lr": 0.1})
    comparison = compare.compare(a, b)
    assert comparison["differing_flags"] == {"batch_size": [8, 16], "g_lr": [None, 0.1]}
    assert "but not the numbers drawn from them" in "\n".join(compare.in_words(comparison))
    alike = compare.compare(a, measured("b", {0: 2.0}, config={"r1_gamma": 1.0}))
    assert "share latents and real batches" in "\n".join(compare.in_words(alike))


@pytest.mark.parametrize(
    "result", [{"num_samples": 10}, {"seed": 1}, {"ema": False}, {"features_sha256": "other"}]
)
def test_what_was_measured_otherwise_is_not_compared(result):
    with pytest.raises(program.UserError, match=f"different {next(iter(result))}"):
        compare.compare(measured("a", {0: 1.0}), measured("b", {0: 2.0}, result=result))


def write_run(folder: Path, seed: int = 0, value: object = 1.0) -> Path:
    folder.mkdir(parents=True)
    facts = {
        "experiment": "gaussians",
        "config": {"seed": seed, "workdir": str(folder)},
        "dataset": {"name": "ring", "shape": [2], "sha256": "0"},
        "versions": {"jax": "0"},
        "devices": ["cpu"],
    }
    (folder / "run.json").write_text(json.dumps(facts))
    result = {**SAME, "measures": {"modes": {"value": value, "floor": 8.0}}}
    (folder / "evaluation.json").write_text(json.dumps([result]))
    return folder


def test_a_difference_between_programs_is_named_and_their_streams_are_not_said_to_be_shared(
    tmp_path,
):
    """A fork with the same flags; the other run is of version 0.1.0, which names no program."""
    a, b = write_run(tmp_path / "a"), write_run(tmp_path / "b", value=2.0)
    facts = json.loads((b / "run.json").read_text())
    (b / "run.json").write_text(json.dumps(facts | {"program": "my_fork"}))
    outcome = run("compare", a, b)
    assert "programs that differ: experiments.gaussians -> my_fork\n" in outcome.out
    assert "flags that differ: none" in outcome.out and "not the numbers drawn" in outcome.out
    (b / "run.json").write_text(json.dumps(facts | {"program": "experiments.gaussians"}))
    assert "programs" not in run("compare", a, b).out


def write_population(folder: Path, members: dict[str, dict]) -> None:
    table = {"recipe": {}, "members": members, "groups": [[name] for name in members]}
    (folder / "population.json").write_text(json.dumps(table))


def test_folders_are_compared_from_the_command_line(tmp_path):
    a = write_run(tmp_path / "a")
    for seed in range(2):
        write_run(tmp_path / "many" / f"seed_{seed}", seed, 3.0)
    write_population(tmp_path / "many", {"seed_0": {}, "seed_1": {}, "seed_2": {}, "seed_3": {}})
    (tmp_path / "many" / "seed_3").mkdir()
    (tmp_path / "many" / "diverged.json").write_text('{"seed_3": "nan"}')
    out = tmp_path / "comparison.json"
    outcome = run("compare", a, tmp_path / "many", f"--out={out}")
    assert outcome.code == 0, outcome.err
    assert "modes: higher by 2 (better), on the one seed" in outcome.out
    (comparison,) = json.loads(out.read_text())
    assert comparison["missing"] == {
        str(tmp_path / "many"): {"seed_3": "diverged", "seed_2": "not measured"}
    }
    assert "seed_3 diverged" in outcome.out
    assert comparison["seeds"] == [0] and comparison["measures"]["modes"]["median"] == 2.0


@pytest.mark.parametrize("case", ["one", "no run", "unmeasured", "damaged", "sweep", "text", "nan"])
def test_what_cannot_be_compared_is_refused_in_a_line(tmp_path, capsys, case):
    a, b = write_run(tmp_path / "a"), tmp_path / "b"
    if case != "no run":
        write_run(b, value={"text": "much", "nan": float("nan")}.get(case, 1.0))
    if case == "unmeasured":
        (b / "evaluation.json").unlink()
    if case == "damaged":
        (b / "evaluation.json").write_text('[{"measures": ')
    if case == "sweep":
        write_population(b, {"r1_gamma_1-seed_0": {"r1_gamma": 1.0}})
    arguments = [str(a)] if case == "one" else [str(a), str(b)]

    def main() -> int:
        return compare.main(arguments)

    outcome = call(main, [], capsys)
    assert outcome.code == 1 and outcome.err.count("\n") == 1, outcome
