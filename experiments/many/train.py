"""Train what a command asks for: one run, or one for each seed and swept value, and then measure and sum up."""

import dataclasses
from pathlib import Path

import jax
from absl import flags

from experiments.command import config as configs
from experiments.command import devices, precision
from experiments.command.config import Config
from experiments.command.experiment import Experiment, Task
from experiments.command.game import count_weights, shapes_of_state
from experiments.command.program import UserError
from experiments.many import folder as population_folder
from experiments.many import members, one_call, side_by_side, summary
from experiments.many.members import Member
from experiments.measuring.evaluation import Request
from experiments.measuring.monitor import check_eval_every
from experiments.record.program_of_run import program_of
from experiments.training import feed, loop
from experiments.training.divergence import DivergedError
from gan_jax import data
from gan_jax.checkpoint import CheckpointError, check_folder

# Where one compiled call is faster on CPU: small dense players. Vmapped convolutions are slower than runs in turn
# (experiments.benchmarks.seeds; figures in experiments/README.md). Elsewhere it has not been measured.
DENSE, FEW_WEIGHTS = "mlp", 200_000  # of both players
LARGEST = 64  # runs of one call


def train(experiment: Experiment) -> int:
    """Train the run of an experiment that the flags name, or all of them; return the exit code.

    Args:
      experiment: the `EXPERIMENT` of the program that runs.

    Raises:
      UserError: the flags cannot be run, a folder is not theirs, or runs diverged.
    """
    if not experiment.name.isidentifier():
        raise UserError(f"the experiment's name is {experiment.name!r}: use letters, digits and _")
    if side_by_side.is_below():
        side_by_side.end_with_parent()
    config = configs.from_flags()
    name = f"{experiment.name}-{config.dataset}-{members.default_name(config)}"
    config = dataclasses.replace(config, workdir=config.workdir or f"runs/{name}")
    program_of(experiment)  # refuses what could not be read back
    devices.join(config)
    folder = Path(config.workdir).expanduser()
    config, reason = precision.settle(config, lambda: population_folder.dtype_begun(folder))
    task = Task(experiment, config, experiment.load(config), reason)
    for part in filter(None, task.source):
        data.check_samples(part.name, part.images)
    check_eval_every(config, experiment.kind, task.sample_shape)
    if members.are_asked_for():
        return _train_many(task)
    code = loop.train(task)
    if code == 0:
        _report(Path(config.workdir).expanduser())
    return code


def _report(path: Path, names: list[str] | None = None) -> None:
    """Make the page of a run, or those of the named runs of a folder; a run that has no page is no failure."""
    if not flags.FLAGS.report or not devices.is_writer() or jax.process_count() > 1:
        return
    from experiments.reporting import page, several

    try:
        if names is None:
            page.write(path)
        else:
            for line in several.write_all(path, names):
                if not line.startswith("wrote"):
                    print(line, flush=True)
        print(f"open {path / page.REPORT} in a browser", flush=True)
    except (UserError, CheckpointError, OSError, ImportError) as error:
        print(f"no {path}/report.html: {' '.join(str(error).split())}", flush=True)


def _train_many(task: Task) -> int:
    folder = check_folder(Path(task.config.workdir).expanduser())
    listed = members.from_flags(str(folder), task.config.dtype)
    asked = {member.name: member for member in listed}
    for member in asked.values():
        check_eval_every(member.config, task.experiment.kind, task.sample_shape)
    _check_only(asked)
    groups = _claim(folder, list(asked.values()), task)
    lost = population_folder.read_diverged(folder) if task.config.on_divergence == "stop" else {}
    if flags.FLAGS.only:
        return _train_only(asked[flags.FLAGS.only], groups, lost, task, folder)
    left = [
        [asked[name] for name in group if name in asked and name not in lost] for group in groups
    ]
    ended = _play_all([group for group in left if group], groups, task, folder)
    if ended.code:
        if devices.is_writer():
            print("the same command goes on with this run and those that are left", flush=True)
        return ended.code
    return _conclude(folder, list(asked), ended.failed)


def _check_only(asked: dict[str, Member]) -> None:
    only = flags.FLAGS.only
    if only is not None and only not in asked:
        raise UserError(f"--only={only} is none of the runs: {', '.join(list(asked)[:20])}")


def _train_only(
    member: Member, groups: list[list[str]], lost: dict[str, str], task: Task, folder: Path
) -> int:
    """Train one of the runs, and leave it to another command to measure them."""
    if [member.name] not in groups:
        raise UserError(f"--only={member.name}: it shares a compiled call; leave --only out")
    code = 0 if member.name in lost else _play([member], task, folder)
    lost = population_folder.read_diverged(folder)
    if member.name in lost:
        raise DivergedError(lost[member.name])
    devices.part()
    return code


def _play_all(
    left: list[list[Member]], groups: list[list[str]], task: Task, folder: Path
) -> side_by_side.Ended:
    """Train what is left of the groups: runs that share a call here, others side by side."""
    alone = [group[0].name for group in left if [group[0].name] in groups]
    number = side_by_side.choose_number(len(alone))
    for group in left:
        if (number == 1 or group[0].name not in alone) and (code := _play(group, task, folder)):
            return side_by_side.Ended(code, {})
    if number == 1:
        return side_by_side.Ended(0, {})
    print(f"training {len(alone)} runs, {number} at a time, a process each", flush=True)
    command = side_by_side.command(program_of(task.experiment), folder)
    return side_by_side.play(alone, number, command)


def _claim(folder: Path, asked: list[Member], task: Task) -> list[list[str]]:
    """Note the runs in the folder; divide them into groups, those that are there already as they were."""
    refusal, groups = None, []
    try:
        program, writes = program_of(task.experiment), devices.is_writer()
        with population_folder.claimed(folder, asked, program, writes=writes) as known:
            new = [member for member in asked if member.name not in known.members]
            groups = known.groups + _groups(new, task)
            swept = known.members | {member.name: member.swept for member in new}
            if writes:
                population_folder.write(folder, known._replace(members=swept, groups=groups))
    except (UserError, OSError) as error:  # told below, when the other processes know
        refusal = error
    if devices.highest(refusal is not None):
        raise refusal or UserError("another process cannot use the folder; its message says why")
    return groups


def _groups(new: list[Member], task: Task) -> list[list[str]]:
    """Divide runs into those that share a compiled call, and single ones."""
    alike: dict[Config, list[Member]] = {}
    for member in new:
        traced = {name: 0.0 for name in member.swept if name in one_call.TRACED}
        same = dataclasses.replace(member.config, seed=0, workdir="", **traced)
        alike.setdefault(same, []).append(member)
    groups = []
    for group in alike.values():
        size = LARGEST if _share(group, task) else 1
        names = [member.name for member in group]
        groups += [names[start : start + size] for start in range(0, len(names), size)]
    return groups


def _share(group: list[Member], task: Task) -> bool:
    config, wish = group[0].config, flags.FLAGS.together
    swept = [name for name in group[0].swept if name in one_call.TRACED]
    hindrance = (
        "there are several devices; choose one with --num_devices=1"
        if jax.process_count() > 1 or (config.num_devices or jax.device_count()) > 1
        else "--on_divergence=rollback is for runs one after another"
        if config.on_divergence == "rollback"
        else "the data stay on the host: leave --host_data out"
        if feed.stays_on_host(task)
        else ""
        if one_call.can_trace(_of(group[0], task), swept)
        else f"{task.experiment.name} builds its game from its seed, or not from traced {', '.join(swept) or 'numbers'}"
    )
    if wish == "yes" and hindrance:
        raise UserError(f"--together=yes: {hindrance}")
    if wish == "no" or hindrance or len(group) == 1:
        return False
    return wish == "yes" or (config.network == DENSE and _weights(task, config) <= FEW_WEIGHTS)


def _of(member: Member, task: Task) -> Task:
    reason = "" if "dtype" in member.swept else task.dtype_reason
    return task._replace(config=member.config, dtype_reason=reason)


def _weights(task: Task, config: Config) -> int:
    gan = task._replace(config=config).gan
    state = shapes_of_state(gan, task.sample, 2, jax.random.key(0))
    return count_weights((state.generator.params, state.discriminator.params))


def _play(group: list[Member], task: Task, folder: Path) -> int:
    def note(name: str, said: str) -> None:
        if devices.is_writer():
            population_folder.note_divergence(folder, name, said)

    tasks = [_of(member, task) for member in group]
    if len(tasks) > 1:
        return one_call.play(tasks, note)
    compile_ = jax.stages.Lowered.compile
    if side_by_side.is_below():
        compile_ = side_by_side.compile_in_turn(tasks[0].config.compilation_cache)
    try:
        return loop.play(tasks[0], compile_)
    except DivergedError as error:
        note(group[0].name, str(error))
        return 0


def _conclude(folder: Path, names: list[str], failed: dict[str, str]) -> int:
    if jax.process_count() == 1:
        summary.conclude(folder, names, Request())
        _report(folder, names)
    elif devices.is_writer():
        print(f"measure the runs in one process: experiments.evaluate --workdir={folder}")
    devices.highest(0)  # what process 0 has noted is on disk
    devices.part()
    lost = population_folder.read_diverged(folder)
    lost = {name: lost[name] for name in names if name in lost}
    if failed := {name: said for name, said in failed.items() if name not in lost}:
        name, said = next(iter(failed.items()))
        raise UserError(
            f"{len(failed)} of {len(names)} runs failed; the first was {name}: {said}. The same command tries again"
        )
    if lost:
        name, said = next(iter(lost.items()))
        raise DivergedError(
            f"{len(lost)} of {len(names)} runs diverged; the first was {name}: {said}"
        )
    return 0
