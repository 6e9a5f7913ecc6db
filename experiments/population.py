"""Train what a command asks for: one run, or one for each seed and swept value, and then measure and sum up."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import jax
from absl import flags

from experiments import devices, driver, members, population_folder, summary, together
from experiments.config import Config
from experiments.divergence import DivergedError
from experiments.experiment import Experiment
from experiments.game import count_weights
from experiments.measured import Request
from experiments.members import Member
from experiments.program import UserError
from gan_jax.steps import init_state

Prepare = Callable[[Config], Experiment]

# Where one compiled call is faster on CPU: small dense players. Vmapped convolutions are slower than runs in turn
# (experiments.benchmarks.seeds; figures in experiments/README.md).
DENSE, FEW_WEIGHTS = "mlp", 200_000  # of both players


def train(config: Config, prepare: Prepare) -> int:
    """Train the run that the flags name, or all of them; return the exit code.

    Args:
      config: the flags, with the default of --workdir filled in.
      prepare: a run's flags -> its experiment, on data that are loaded already.

    Raises:
      UserError: the flags cannot be run, a folder is not theirs, or runs diverged.
    """
    if not members.are_asked_for():
        return driver.train(config, prepare(config))
    folder = Path(config.workdir).expanduser().resolve()
    asked = members.from_flags(str(folder))
    if devices.is_writer():
        population_folder.claim(folder, asked)
    lost = population_folder.read_diverged(folder) if folder.is_dir() else {}
    left = [member for member in asked if member.name not in lost]
    for group in _groups(left, prepare):
        code = _play(group, prepare, folder)
        if code:
            return code
    devices.part()
    return _conclude(folder, asked) if devices.is_writer() else 0


def _groups(left: list[Member], prepare: Prepare) -> list[list[Member]]:
    """Divide the runs into those that share a compiled call, and single ones."""
    wish = flags.FLAGS.together
    groups: dict[Config, list[Member]] = {}
    for member in left:
        same = dataclasses.replace(member.config, seed=0, workdir="", **_traced(member))
        groups.setdefault(same, []).append(member)
    return [
        part
        for group in groups.values()
        for part in ([group] if _share(wish, group, prepare) else [[member] for member in group])
    ]


def _traced(member: Member) -> dict[str, float]:
    return {name: 0.0 for name in member.swept if name in together.TRACED}


def _share(wish: str, group: list[Member], prepare: Prepare) -> bool:
    config = group[0].config
    hindrance = (
        "there are several devices; choose one with --num_devices=1"
        if jax.process_count() > 1 or (config.num_devices or jax.device_count()) > 1
        else "--on_divergence=rollback is for runs one after another"
        if config.on_divergence == "rollback"
        else ""
    )
    if wish == "yes" and hindrance:
        raise UserError(f"--together=yes: {hindrance}")
    if wish == "no" or hindrance or len(group) == 1:
        return False
    if wish == "yes" or jax.default_backend() != "cpu":
        return True
    return config.network == DENSE and _weights(config, prepare) <= FEW_WEIGHTS


def _weights(config: Config, prepare: Prepare) -> int:
    experiment = prepare(config)
    like = jax.ShapeDtypeStruct((2, *experiment.sample_shape), "float32")
    state = jax.eval_shape(lambda x: init_state(experiment.gan, jax.random.key(0), x), like)
    return count_weights((state.generator.params, state.discriminator.params))


def _play(group: list[Member], prepare: Prepare, folder: Path) -> int:
    if len(group) > 1:
        configs = [member.config for member in group]
        code, lost = together.play(configs, [prepare(config) for config in configs])
    else:
        code, lost = 0, {}
        try:
            code = driver.play(group[0].config, prepare(group[0].config))
        except DivergedError as error:
            lost[group[0].name] = str(error)
    if devices.is_writer():
        for name, said in lost.items():
            population_folder.note_divergence(folder, name, said)
    return code


def _conclude(folder: Path, asked: list[Member]) -> int:
    try:
        summary.conclude(folder, [member.name for member in asked], Request())
    except UserError as error:  # all is trained: what cannot be measured is no failure
        print(f"not measured: {error}")
    lost = population_folder.read_diverged(folder)
    lost = {member.name: lost[member.name] for member in asked if member.name in lost}
    if lost:
        name, said = next(iter(lost.items()))
        raise DivergedError(
            f"{len(lost)} of {len(asked)} runs diverged; the first was {name}: {said}"
        )
    return 0
