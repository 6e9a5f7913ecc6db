"""The layout of docs/design.md, enforced: who may import whom, what touches the world, how long things may be.

Each rule is a function from a source file to its complaints, and is shown to catch a planted violation.
"""

import ast
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]

# What the rooms of gan_jax may import of gan_jax, besides themselves.
CONVOLUTIONS = {  # precision <- convolution <- layers <- models
    "precision": {"types"},
    "convolution": {"types", "precision"},
    "layers": {"types", "precision", "convolution"},
    "wave_layers": {"types", "precision", "convolution"},
    "models": {"types", "layers", "wave_layers"},
}
# losses, penalties, pull_back, sampling <- objectives <- gradients <- steps <- rules; population beside the rules
GAME = {
    "losses": {"types"},
    "penalties": {"types"},
    "sampling": {"types"},
    "rejection": {"types"},
    "augmentations": {"types"},
    "adaptive": {"types", "augmentations", "sampling"},
    "pull_back": {"types"},
    "objectives": {"types", "penalties", "pull_back"},
    "gradients": {"types", "sampling", "objectives"},
    "steps": {"types", "sampling", "gradients"},
    "streaming": {"types", "sampling", "steps"},
    "optimizers": {"types"},
    "jacobian": {"types"},
    "rules": {"types", "sampling", "pull_back", "objectives", "gradients", "jacobian", "steps"},
    "population": {"types", "steps"},
    "dynamics": {"types", "sampling", "objectives", "gradients", "jacobian", "steps"},
}
VOCABULARY_ONLY = (
    *("networks", "parallel", "portable", "signals", "evaluation", "plots", "data", "checkpoint"),
)
MAY_IMPORT = {"compiler": set(), "types": {"compiler"}, **CONVOLUTIONS, **GAME}
MAY_IMPORT |= {room: {"types"} for room in VOCABULARY_ONLY}
# A generator that travels, and those that come with the package.
MAY_IMPORT |= {"export": {"types", "portable"}, "shipped": {"types", "export"}}
# Its frozen classifier, and the range of images it takes.
ALSO = {
    "gan_jax/evaluation/features.py": {"networks", "models", "sampling"},
    "gan_jax/evaluation/features_of_images.py": {"sampling"},
    "gan_jax/evaluation/own_features.py": {"networks"},
    # The same of sounds, which are heard as pictures.
    "gan_jax/evaluation/judges.py": {"networks", "models", "sampling", "signals"},
    # Sounds are learnt as pictures.
    "gan_jax/data/folder/sounds.py": {"signals"},
}
# One file per family, and none knows another: all know what they are asked for, and the room's own file knows all.
NO_SIBLINGS = ("models",)
SHARED_BY_SIBLINGS = ("gan_jax.models.options", "gan_jax.models.conditional")

FLAX_ROOMS = ("networks", "precision", "layers", "wave_layers", "models")
EDGE_ROOMS = ("data", "plots", "checkpoint", "export", "shipped")

# The rooms of experiments, and which of them each may import. Programs lie beside the rooms, and import them all.
ROOMS = {
    "command": (),
    "record": ("command",),
    "training": ("command", "record"),
    "measuring": ("command", "record"),
    "reporting": ("command", "record", "measuring"),
    "many": ("command", "record", "training", "measuring", "reporting"),
}

# What finds modules by their names: the package's own rooms, and the program that a run folder names.
BY_NAME = ("gan_jax/__init__.py", "experiments/record/program_of_run.py")

# Slow to import and wanted by few.
HEAVY = (
    *(
        "PIL",
        "array_record",
        "jinja2",
        "grain",
        "matplotlib",
        "orbax",
        "pooch",
        "pyarrow",
        "scipy",
        "sklearn",
    ),
    *("tensorboardX", "tensorflow_datasets"),
)
PEERS = ("keras", "tensorflow", "torch")  # so are these, but a benchmark's peer_*.py is made of one
# Files, clock, network, other programs.
OUTSIDE_WORLD = (
    *("datetime", "http", "requests", "shutil", "socket", "subprocess", "tempfile", "time"),
    "urllib",
)
MAX_FILE_LINES = 250
MAX_FUNCTION_LINES = 50  # the docstring not counted: explaining is free
SHAPELESS_NAMES = ("util", "utils", "helpers", "misc")


class Source(NamedTuple):
    """A file: its path below the root, with slashes, and its text."""

    path: str
    text: str

    @property
    def tree(self) -> ast.Module:
        return parse(self.text)

    @property
    def package(self) -> str:
        return self.path.split("/")[0]

    @property
    def room(self) -> str:
        """Name of the room of gan_jax, or of the experiment; "" for a package's own __init__."""
        inside = self.path.split("/", 1)[1].removesuffix(".py")
        if self.package == "gan_jax":
            inside = inside.split("/")[0]
        return inside.replace("/", ".").removesuffix("__init__").removesuffix(".")


@cache
def parse(text: str) -> ast.Module:
    return ast.parse(text)


class Import(NamedTuple):
    """One imported module, in full: `from gan_jax import losses` is gan_jax.losses."""

    line: int
    module: str

    @property
    def top(self) -> str:
        return self.module.split(".")[0]


def imports(source: Source, tree: ast.AST | None = None) -> Iterator[Import]:
    """List every import below a node, those inside functions too."""
    for node in ast.walk(tree or source.tree):
        if isinstance(node, ast.Import):
            yield from (Import(node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = absolute(source.path, node)
            if module in ("gan_jax", "experiments", "experiments.benchmarks"):
                yield from (Import(node.lineno, f"{module}.{alias.name}") for alias in node.names)
            else:
                yield Import(node.lineno, module)


def absolute(path: str, node: ast.ImportFrom) -> str:
    """Spell out a relative import."""
    here = path.split("/")[: -node.level] if node.level else []
    return ".".join([*here, *([node.module] if node.module else [])])


def imports_at_import_time(source: Source) -> Iterator[Import]:
    """List the imports that run with the module: not those in functions, nor those for type checkers."""

    def visit(node: ast.AST) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import | ast.ImportFrom):
                yield from imports(source, child)
            elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                continue
            elif not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                yield from visit(child)

    return visit(source.tree)


def functions(source: Source) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    nodes = ast.walk(source.tree)
    return (n for n in nodes if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))


# The rules


def imports_of_gan_jax_go_down(source: Source) -> Iterator[str]:
    """A room imports only the rooms that docs/design.md puts before it."""
    if source.package != "gan_jax":
        return
    if source.room and source.room not in MAY_IMPORT:
        yield f"{source.room} is no room: say in docs/design.md and here what it may import"
        return
    allowed = MAY_IMPORT.get(source.room, set(MAY_IMPORT)) | ALSO.get(source.path, set())
    for line, module in imports(source):
        package, _, inside = module.partition(".")
        target = inside.split(".")[0]
        if package == "experiments":
            yield f"line {line}: the library imports {module}, a program"
        elif package == "gan_jax" and not target:
            yield f"line {line}: import the room that is needed, not all of gan_jax"
        elif package == "gan_jax" and target == source.room:
            is_shared = module in SHARED_BY_SIBLINGS or source.path.endswith("/__init__.py")
            if source.room in NO_SIBLINGS and not is_shared:
                yield f"line {line}: imports its sibling {module}"
        elif package == "gan_jax" and target not in allowed and not target.startswith("__"):
            yield f"line {line}: {source.room} may import {sorted(allowed)}, not {module}"


def rooms_of_experiments_import_one_way(source: Source) -> Iterator[str]:
    """A room imports itself and the rooms before it, a program every room, and nobody imports a program.

    Benchmarks may share their own parts, which nobody else imports.
    """
    if source.package != "experiments":
        return
    room, _, inside = source.room.partition(".")
    if inside and room not in (*ROOMS, "benchmarks"):
        yield f"{room} is no room: say in docs/design.md and here what it may import"
        return
    may_import = {room, *ROOMS[room]} if room in ROOMS else {*ROOMS}
    if room == "benchmarks":
        may_import.add("benchmarks")
    for line, module in imports(source):
        package, _, rest = module.partition(".")
        target = rest.split(".")[0]
        if package != "experiments":
            continue
        if not rest:
            yield f"line {line}: import the module that is needed, not all of experiments"
        elif target not in may_import:
            yield f"line {line}: {room} may import {sorted(may_import)}, not {module}"


def flax_stays_behind_one_adapter(source: Source) -> Iterator[str]:
    """Only networks, layers and models know Flax; a program may bring its own network, benchmarks time against it."""
    if source.package == "gan_jax" and source.room in FLAX_ROOMS:
        return
    room, _, inside = source.room.partition(".")
    if source.package == "experiments" and (not inside or room == "benchmarks"):
        return
    for each in imports(source):
        if each.top == "flax":
            yield f"line {each.line}: imports {each.module}; only {FLAX_ROOMS} may"


def absl_stays_in_experiments(source: Source) -> Iterator[str]:
    """The library never sees flags."""
    for each in imports(source):
        if each.top == "absl" and source.package != "experiments":
            yield f"line {each.line}: imports {each.module}; only experiments may"


def the_world_is_touched_at_the_edge(source: Source) -> Iterator[str]:
    """Files, clock, stdout and network belong to data, plots, checkpoint and experiments."""
    if source.package != "gan_jax" or source.room in EDGE_ROOMS:
        return
    for each in imports(source):
        if each.top in OUTSIDE_WORLD:
            yield f"line {each.line}: imports {each.module}; only {EDGE_ROOMS} may"
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call):
            called = getattr(node.func, "id", None) or getattr(node.func, "attr", None)
            if called in ("print", "open", "input"):
                yield f"line {node.lineno}: calls {called}(); only {EDGE_ROOMS} may"
        elif isinstance(node, ast.Attribute) and node.attr in ("stdout", "stderr"):
            yield f"line {node.lineno}: uses {node.attr}; only {EDGE_ROOMS} may"


def heavy_imports_wait_until_needed(source: Source) -> Iterator[str]:
    """Large packages are imported inside the functions that use them."""
    is_peer = source.path.startswith("experiments/benchmarks/peer_")
    heavy = HEAVY if is_peer else HEAVY + PEERS
    for each in imports_at_import_time(source):
        if each.top in heavy:
            yield f"line {each.line}: import {each.module} inside the function that needs it"


def importing_gan_jax_costs_nothing(source: Source) -> Iterator[str]:
    """The package itself imports the standard library only; its rooms load on first use."""
    if source.path != "gan_jax/__init__.py":
        return
    for each in imports_at_import_time(source):
        if each.top not in sys.stdlib_module_names:
            yield f"line {each.line}: imports {each.module}"


def nothing_is_imported_by_name_string(source: Source) -> Iterator[str]:
    """No registry: functions are passed, or looked up in a dictionary. Others' modules may go by a literal."""
    if source.path in BY_NAME:
        return
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.Call):
            continue
        if ast.unparse(node.func).split(".")[-1] not in ("import_module", "__import__"):
            continue
        name = node.args[0].value if node.args and isinstance(node.args[0], ast.Constant) else None
        if name is None or name.split(".")[0] in ("", "gan_jax", "experiments"):
            yield f"line {node.lineno}: {ast.unparse(node)}"


def files_are_short(source: Source) -> Iterator[str]:
    """A file has one idea, in at most 250 lines."""
    lines = len(source.text.splitlines())
    if lines > MAX_FILE_LINES:
        yield f"{lines} lines, the limit is {MAX_FILE_LINES}: split it by idea"


def functions_are_short(source: Source) -> Iterator[str]:
    """A function has at most 50 lines besides its docstring."""
    for node in functions(source):
        lines = node.end_lineno - node.lineno + 1
        if ast.get_docstring(node) is not None:
            lines -= node.body[0].end_lineno - node.body[0].lineno + 1
        if lines > MAX_FUNCTION_LINES:
            yield f"line {node.lineno}: {node.name} has {lines} lines, the limit is {MAX_FUNCTION_LINES}"


def names_say_what_is_inside(source: Source) -> Iterator[str]:
    """No utils.py: a file is called after its idea."""
    for part in source.path.removesuffix(".py").split("/"):
        if part in SHAPELESS_NAMES:
            yield f"{part} says nothing: name it after what it does"


def public_functions_are_explained(source: Source) -> Iterator[str]:
    """Public functions of the library are annotated throughout; they and public classes have a docstring."""
    if source.package != "gan_jax":
        return
    for node in source.tree.body:
        if not isinstance(node, ast.FunctionDef | ast.ClassDef) or node.name.startswith("_"):
            continue
        if ast.get_docstring(node) is None:
            yield f"line {node.lineno}: {node.name} has no docstring"
        if isinstance(node, ast.FunctionDef):
            yield from missing_annotations(node, node.name, bound=False)
            continue
        for method in node.body:
            if isinstance(method, ast.FunctionDef) and (
                method.name == "__call__" or not method.name.startswith("_")
            ):
                static = "staticmethod" in map(ast.unparse, method.decorator_list)
                yield from missing_annotations(
                    method, f"{node.name}.{method.name}", bound=not static
                )


def missing_annotations(node: ast.FunctionDef, name: str, *, bound: bool) -> Iterator[str]:
    arguments = [*node.args.posonlyargs, *node.args.args][bound:] + node.args.kwonlyargs
    arguments += [a for a in (node.args.vararg, node.args.kwarg) if a is not None]
    for argument in arguments:
        if argument.annotation is None:
            yield f"line {argument.lineno}: {name}'s argument {argument.arg} has no annotation"
    if node.returns is None:
        yield f"line {node.lineno}: {name} does not say what it returns"


def arguments_are_spelled_out(source: Source) -> Iterator[str]:
    """No function of the library takes **kwargs to hand them on."""
    if source.package != "gan_jax":
        return
    for node in ast.walk(source.tree):
        if isinstance(node, ast.arguments) and node.kwarg is not None:
            yield f"line {node.kwarg.lineno}: takes **{node.kwarg.arg}; name the arguments"


Rule = Callable[[Source], Iterator[str]]
RULES: dict[str, Rule] = {
    rule.__name__: rule
    for rule in (
        imports_of_gan_jax_go_down,
        rooms_of_experiments_import_one_way,
        flax_stays_behind_one_adapter,
        absl_stays_in_experiments,
        the_world_is_touched_at_the_edge,
        heavy_imports_wait_until_needed,
        importing_gan_jax_costs_nothing,
        nothing_is_imported_by_name_string,
        files_are_short,
        functions_are_short,
        names_say_what_is_inside,
        public_functions_are_explained,
        arguments_are_spelled_out,
    )
}


def source_paths() -> list[str]:
    found = [p for package in ("gan_jax", "experiments") for p in (ROOT / package).rglob("*.py")]
    return sorted(p.relative_to(ROOT).as_posix() for p in found)


@pytest.mark.parametrize("path", source_paths())
def test_every_file_keeps_the_rules(path):
    source = Source(path, (ROOT / path).read_text(encoding="utf-8"))
    complaints = [
        f"{path}: {complaint}\n{rule.__doc__}"
        for rule in RULES.values()
        for complaint in rule(source)
    ]
    assert not complaints, "\n".join(complaints)


# The rules at work. Each planted file breaks the rule it stands under, and keeps all others.

FUNCTION = 'def f(x: int) -> int:\n    """Add."""\n'
PLANTED = {
    "imports_of_gan_jax_go_down": [
        ("gan_jax/types.py", "from gan_jax.losses import hinge"),
        ("gan_jax/losses.py", "from gan_jax import penalties"),
        ("gan_jax/losses.py", "from . import penalties"),
        ("gan_jax/losses.py", "import gan_jax.steps as s"),
        ("gan_jax/sampling.py", "import gan_jax"),
        ("gan_jax/sampling.py", "import experiments.training"),
        ("gan_jax/steps.py", "from experiments.training import loop"),
        (
            "gan_jax/steps.py",
            FUNCTION + "    from gan_jax.population import run\n    return run(x)",
        ),
        ("gan_jax/models/mlp.py", "from gan_jax.networks import from_linen"),
        ("gan_jax/models/mlp.py", "from gan_jax.models.dcgan import Generator"),
        ("gan_jax/models/mlp.py", "from .dcgan import Generator"),
        ("gan_jax/evaluation/frechet.py", "from gan_jax.models import mlp"),
        ("gan_jax/evaluation/frechet.py", "from ..sampling import sample"),
        ("gan_jax/attic.py", "import math"),
    ],
    "rooms_of_experiments_import_one_way": [
        ("experiments/mnist.py", "from experiments import gaussians"),
        ("experiments/mnist.py", "from experiments.gaussians import build_gan"),
        ("experiments/mnist.py", "from . import gaussians"),
        ("experiments/training/loop.py", "import experiments.mnist"),
        ("experiments/training/loop.py", "from experiments.many import train"),
        ("experiments/training/loop.py", "from experiments.measuring import measure"),
        ("experiments/command/config.py", "from experiments.record.run_folder import claim"),
        ("experiments/attic/loop.py", "import math"),
        ("experiments/mnist.py", "from experiments.benchmarks import timing"),
        ("experiments/training/loop.py", "from experiments.benchmarks.timing import measure"),
        ("experiments/benchmarks/step.py", "from ..mnist import build_gan"),
    ],
    "flax_stays_behind_one_adapter": [
        ("gan_jax/steps.py", "from flax import linen as nn"),
        ("gan_jax/evaluation/features.py", "import flax.linen as nn"),
        ("experiments/training/loop.py", "import flax"),
    ],
    "absl_stays_in_experiments": [("gan_jax/plots/charts.py", "from absl import logging")],
    "the_world_is_touched_at_the_edge": [
        ("gan_jax/steps.py", "print('step')"),
        ("gan_jax/steps.py", "import jax\njax.debug.print('step')"),
        ("gan_jax/losses.py", "labels = open('labels.txt')"),
        ("gan_jax/losses.py", "from pathlib import Path\nlabels = Path('labels.txt').open()"),
        ("gan_jax/parallel.py", "import time"),
        ("gan_jax/parallel.py", "from time import sleep"),
        ("gan_jax/evaluation/kernel.py", "import urllib.request"),
        ("gan_jax/evaluation/kernel.py", "import sys\nsys.stderr.write('slow')"),
    ],
    "heavy_imports_wait_until_needed": [
        ("gan_jax/plots/charts.py", "import matplotlib.pyplot as plt"),
        ("gan_jax/data/tfds.py", "try:\n    import tensorflow_datasets\nexcept ImportError: ..."),
        ("gan_jax/data/digits.py", "class A:\n    '''A.'''\n    from sklearn import datasets"),
        ("experiments/training/loop.py", "from tensorboardX import SummaryWriter"),
        ("experiments/benchmarks/step.py", "import torch"),
    ],
    "importing_gan_jax_costs_nothing": [("gan_jax/__init__.py", "import jax")],
    "nothing_is_imported_by_name_string": [
        (
            "experiments/training/loop.py",
            "import importlib\nm = importlib.import_module('experiments.mnist')",
        ),
        ("gan_jax/steps.py", "losses = __import__('gan_jax.losses')"),
        (
            "gan_jax/steps.py",
            FUNCTION + "    import importlib\n    importlib.import_module(f'{x}')",
        ),
    ],
    "files_are_short": [("gan_jax/losses.py", "x = 1\n" * 251)],
    "functions_are_short": [
        ("gan_jax/losses.py", FUNCTION + "    x += 1\n" * 49 + "    return x"),
        ("experiments/training/loop.py", "class A:\n  def f(self):\n" + "    x = 1\n" * 50),
    ],
    "names_say_what_is_inside": [
        ("experiments/utils.py", ""),
        ("gan_jax/data/utils/files.py", ""),
    ],
    "public_functions_are_explained": [
        ("gan_jax/losses.py", "def f(x: int) -> int:\n    return x"),
        ("gan_jax/losses.py", 'def f(x) -> int:\n    """Add."""'),
        ("gan_jax/losses.py", 'def f(x: int):\n    """Add."""'),
        ("gan_jax/losses.py", 'def f(x: int, *, key) -> int:\n    """Add."""'),
        ("gan_jax/losses.py", 'def f(*x) -> int:\n    """Add."""'),
        ("gan_jax/types.py", "class A:\n    x: int"),
        ("gan_jax/types.py", 'class A:\n    """A."""\n    def __call__(self, x) -> int: ...'),
    ],
    "arguments_are_spelled_out": [
        ("gan_jax/losses.py", 'def f(**kwargs: int) -> int:\n    """Add."""'),
        ("gan_jax/losses.py", "f = lambda **options: dict(**options)"),
    ],
}

INNOCENT = [
    ("gan_jax/__init__.py", "import importlib\nlosses = importlib.import_module('gan_jax.losses')"),
    ("gan_jax/losses.py", "from gan_jax.types import Array\nfrom . import types"),
    ("gan_jax/models/__init__.py", "from gan_jax.models.mlp import Generator"),
    ("gan_jax/models/mlp.py", "from flax import linen\nfrom gan_jax.layers import Conv"),
    (
        "gan_jax/evaluation/features.py",
        "from gan_jax import networks\nfrom gan_jax.models import mlp",
    ),
    ("gan_jax/evaluation/frechet.py", "from gan_jax.evaluation.features import Features"),
    (
        "gan_jax/checkpoint/disk.py",
        "from gan_jax import __version__\nimport time\nprint(time.time())",
    ),
    ("gan_jax/plots/charts.py", "import importlib\nm = importlib.import_module('PIL.Image')"),
    ("gan_jax/plots/charts.py", FUNCTION + "    import matplotlib\n    return x"),
    ("gan_jax/types.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import PIL"),
    ("gan_jax/steps.py", FUNCTION + "    def g(y): return y\n    return dict(**g({}))"),
    ("gan_jax/steps.py", FUNCTION + "    x += 1\n" * 48 + "    return x"),
    ("gan_jax/layers.py", 'class A:\n    """A."""\n    def _f(self, x): ...'),
    (
        "gan_jax/types.py",
        'class A:\n    """A."""\n    @staticmethod\n    def f(x: int) -> int: ...',
    ),
    ("gan_jax/losses.py", "x = 1\n" * 250),
    ("experiments/mnist.py", "from absl import flags\nfrom experiments.command import config"),
    (
        "experiments/benchmarks/step.py",
        "import flax\nfrom experiments.command.config import Config",
    ),
    ("experiments/benchmarks/step.py", "from experiments.benchmarks import timing"),
    ("experiments/benchmarks/peer_torch.py", "import torch.nn as nn"),
]


def complaining_rules(path: str, text: str) -> set[str]:
    return {name for name, rule in RULES.items() if list(rule(Source(path, text)))}


@pytest.mark.parametrize("rule", RULES)
def test_the_rule_catches_planted_violations(rule):
    assert PLANTED[rule]
    for path, text in PLANTED[rule]:
        assert complaining_rules(path, text) == {rule}, f"{path}:\n{text}"


@pytest.mark.parametrize(("path", "text"), INNOCENT)
def test_innocent_files_are_let_pass(path, text):
    assert complaining_rules(path, text) == set()


def test_a_complaint_says_what_and_where():
    source = Source("gan_jax/losses.py", "import math\n\nfrom gan_jax.steps import train_step\n")
    (complaint,) = imports_of_gan_jax_go_down(source)
    assert complaint == "line 3: losses may import ['types'], not gan_jax.steps"


def test_there_is_something_to_check():
    assert {"gan_jax/types.py", "gan_jax/losses.py", "gan_jax/penalties.py"} <= set(source_paths())
