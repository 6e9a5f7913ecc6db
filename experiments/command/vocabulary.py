"""The names that flags choose from, read from the library's tables without importing it, which would load JAX.

Each table stands once, in the library, beside what it names: `LOSSES = {"hinge": hinge, ...}`. What is added there can
be asked for on the command line.
"""

import ast
import importlib.util
from functools import cache
from pathlib import Path


def names(module: str, table: str) -> tuple[str, ...]:
    """List the keys of a table of the library, or the entries of a tuple: `names("losses", "LOSSES")`.

    Raises:
      LookupError: the module has no such table, or it is not written out.
    """
    value = _value(module, table)
    entries = value.keys if isinstance(value, ast.Dict) else value.elts
    return tuple(ast.literal_eval(entry) for entry in entries)


def descriptions(module: str, table: str) -> dict[str, str]:
    """Give each key of a table with the first line of what its function says of itself.

    Raises:
      LookupError: as `names`, or an entry is no function of the module.
    """
    value, said = _value(module, table), {}
    for node in _tree(module).body:
        if isinstance(node, ast.FunctionDef):
            said[node.name] = (ast.get_docstring(node) or "").partition("\n")[0]
    return {
        ast.literal_eval(key): said[function.id]
        for key, function in zip(value.keys, value.values, strict=True)
    }


def _value(module: str, table: str) -> ast.Dict | ast.Tuple:
    for node in _tree(module).body:
        targets = [node.target] if isinstance(node, ast.AnnAssign) else getattr(node, "targets", ())
        found = any(isinstance(target, ast.Name) and target.id == table for target in targets)
        if found and isinstance(node.value, ast.Dict | ast.Tuple):
            return node.value
    raise LookupError(f"gan_jax.{module} has no table {table} that is written out")


@cache
def _tree(module: str) -> ast.Module:
    package = Path(importlib.util.find_spec("gan_jax").origin).parent
    file = package / f"{module}.py"
    return ast.parse(
        (file if file.exists() else package / module / "__init__.py").read_text("utf-8")
    )
