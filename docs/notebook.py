"""Write the tutorial once more as a notebook: its text and its snippets, cell by cell.

    python docs/notebook.py

makes tutorial.ipynb of tutorial.md beside it. A test holds the two together and runs the notebook's cells.
"""

import json
import re
from pathlib import Path

DOCS = Path(__file__).parent
START = (
    "On Colab, or wherever gan_jax is not installed yet: bring the project here and run `%pip install -e .` in its "
    "folder first."
)


def cells(markdown: str) -> list[dict]:
    """Part a page into a notebook's cells: a code cell for each Python snippet, text between them."""
    parts = re.split(r"```python\n(.*?)```\n?", markdown, flags=re.DOTALL)
    found = [_cell("markdown", START)]
    for number, part in enumerate(parts):
        if part.strip():
            found.append(_cell("code" if number % 2 else "markdown", part.strip()))
    return [cell | {"id": f"cell-{number}"} for number, cell in enumerate(found)]


def notebook(markdown: str) -> str:
    """Give the whole file, in version 4.5 of the notebook format."""
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    content = {
        "cells": cells(markdown),
        "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _cell(kind: str, text: str) -> dict:
    cell = {"cell_type": kind, "metadata": {}, "source": text.splitlines(keepends=True)}
    return cell | {"execution_count": None, "outputs": []} if kind == "code" else cell


if __name__ == "__main__":
    page = (DOCS / "tutorial.md").read_text(encoding="utf-8")
    (DOCS / "tutorial.ipynb").write_text(notebook(page), encoding="utf-8")
