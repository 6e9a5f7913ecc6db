"""Take back checkpoints that a run is to write anew."""

import shutil
from pathlib import Path

from gan_jax.checkpoint import disk
from gan_jax.checkpoint.error import CheckpointError, brief


def remove_later(folder: Path, step: int) -> None:
    """Remove every checkpoint later than `step`, the newest first, so that a kill leaves none without those before it.

    Args:
      folder: of all checkpoints of a run that is not saving, in one process.
      step: the last to be kept.

    Raises:
      CheckpointError: one cannot be removed.
    """
    try:
        for remains in (
            folder.glob("removed-[0-9]*") if folder.is_dir() else ()
        ):  # of a removal that was killed
            _remove(remains)
        for later in reversed(disk.list_steps(folder)):
            if later > step:
                doomed = folder / f"removed-{later}"
                (folder / str(later)).rename(doomed)
                _remove(doomed)
    except OSError as error:
        raise CheckpointError(f"cannot remove checkpoints in {folder}: {brief(error)}") from error


def _remove(path: Path) -> None:
    """Remove a folder, or a link, of which what it leads to stays."""
    if path.is_symlink():
        path.unlink()
    else:
        shutil.rmtree(path)
