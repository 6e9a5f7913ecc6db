"""Which checkpoints are kept."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

NEWEST = 2  # checkpoints kept besides the best one


class NewestAndBest:
    """Orbax's preservation policy: the newest two, the one of lowest measure, and what is a link to elsewhere.

    Orbax's own `BestN` takes its measures from a file that nothing protects; and a link it can neither remove
    nor follow, so that the save fails.
    """

    def __init__(self, folder: Path, measures: dict[int, float]) -> None:
        """Keep a reference to step -> measure."""
        self.folder, self.measures = folder, measures

    def should_preserve(self, checkpoints: Sequence[Any], *, context: Any) -> Sequence[bool]:
        """Say for each checkpoint, in rising order of steps, whether it stays."""
        del context  # Orbax has nothing in it
        steps = [checkpoint.step for checkpoint in checkpoints]
        measured = [step for step in steps if step in self.measures]
        best = min(measured, key=self.measures.__getitem__, default=None)
        return [step in steps[-NEWEST:] or step == best or self._is_link(step) for step in steps]

    def _is_link(self, step: int) -> bool:
        return (self.folder / str(step)).is_symlink()
