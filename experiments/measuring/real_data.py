"""The real data of a run that is read back, as its own experiment loads them."""

import dataclasses

from experiments.command.experiment import Source
from experiments.command.program import UserError
from experiments.record.restored import RestoredRun


def source_of(run: RestoredRun, data_dir: str | None = None) -> Source:
    """Load the data that a run was trained on, and those that it never saw; nothing is downloaded.

    Args:
      run: the run.
      data_dir: folder of the data; None for the run's own.

    Raises:
      UserError: they are not those that the run was trained on.
    """
    place, sha256 = data_dir or run.config.data_dir, run.facts["dataset"]["sha256"]
    config = dataclasses.replace(run.config, data_dir=place, download=False)
    source = run.experiment.load(config)
    if source.train.sha256 != sha256:
        raise UserError(
            f"the data {run.config.dataset} in {place} are not those that the run was trained on "
            f"(sha256 {source.train.sha256[:12]}, there {sha256[:12]}): name their folder by --data_dir"
        )
    return source
