"""Write samples of a run: an array, one picture or sound of them all, or a folder with a file for each."""

import re
import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from experiments.command import own_data
from experiments.command.program import UserError
from experiments.record.restored import RestoredRun
from gan_jax import plots, signals
from gan_jax.plots.files import write_atomically
from gan_jax.sampling import to_pixels
from gan_jax.types import Labels


def save(
    run: RestoredRun, samples: np.ndarray, labels: Labels | None, out: Path, *, columns: int
) -> None:
    """Write samples.

    Args:
      run: that made them.
      samples: [N, ...], as G gives them.
      labels: i32[N], theirs, or shares of the classes f32[N, K]; None without classes.
      out: ending in .png, .npz or .wav; or an empty or new folder.
      columns: of a grid.

    Raises:
      UserError: samples of the run cannot be written so.
    """
    if out.suffix == ".npz":
        arrays = _arrays(run, samples, labels)
        write_atomically(out, lambda file: np.savez_compressed(file, **arrays))
    elif not out.suffix:
        _save_each(run, samples, labels, out)
    elif out.suffix == ".wav":
        plots.save_sounds(_waves(run, samples), out, sample_rate=run.config.sample_rate)
    elif samples.ndim == 2:
        extent = 1.1 * float(np.abs(samples).max())
        plots.save_scatter(samples[:0], samples, out, extent=extent)
    else:
        plots.save_grid(_pictures(run, samples), out, columns=columns)


def _arrays(run: RestoredRun, samples: np.ndarray, labels: Labels | None) -> dict[str, np.ndarray]:
    if _are_sounds(run):
        found = {"waves": _waves(run, samples), "sample_rate": np.int32(run.config.sample_rate)}
    elif samples.ndim == 2:
        found = {"points": samples}
    else:
        found = {"images": np.asarray(to_pixels(samples))}
    if labels is not None:
        found["labels" if labels.ndim == 1 else "class_shares"] = np.asarray(labels)
        found["class_names"] = np.array(run.class_names)
    return found


def _save_each(run: RestoredRun, samples: np.ndarray, labels: Labels | None, folder: Path) -> None:
    """Write a folder with a file for each sample, in a sub-folder for its class if there are any; all or nothing."""
    if samples.ndim == 2:
        raise UserError(f"--out={folder}: points are no pictures: let it end in .png or .npz")
    beside = folder.with_name(f".{folder.name}.{secrets.token_hex(8)}.part")
    try:
        _fill(beside, run, samples, labels)
        if folder.exists():
            folder.rmdir()
        beside.rename(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _fill(folder: Path, run: RestoredRun, samples: np.ndarray, labels: Labels | None) -> None:
    waves = _waves(run, samples) if _are_sounds(run) else None
    places = _class_folders(run.class_names) if labels is not None and labels.ndim == 1 else None
    for place, sample in enumerate(samples):
        inside = "" if places is None else places[int(labels[place])]
        file = folder / inside / f"{place:06d}"
        if waves is None:
            plots.save_picture(sample, file.with_suffix(".png"))
        else:
            rate = run.config.sample_rate
            plots.save_sounds(waves[place : place + 1], file.with_suffix(".wav"), sample_rate=rate)


def _class_folders(names: Sequence[str]) -> list[str]:
    """Name a folder for each class by what can stand in a path, with its number before it where two would be one."""
    safe = [re.sub(r"[^\w.-]+", "_", name).strip(".") or str(n) for n, name in enumerate(names)]
    if len({name.casefold() for name in safe}) == len(
        safe
    ):  # some file systems hold A and a for one
        return safe
    return [f"{number}_{name}" for number, name in enumerate(safe)]


def _are_sounds(run: RestoredRun) -> bool:
    return run.experiment.kind == "sounds"


def _pictures(run: RestoredRun, samples: np.ndarray) -> np.ndarray:
    if not _are_sounds(run) or not own_data.are_waves(run.config):
        return samples
    return signals.to_pictures(_waves(run, samples), own_data.spectrogram(run.config))


def _waves(run: RestoredRun, samples: np.ndarray) -> np.ndarray:
    """Give sounds as waves f32[N, T]; spectrograms are led back."""
    if not _are_sounds(run):
        raise UserError(f"samples of {run.experiment.name} are no sounds: let --out end in .png")
    if own_data.are_waves(run.config):
        return samples.reshape(len(samples), -1)
    return signals.to_waves(samples, own_data.spectrogram(run.config))
