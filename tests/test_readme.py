"""The README's snippets, run as they stand, each by itself; and the names it gives."""

import ast
import re
from pathlib import Path

import numpy as np
import pytest

import gan_jax

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def defined(snippet: str) -> str:
    """Name a snippet by what it defines last."""
    node = ast.parse(snippet).body[-1]
    return getattr(node, "name", None) or ast.unparse(node.targets[0])


def slow_if_it_trains(snippet: str):
    """Mark a snippet that takes steps of a whole-sized game."""
    marks = [pytest.mark.slow] if "metrics" in snippet else []
    return pytest.param(snippet, marks=marks, id=defined(snippet))


def test_there_are_snippets():
    assert len(SNIPPETS) >= 4


@pytest.mark.parametrize("snippet", [slow_if_it_trains(snippet) for snippet in SNIPPETS])
def test_every_snippet_runs_by_itself(snippet):
    names: dict = {}
    exec(compile(snippet, "README.md", "exec"), names)
    if "metrics" in names:
        assert names["metrics"]["d_loss"].shape == (5,) and names["images"].shape == (25, 28, 28, 1)
        assert np.abs(np.asarray(names["images"])).max() <= 1
    if "softened" in names:
        zeros = np.zeros(3, np.float32)
        loss = names["softened"]()
        assert float(loss.discriminator(zeros, zeros)) == pytest.approx(2 * np.log(2))
        assert float(loss.generator(None, zeros)) == 0
    if "logits" in names:
        assert names["logits"].shape == (2,)


def test_every_file_that_is_named_exists():
    named = set(re.findall(r"`((?:gan_jax|experiments|docs|tests)/[\w/.]+)`", README))
    linked = set(re.findall(r"\]\(([\w/.]+)\)", README))
    missing = [path for path in named | linked if not (ROOT / path).exists()]
    assert named and linked and not missing


@pytest.mark.parametrize("name", gan_jax.__all__)
def test_every_name_at_the_top_of_the_package_is_there(name):
    assert getattr(gan_jax, name) is not None


def test_a_name_that_is_not_there_is_told_as_python_tells_it():
    with pytest.raises(AttributeError, match="has no attribute 'GANN'"):
        gan_jax.GANN  # noqa: B018


@pytest.mark.slow
def test_one_page_trains_and_draws(tmp_path, capsys):
    from experiments import one_page

    one_page.main(num_chunks=1, path=str(tmp_path / "grid.png"))
    assert (tmp_path / "grid.png").stat().st_size > 1000
    assert "step 100" in capsys.readouterr().out
    lines = [line for line in Path(one_page.__file__).read_text().splitlines() if line.strip()]
    assert len(lines) <= 75  # a page
