"""The tutorial's snippets run in order, as a notebook's cells, and say what is written beside them."""

import json
import re
import runpy
from pathlib import Path

import numpy as np
import pytest

DOCS = Path(__file__).parents[1] / "docs"
TUTORIAL = (DOCS / "tutorial.md").read_text(encoding="utf-8")


def test_the_notebook_is_the_tutorial():
    made = runpy.run_path(str(DOCS / "notebook.py"))["notebook"](TUTORIAL)
    assert (DOCS / "tutorial.ipynb").read_text(encoding="utf-8") == made, "python docs/notebook.py"
    snippets = re.findall(r"```python\n(.*?)```", TUTORIAL, re.DOTALL)
    assert code_cells() == [snippet.strip() for snippet in snippets]


def code_cells() -> list[str]:
    content = json.loads((DOCS / "tutorial.ipynb").read_text(encoding="utf-8"))
    return ["".join(c["source"]) for c in content["cells"] if c["cell_type"] == "code"]


@pytest.mark.slow
def test_the_notebook_runs_from_top_to_bottom(capsys):
    names: dict = {}
    for cell in code_cells():
        exec(compile(cell, "tutorial.ipynb", "exec"), names)
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
