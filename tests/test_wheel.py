"""The package outside its checkout: what a wheel holds works, and takes nobody's name."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def test_experiments_gives_way_to_whoever_has_that_name():
    """A regular package goes before a namespace package, wherever on the path they lie."""
    assert not (ROOT / "experiments" / "__init__.py").exists()


@pytest.mark.slow
def test_a_wheel_trains_by_a_preset_and_samples_what_is_shipped(tmp_path):
    source = tmp_path / "source"  # building leaves files behind
    for name in ("gan_jax", "experiments"):
        shutil.copytree(ROOT / name, source / name)
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(tmp_path)]
    subprocess.run([*build, str(source)], check=True, capture_output=True, timeout=600)
    (wheel,) = tmp_path.glob("*.whl")
    site, away = tmp_path / "site", tmp_path / "away"
    away.mkdir()
    zipfile.ZipFile(wheel).extractall(site)
    tops = {path.name for path in site.iterdir() if not path.name.endswith(".dist-info")}
    assert tops == {"gan_jax", "experiments"} and (site / "gan_jax" / "py.typed").exists()

    def python(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments], env=os.environ | {"PYTHONPATH": str(site)},
            cwd=away, capture_output=True, text=True, timeout=600,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    sample = "import gan_jax; print(gan_jax.__file__, gan_jax.pretrained('digits').sample(2).shape)"
    place = site / "gan_jax" / "__init__.py"
    assert python("-c", sample) == f"{place} (2, 28, 28, 1)\n"
    python(
        "-m", "experiments.mnist", "--flagfile=digits", "--workdir=run", "--num_steps=2",
        "--steps_per_call=1", "--log_every=1", "--checkpoint_every=2", "--sample_every=2",
    )  # fmt: skip
    assert (away / "run" / "samples.png").exists()
