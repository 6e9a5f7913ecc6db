"""Checkpoints: a training state and the run's metadata on disk, byte for byte or not at all.

    with Checkpoints(run_folder / "checkpoints") as checkpoints:
        restored = checkpoints.restore(state)  # None in a new run
        ...
        checkpoints.save(step, state, {"best": best}, measure=distance)

Sampling and measuring need no optimizer: `restore_players` reads the rest of a state, whatever trained it.

Orbax writes the arrays, in the background, and renames a finished folder into place. Around it stands what it
does not do: a CRC-32 of every array and of the metadata (it restores a flipped byte without a word), a
comparison of names, shapes and types (it casts), a way back to the newest checkpoint that is sound, a check of
the folder's name (in some it writes nothing that can be read), and a first save that is read back.

On disk a checkpoint is a folder `<step>/`: the arrays in `state/`, plain Orbax, each under its path in the
state; and JSON in `record/`. Opening and restoring change nothing on disk. The first save after that clears
the remains of interrupted saves, and renames the unsound checkpoints that the restore had skipped to
`unsound-<step>`: they are never counted again, and never deleted. A checkpoint may be a link to a folder
elsewhere: it is read like any other, and what it leads to is never deleted.
"""

from gan_jax.checkpoint.checkpoints import Checkpoints, Restored
from gan_jax.checkpoint.error import CheckpointError
from gan_jax.checkpoint.paths import check_folder
from gan_jax.checkpoint.removal import remove_later

__all__ = ["CheckpointError", "Checkpoints", "Restored", "check_folder", "remove_later"]
