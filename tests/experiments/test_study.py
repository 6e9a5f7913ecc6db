"""The study of rules: equal gradients, failures kept, words that say what the interval says."""

import json

import pytest
from commands import run

from experiments.many import cells_in_words

ROW = {"median": 0.5, "values": [0.4, 0.5, 0.6], "diverged": [], "said": ""}


@pytest.mark.parametrize(
    ("interval", "verdict"),
    [
        ((-0.3, -0.1), "better"),
        ((0.1, 0.3), "worse"),
        ((-0.1, 0.3), "no difference that these seeds show"),
    ],
)
def test_the_words_of_a_cell_say_what_its_interval_says(interval, verdict):
    compared = {"median": sum(interval) / 2, "interval": interval}
    said = cells_in_words.sentence("a", ROW, compared, "shortfall", "alternating")
    assert said.startswith("a: median shortfall 0.5 over 3 seeds; against alternating")
    assert said.endswith(f": {verdict}")


def test_a_cell_that_failed_is_told_and_drawn_with_what_it_said():
    row = {"said": "error: 2 of 2 runs diverged", "diverged": ["seed_0", "seed_1"]}
    said = cells_in_words.sentence("a", row, None, "shortfall", "alternating")
    assert said == "a: nothing measured, error: 2 of 2 runs diverged"
    assert cells_in_words.drawn("a", row, None).note == "2 diverged"
    assert cells_in_words.drawn("a", row | {"diverged": []}, None).note == "failed"


@pytest.mark.slow
def test_a_study_trains_compares_draws_and_is_not_repeated(tmp_path):
    flags = (
        "--seeds=0,1", "--num_gradients=20", "--rules=extragradient", "--losses=hinge", "--penalties=none",
        f"--workdir={tmp_path}",
    )  # fmt: skip
    first = run("study", *flags)
    assert first.code == 0, first.err
    assert "hinge-none-extragradient: 10 steps" in first.out
    assert "against alternating" in first.out
    numbers = json.loads((tmp_path / "study.json").read_text())
    assert [row["steps"] for row in numbers["cells"]] == [20, 10]
    assert (tmp_path / "study.png").stat().st_size > 1000
    again = run("study", *flags)
    assert "10 steps\n" not in again.out.splitlines()[0]
    other = run("study", *flags, "--num_gradients=40")
    assert other.code == 1 and "a study by other flags" in other.err
