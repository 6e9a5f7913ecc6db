"""What a run is made of: versions, commit, devices, data, weights. Kept in run.json so that figures can be traced."""

import importlib.metadata
import platform
import subprocess
from pathlib import Path
from typing import Any

import jax

from experiments.command.game import count_weights
from gan_jax.data import Dataset
from gan_jax.types import GANState

PACKAGES = ("gan_jax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


def facts(
    experiment: str, dataset: Dataset, sample_shape: tuple[int, ...], state: GANState
) -> dict[str, Any]:
    """Collect the facts of a run: its samples' shape may be made of the dataset's; `state` may be shapes."""
    return {
        "experiment": experiment,
        "dataset": {
            "name": dataset.name,
            "samples": len(dataset.images),
            "shape": list(sample_shape),
            "sha256": dataset.sha256,
        },
        "weights": {
            "generator": count_weights(state.generator.params),
            "discriminator": count_weights(state.discriminator.params),
        },
        "versions": {"python": platform.python_version(), **_versions()},
        "commit": _commit(),
        "devices": [device.device_kind for device in jax.devices()],
        "processes": jax.process_count(),
    }


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
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    here = Path(__file__).parent
    try:
        done = subprocess.run(command, cwd=here, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
