"""Runs of many devices and processes, as a user starts, loses, stops and resumes them."""

import contextlib
import json
import os
import signal
import socket
import time

import jax
import numpy as np
import pytest
from commands import TINY, call, start

from experiments import mnist
from experiments.command import devices
from experiments.command import program as programs
from gan_jax import parallel

TIMEOUT = 10  # seconds: --coordinator_timeout of the runs here
BOUND = TIMEOUT + 30  # within which a run that cannot go on must have ended, on a busy machine
LENGTH = 300
LONG = (
    "--network=mlp", "--width=0.05", "--batch_size=4", f"--num_steps={LENGTH}", "--steps_per_call=10",
    "--log_every=50", f"--sample_every={LENGTH}", "--checkpoint_every=50", "--adam_eps=1e-3",
)  # fmt: skip


def launch(folder, *arguments, virtual=2):
    """Start a process of experiments.mnist on so many virtual devices."""
    environment = {
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={virtual}",
        "NPROC": "16",  # threads: with fewer than devices XLA's collectives can wait for ever
    }
    return start("mnist", f"--workdir={folder}", *arguments, env=os.environ | environment)


def free_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return f"127.0.0.1:{free.getsockname()[1]}"


@contextlib.contextmanager
def pair(folder, *arguments, second=()):
    """Start two processes with two devices each; none outlives the block."""
    common = [f"--coordinator_address={free_address()}", "--num_processes=2"]
    common += [f"--coordinator_timeout={TIMEOUT}", *arguments]
    processes = [
        launch(folder, *common, f"--process_id={rank}", *(second if rank else ()))
        for rank in (0, 1)
    ]
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def outcomes(processes, timeout=200):
    """Exit codes and standard errors, once all have ended."""
    errors = [process.communicate(timeout=timeout)[1] for process in processes]
    return [process.returncode for process in processes], errors


def await_checkpoint(processes, folder, step) -> None:
    """Wait until a run has saved a step."""
    end = time.monotonic() + 200
    while not (folder / "checkpoints" / str(step)).is_dir():
        assert all(process.poll() is None for process in processes), outcomes(processes)
        assert time.monotonic() < end, "no checkpoint in time"
        time.sleep(0.02)


def final_bits(folder) -> dict:
    """Name, type and CRC-32 of each leaf of the last checkpoint, as the checkpoint has them."""
    record = folder / "checkpoints" / str(LENGTH) / "record" / "metadata"
    return json.loads(record.read_text())["body"]["leaves"]


def log_of(folder) -> list[dict]:
    """The log's lines without the clock's."""
    lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [
        {k: v for k, v in line.items() if k not in ("seconds", "images_per_second")}
        for line in lines
    ]


# From end to end


@pytest.mark.slow
def test_whichever_process_dies_the_other_ends_with_a_clear_line_and_the_run_resumes_bit_for_bit(
    tmp_path,
):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    with pair(whole, *LONG) as processes:
        assert outcomes(processes)[0] == [0, 0]
    for victim, step in ((1, 100), (0, 200)):
        with pair(broken, *LONG) as processes:
            await_checkpoint(processes, broken, step)
            processes[victim].kill()
            _, error = processes[1 - victim].communicate(timeout=BOUND)
            assert processes[1 - victim].returncode not in (0, None)
            assert "lost the other processes" in error or "another task died" in error
            assert "Traceback" not in error
    with pair(broken, *LONG) as processes:
        assert outcomes(processes)[0] == [0, 0]
    assert final_bits(broken) == final_bits(whole)
    assert log_of(broken) == log_of(whole)
    assert [line["step"] for line in log_of(whole)] == list(range(50, LENGTH + 1, 50))


@pytest.mark.slow
def test_sigterm_to_one_process_stops_all_after_one_save_and_another_layout_goes_on(tmp_path):
    with pair(tmp_path / "pair", *LONG) as processes:
        await_checkpoint(processes, tmp_path / "pair", 100)
        processes[1].send_signal(signal.SIGTERM)
        first, _ = processes[0].communicate(timeout=BOUND)
        codes, errors = outcomes(processes[1:], BOUND)
        assert [processes[0].returncode, *codes] == [143, 143], errors
    assert "stopped by SIGTERM after step" in first
    stopped = int(first.partition("after step ")[2].partition(";")[0])
    saved = [int(p.name) for p in (tmp_path / "pair" / "checkpoints").iterdir()]
    assert max(saved) == stopped < LENGTH
    alone = [
        launch(tmp_path / "pair", *LONG, "--num_devices=1"),
        launch(tmp_path / "alone", *LONG, virtual=1),
    ]
    try:
        assert outcomes(alone)[0] == [0, 0]
    finally:
        for process in alone:
            process.kill()
    for there, here in zip(log_of(tmp_path / "pair"), log_of(tmp_path / "alone"), strict=True):
        assert there == pytest.approx(here, rel=1e-3, abs=1e-3)


@pytest.mark.slow
def test_processes_with_different_flags_are_refused_together(tmp_path):
    with pair(tmp_path / "run", *TINY, second=["--seed=7", "--g_lr=0.1"]) as processes:
        codes, errors = outcomes(processes, BOUND)
    assert codes == [1, 1]
    assert all("do not agree in --seed, --g_lr" in error for error in errors), errors
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_folder_that_the_writer_refuses_ends_all_processes(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pair(tmp_path, *TINY) as processes:
        codes, errors = outcomes(processes, BOUND)
    assert codes == [1, 1] and "thesis.tex" in errors[0]
    assert "process 0 cannot use the run folder" in errors[1] or "another task died" in errors[1]
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.slow
def test_a_batch_that_eight_devices_cannot_share_is_refused(tmp_path):
    process = launch(tmp_path / "run", *TINY, virtual=8)
    codes, (error,) = outcomes([process])
    assert codes == [1] and error.count("\n") == 1
    assert "--batch_size=4 cannot be divided between 8 devices" in error
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_processes_that_do_not_come_are_waited_for_in_bounds(tmp_path, rank):
    arguments = [f"--coordinator_address={free_address()}", "--num_processes=2"]
    arguments += [f"--process_id={rank}", "--coordinator_timeout=5", *TINY]
    process = launch(tmp_path / "run", *arguments)
    began = time.monotonic()
    (code,), (error,) = outcomes([process], timeout=5 + 40)
    assert code == 1
    assert time.monotonic() - began < 5 + 30  # with the start of Python and JAX
    assert (
        error.count("\n") == 1 and f"process {rank} could not join the run at 127.0.0.1:" in error
    )
    assert not (tmp_path / "run").exists()


# In this process


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--process_id=1"], ["--coordinator_address=HOST:PORT"]),
        (["--coordinator_address=somewhere"], ["somewhere", "HOST:PORT"]),
        (["--coordinator_address=host:0"], ["host:0", "HOST:PORT"]),
        (
            ["--coordinator_address=host:1", "--process_id=2", "--num_processes=2"],
            ["--process_id=2", "--num_processes=2"],
        ),
        (["--coordinator_timeout=1"], ["coordinator_timeout"]),
    ],
)
def test_flags_that_do_not_fit_together_are_refused(tmp_path, capsys, arguments, words):
    outcome = call(mnist.main, [*TINY, f"--workdir={tmp_path}/run", *arguments], capsys)
    assert outcome.code == 1 and outcome.err.count("\n") == 1
    assert all(word in outcome.err for word in words), outcome.err
    assert not (tmp_path / "run").exists()


@pytest.fixture
def config(capsys):
    """The default flags."""
    from experiments.command import config as configs

    kept = []
    call(lambda: kept.append(configs.from_flags()), [], capsys)
    return kept[0]


def test_a_pod_is_joined_without_flags_and_a_lone_machine_starts_alone(monkeypatch, config):
    calls = []
    monkeypatch.setattr(
        parallel, "start_processes", lambda *place, timeout: calls.append((place, timeout))
    )
    monkeypatch.setattr(devices, "_platforms", lambda: "cpu")
    devices.join(config)
    assert calls == []
    monkeypatch.setattr(devices, "_platforms", lambda: "tpu,cpu")
    devices.join(config)
    assert calls == [((), config.coordinator_timeout)]

    def no_cluster(*place, timeout):
        raise ValueError("coordinator_address should be defined.")

    monkeypatch.setattr(parallel, "start_processes", no_cluster)
    devices.join(config)


def test_processes_are_compared_by_flags_and_data(monkeypatch, config):
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr(devices, "_gather", lambda numbers: np.uint32([numbers, numbers]))
    devices.check_alike(config, "a" * 64)

    def other_data(numbers):
        return np.uint32([numbers, [*numbers[:-1], 1]])

    monkeypatch.setattr(devices, "_gather", other_data)
    with pytest.raises(programs.UserError, match=r"do not agree in the data set$"):
        devices.check_alike(config, "a" * 64)


def test_an_error_of_a_device_stays_a_bug_in_a_run_of_one_process():
    with pytest.raises(jax.errors.JaxRuntimeError), devices.leaving_if_peers_are_lost():
        raise jax.errors.JaxRuntimeError("INTERNAL: out of luck")


def test_one_process_asks_nobody():
    assert [devices.highest(n) for n in (0, 15)] == [0, 15] and devices.is_writer()
