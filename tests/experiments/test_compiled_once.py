"""What is compiled for a run serves every other run of its recipe."""

import secrets

import jax
import pytest
from commands import TINY, call, import_main

from gan_jax import plots

mnist_main = import_main("mnist")


@pytest.fixture
def misses(monkeypatch):
    """Programs that the cache of compiled programs did not hold, as they come."""
    for picture in (
        "save_grid",
        "save_curves",
        "save_animation",
    ):  # drawn without JAX, tested elsewhere
        monkeypatch.setattr(plots, picture, lambda *arguments, **options: None)
    found: list[str] = []

    def listen(event: str, **details: object) -> None:
        del details
        if event == "/jax/compilation_cache/cache_misses":
            found.append(event)

    jax.monitoring.register_event_listener(listen)
    yield found
    jax.monitoring.unregister_event_listener(listen)


def test_another_seed_folder_length_and_other_periods_compile_nothing(tmp_path, capsys, misses):
    first = [*TINY, "--dataset=digits", "--batch_size=8", f"--workdir={tmp_path}/first"]
    assert call(mnist_main, first, capsys).code == 0
    misses.clear()
    # A seed that no earlier test run can have left in the cache.
    other = [f"--seed={secrets.randbelow(2**32)}", f"--workdir={tmp_path}/other", "--num_steps=8"]
    assert call(mnist_main, [*first, *other, "--log_every=4"], capsys).code == 0
    assert not misses
