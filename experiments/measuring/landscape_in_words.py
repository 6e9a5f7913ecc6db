"""What the dynamics of a run mean, in words and pictures."""

from pathlib import Path
from typing import Any

import numpy as np

from gan_jax import plots

TURNING = 0.1  # an eigenvalue turns if its imaginary part is more than this share of its size
NEAR = 0.1  # of alpha = 1, where the end of the way lies


def in_words(found: dict[str, Any]) -> list[str]:
    """Say what was found at each checkpoint, and between the first and the last.

    Args:
      found: as from `landscape.measure`.
    """
    lines = []
    for row in found["checkpoints"]:
        lines.append(f"step {row['step']}: {_of_spectrum(row, 'plain', 'the field')}")
        if "adam_eigenvalues" in row:
            lines.append(
                f"  {_of_spectrum(row, 'adam', 'the field that Adam follows, without momentum')}"
            )
        lines.append(f"  {_of_rotation(row)}; {_of_hessians(row)}")
        lines.append(f"  {_of_gap(row, found['gap_steps'])}{_of_overfitting(row)}")
    return lines + ([_of_path(found["path"])] if found["path"] else [])


def _of_spectrum(row: dict[str, Any], name: str, what: str) -> str:
    values = np.array([complex(*pair) for pair in row[f"{name}_eigenvalues"]])
    worst = max(row[f"{name}_residuals"])
    turning = int(np.sum(np.abs(values.imag) > TURNING * np.abs(values)))
    pushing = int(np.sum(values.real > worst))
    verdict = "it hardly turns" if turning < 0.1 * len(values) else "the game still rotates"
    away = f"{pushing} push away" if pushing else "none pushes away"
    return (
        f"{what}: {verdict}, {turning} of its {len(values)} largest eigenvalues have an imaginary part beyond "
        f"{TURNING:.0%} of their size; {away} (largest {np.abs(values).max():.3g}, within {worst:.1g})"
    )


def _of_rotation(row: dict[str, Any]) -> str:
    along = row["rotation"]["field"]
    said = "not known" if along is None else f"{along:.3g}"
    return f"rotation along the field {said} (0: none; 1: as much as it is drawn in or pushed out)"


def _of_hessians(row: dict[str, Any]) -> str:
    said = []
    for player, name in (("G", "g_hessian"), ("D", "d_hessian")):
        values = np.array(row[f"{name}_eigenvalues"])
        # Rounding of float32 beside the largest.
        down = int(np.sum(values < -1e-4 * np.abs(values).max()))
        said.append(
            f"{player} stands {'on a saddle' if down else 'in a bowl'} ({down} downward of {len(values)})"
        )
    return ", ".join(said)


def _of_gap(row: dict[str, Any], steps: int) -> str:
    gap = row["duality_gap"]
    said, value = (
        "not finite" if gap[name] is None else f"{gap[name]:.3g}" for name in ("gap", "value")
    )
    return f"duality gap {said} after {steps} steps of each player alone (value {value})"


def _of_overfitting(row: dict[str, Any]) -> str:
    if "overfitting" not in row:
        return ""
    found = row["overfitting"]
    return f"; r_t {found['sure']:.2f}, D's logits on training samples exceed unseen ones by {found['gap']:.2g}"


def _of_path(path: dict[str, Any]) -> str:
    where = f"the way from step {path['from']} to step {path['to']}"
    near = [a for a in path["sign_changes"] if abs(a - 1.0) <= NEAR]
    if near:
        return f"{where}: the field turns against it at alpha = {near[0]:.2f}, the end: it is drawn in there"
    at_end = path["cosine"][int(np.argmin(np.abs(np.array(path["alphas"]) - 1.0)))]
    return (
        f"{where}: the path angle does not change its sign at the end (cosine {at_end:.2f} there): the end is no point "
        "that draws in along the way; a bump there means that the game turns around it"
    )


def draw(found: dict[str, Any], folder: Path) -> list[Path]:
    """Draw the eigenvalues in the complex plane, and the path; return what was written."""
    panels = {}
    for row in found["checkpoints"]:
        for name, title in (("plain", "field"), ("adam", "Adam's field")):
            if f"{name}_eigenvalues" in row:
                values = [complex(*pair) for pair in row[f"{name}_eigenvalues"]]
                panels[f"step {row['step']}, {title}"] = values
    written = [folder / "eigenvalues.png"]
    plots.save_spectra(panels, written[0])
    if found["path"]:
        alphas, cosine = found["path"]["alphas"], found["path"]["cosine"]
        known = [(a, c) for a, c in zip(alphas, cosine, strict=True) if c is not None]
        written.append(folder / "path_angle.png")
        plots.save_lines(
            {"cosine": tuple(zip(*known, strict=True))},
            written[1],
            x_label="alpha: 0 is the first checkpoint, 1 the last",
            y_label="cosine of the way and the field",
            title="Path angle",
        )
    return written
