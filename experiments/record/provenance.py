"""What a run is made of: versions, commit, devices, data, weights. Kept in run.json so that figures can be traced."""

import configparser
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import jax

from experiments.command.experiment import Task
from experiments.command.game import count_weights
from gan_jax.types import GANState

PACKAGES = ("gan_jax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


def facts(task: Task, program: str, state: GANState) -> dict[str, Any]:
    """Collect the facts of a run.

    Args:
      task: the run.
      program: the module that trains it.
      state: of the run, or its shapes.
    """
    train = task.source.train
    return {
        "experiment": task.experiment.name,
        "program": program,
        "dataset": {
            "name": train.name,
            "samples": len(train.images),
            "shape": list(task.sample_shape),
            "sha256": train.sha256,
            **_classes(task),
        },
        "weights": {
            "generator": count_weights(state.generator.params),
            "discriminator": count_weights(state.discriminator.params),
        },
        "versions": {"python": platform.python_version(), **_versions()},
        "commit": _commit(),
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "devices": [device.device_kind for device in jax.devices()],
        "processes": jax.process_count(),
        **({"dtype_reason": task.dtype_reason} if task.dtype_reason else {}),
    }


def _classes(task: Task) -> dict[str, Any]:
    """Say of a game with labels how often each class occurs and what it is called."""
    if not task.experiment.takes_labels(task.config):
        return {}
    train = task.source.train
    return {"class_counts": list(train.class_counts), "class_names": list(train.class_names)}


def opening_line(path: Path, facts: dict[str, Any], step: int) -> str:
    """Say in one line what is about to run."""
    data, weights, devices = facts["dataset"], facts["weights"], facts["devices"]
    begin = f"continuing after step {step}" if step else "starting"
    return (
        f"{begin} in {path}: {data['samples']:,} samples of {data['name']}, "
        f"G {weights['generator']:,} and D {weights['discriminator']:,} weights, {len(devices)} x {devices[0]}"
    )


def changes(saved: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Warn of what differs from the run's start and may change its bits."""
    pairs = {
        f"version of {name}": (saved["versions"].get(name), version)
        for name, version in now["versions"].items()
    }
    pairs["kind of device"] = (saved["devices"][0], now["devices"][0])
    if "xla_flags" in saved:  # older runs do not say
        pairs["value of XLA_FLAGS"] = (saved["xla_flags"] or "empty", now["xla_flags"] or "empty")
    return [
        f"warning: the {name} was {before} and is {after}: the rest of the run may differ in its last bits"
        for name, (before, after) in pairs.items()
        if before != after
    ]


def _versions() -> dict[str, str | None]:
    def version(package: str) -> str | None:
        try:
            return importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            return None

    return {package: version(package) for package in PACKAGES}


def _commit() -> str | None:
    return commit_of(Path(__file__))


def commit_of(file: Path) -> str | None:
    """Name the commit of the repository of gan_jax that holds a file of this package.

    An installed package may lie inside another project's repository, as in its virtual environment. That one's commit
    says nothing of this code, and git, which obeys a repository's own settings, is not even run there.

    Args:
      file: of this package, two folders below the root of its repository.

    Returns:
      As `git describe` gives it, with "-dirty" unless all files are as they were committed; None if there is no such
      repository.
    """
    file = file.resolve()
    root = file.parents[2]
    if not ((root / ".git").exists() and _is_named_gan_jax(root / "setup.cfg")):
        return None
    if not _git(root, "ls-files", "--error-unmatch", "--", file.relative_to(root).as_posix()):
        return None
    commit = _git(root, "describe", "--always", "--abbrev=12")
    changed = _git(root, "status", "--porcelain", "--untracked-files=no")
    return f"{commit}-dirty" if commit and changed != "" else commit


def _is_named_gan_jax(setup: Path) -> bool:
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(setup.read_text(encoding="utf-8"))
    except (OSError, ValueError, configparser.Error):
        return False
    return parser.get("metadata", "name", fallback=None) == "gan_jax"


def _git(root: Path, *arguments: str) -> str | None:
    """Ask git about a repository, with no program of the repository's own; give its answer, None if it fails."""
    apart = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    # A surrounding repository is not looked for, and the index is not written.
    apart |= {"GIT_CEILING_DIRECTORIES": str(root.parent), "GIT_OPTIONAL_LOCKS": "0"}
    command = [
        "git",
        "-c",
        "core.fsmonitor=false",
        "-c",
        f"core.hooksPath={os.devnull}",
        *arguments,
    ]
    options = {"capture_output": True, "text": True, "errors": "replace", "timeout": 10}
    try:
        done = subprocess.run(command, cwd=root, env=apart, stdin=subprocess.DEVNULL, **options)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
