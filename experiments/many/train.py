"""Train what a command asks for: one run, or one for each seed and swept value, and then measure and sum up."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import jax
from absl import flags

from experiments.command import devices
from experiments.command.config import Config
from experiments.command.experiment import Experiment
from experiments.command.game import count_weights
from experiments.command.program import UserError
from experiments.many import folder as population_folder
from experiments.many import members, summary
from experiments.many import one_call as together
from experiments.many.folder import Population
from experiments.many.members import Member
from experiments.measuring.measure import Request
from experiments.training import loop as driver
from experiments.training.divergence import DivergedError
from gan_jax.steps import init_state

Prepare = Callable[[Config], Experiment]

# Where one compiled call is faster on CPU: small dense players. Vmapped convolutions are slower than runs in turn
# (experiments.benchmarks.seeds; figures in experiments/README.md). Elsewhere it has not been measured.
DENSE, FEW_WEIGHTS = "mlp", 200_000  # of both players
LARGEST = 64  # runs of one call


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
    asked = {member.name: member for member in members.from_flags(str(folder))}
    groups = _claim(folder, list(asked.values()), prepare)
    lost = population_folder.read_diverged(folder) if config.on_divergence == "stop" else {}
    for group in groups:
        left = [asked[name] for name in group if name in asked and name not in lost]
        code = _play(left, prepare, folder) if left else 0
        if code:
            if devices.is_writer():
                print("the same command goes on with this run and those that are left", flush=True)
            return code
    return _conclude(folder, list(asked))


def _claim(folder: Path, asked: list[Member], prepare: Prepare) -> list[list[str]]:
    """Note the runs in the folder; divide them into groups, those that are there already as they were."""
    refusal, groups = None, []
    try:
        known = population_folder.claim(folder, asked)
        new = [member for member in asked if member.name not in known.members]
        groups = known.groups + _groups(new, prepare)
        swept = known.members | {member.name: member.swept for member in new}
        if devices.is_writer():
            population_folder.write(folder, Population(known.recipe, swept, groups))
    except (UserError, OSError) as error:  # told below, when the other processes know
        refusal = error
    if devices.highest(refusal is not None):
        raise refusal or UserError("another process cannot use the folder; its message says why")
    return groups


def _groups(new: list[Member], prepare: Prepare) -> list[list[str]]:
    """Divide runs into those that share a compiled call, and single ones."""
    alike: dict[Config, list[Member]] = {}
    for member in new:
        traced = {name: 0.0 for name in member.swept if name in together.TRACED}
        same = dataclasses.replace(member.config, seed=0, workdir="", **traced)
        alike.setdefault(same, []).append(member)
    groups = []
    for group in alike.values():
        size = LARGEST if _share(group, prepare) else 1
        names = [member.name for member in group]
        groups += [names[start : start + size] for start in range(0, len(names), size)]
    return groups


def _share(group: list[Member], prepare: Prepare) -> bool:
    config, wish = group[0].config, flags.FLAGS.together
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
    return wish == "yes" or (config.network == DENSE and _weights(config, prepare) <= FEW_WEIGHTS)


def _weights(config: Config, prepare: Prepare) -> int:
    experiment = prepare(config)
    like = jax.ShapeDtypeStruct((2, *experiment.sample_shape), "float32")
    state = jax.eval_shape(lambda x: init_state(experiment.gan, jax.random.key(0), x), like)
    return count_weights((state.generator.params, state.discriminator.params))


def _play(group: list[Member], prepare: Prepare, folder: Path) -> int:
    def note(name: str, said: str) -> None:
        if devices.is_writer():
            population_folder.note_divergence(folder, name, said)

    if len(group) > 1:
        configs = [member.config for member in group]
        return together.play(configs, [prepare(config) for config in configs], note)
    try:
        return driver.play(group[0].config, prepare(group[0].config))
    except DivergedError as error:
        note(group[0].name, str(error))
        return 0


def _conclude(folder: Path, names: list[str]) -> int:
    if jax.process_count() == 1:
        summary.conclude(folder, names, Request())
    elif devices.is_writer():
        print(f"measure the runs in one process: experiments.evaluate --workdir={folder}")
    devices.highest(0)  # what process 0 has noted is on disk
    devices.part()
    lost = population_folder.read_diverged(folder)
    lost = {name: lost[name] for name in names if name in lost}
    if lost:
        name, said = next(iter(lost.items()))
        raise DivergedError(
            f"{len(lost)} of {len(names)} runs diverged; the first was {name}: {said}"
        )
    return 0
