"""What every test runs under: strict JAX, warnings as errors, drawn values that repeat from run to run."""

import os
from collections.abc import Iterator
from pathlib import Path

from experiments.command import compiler
from gan_jax.compiler import jaxlib_version

# Two processes test at once: linear algebra that waits for a second thread of its own took nine times as long.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Tests run, and start processes, under what programs set before JAX is imported.
compiler.prepare(os.environ, jaxlib_version())

import jax  # noqa: E402
import pytest  # noqa: E402
from hypothesis import HealthCheck, settings  # noqa: E402

# One cache for all runs of all checkouts; child processes of a test inherit it through the environment.
USER_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(USER_CACHE / "gan_jax" / "xla"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")

jax.config.update("jax_compilation_cache_dir", os.environ["JAX_COMPILATION_CACHE_DIR"])
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.config.update("jax_numpy_rank_promotion", "raise")

# `pytest --hypothesis-profile=thorough` draws anew in every run, and eight times as much.
SLOW_MACHINE = [HealthCheck.too_slow]
settings.register_profile(
    "gan_jax",
    deadline=None,
    derandomize=True,
    max_examples=25,
    suppress_health_check=SLOW_MACHINE,
)
settings.register_profile(
    "thorough", deadline=None, max_examples=200, suppress_health_check=SLOW_MACHINE
)
settings.load_profile("gan_jax")

WARNINGS = (
    "error",
    # Two processes that fill the cache at once: one may meet the other's half-written entry, and compiles.
    "ignore:Error reading persistent compilation cache entry:UserWarning",
)


@pytest.fixture(scope="module")
def keys_used_once() -> Iterator[None]:
    """Refuse random keys that are used twice. It takes two thirds more time, so what draws asks for it."""
    with jax.debug_key_reuse(True):
        yield


def pytest_configure(config: pytest.Config) -> None:
    for line in WARNINGS:
        config.addinivalue_line("filterwarnings", line)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of the real data sets, or a skip."""
    folder = os.environ.get("GAN_JAX_DATA")
    if not folder:
        pytest.skip("set GAN_JAX_DATA to the folder of the data sets to run this test")
    if not Path(folder).is_dir():
        pytest.fail(f"GAN_JAX_DATA must name a folder, got {folder!r}")
    return Path(folder)
