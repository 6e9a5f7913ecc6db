"""The tutorial's snippets run in order, and say what is written beside them."""

import re
from pathlib import Path

import numpy as np
import pytest

DOCS = Path(__file__).parents[1] / "docs"
TUTORIAL = (DOCS / "tutorial.md").read_text(encoding="utf-8")


def test_the_tutorial_runs_from_top_to_bottom(capsys):
    names: dict = {}
    for snippet in re.findall(r"```python\n(.*?)```", TUTORIAL, re.DOTALL):
        exec(compile(snippet, "tutorial.md", "exec"), names)
    assert float(names["d_loss"]) == pytest.approx(2 * np.log(2))
    assert float(names["pull"]) == pytest.approx(0, abs=1e-6)
    assert float(names["slope"](names["losses"].minimax(), -20.0)) == pytest.approx(
        -2.06e-9, rel=1e-2
    )
    assert float(names["slope"](names["losses"].non_saturating(), -20.0)) == pytest.approx(-1)
    assert names["metrics"]["d_loss"].shape == (20,)
    assert names["images"].shape == (4, 28, 28, 1)
    assert "D is winning" in capsys.readouterr().out


@pytest.mark.parametrize("page", ["tutorial.md", "reading_curves.md"])
def test_what_a_page_names_is_there(page):
    text = (DOCS / page).read_text(encoding="utf-8")
    for linked in re.findall(r"\]\(([\w/.]+)\)", text):
        assert (DOCS / linked).exists(), linked
    for named in re.findall(r"((?:gan_jax|experiments)/[\w/]+\.\w+)", text):
        assert (DOCS.parent / named).exists(), named
