"""What a cell of a study came to, beside the cell that it is compared with: a sentence, and a row of a picture."""

from collections.abc import Mapping
from typing import Any

from gan_jax import plots

Found = Mapping[str, Any]


def sentence(label: str, found: Found, comparison: Found | None, measure: str, base: str) -> str:
    """Say what a cell came to.

    Args:
      label: of the cell.
      found: "median" and "values" over its seeds, lower being better, both absent if nothing was measured; "diverged",
        names of runs; "said", the last words of a cell that failed.
      comparison: "median" and "interval" of the differences from the base, or None.
      measure: what is measured.
      base: what the cell is compared with.
    """
    if "median" not in found:
        return f"{label}: nothing measured, {found['said'] or 'no run was left'}"
    text = f"{label}: median {measure} {found['median']:.4g} over {len(found['values'])} seeds"
    if found["diverged"]:
        text += f", {len(found['diverged'])} more diverged"
    if comparison is None or comparison["interval"] is None:
        return text
    (low, high), median = comparison["interval"], comparison["median"]
    verdict = "better" if median < 0 else "worse"
    if low * high <= 0:
        verdict = "no difference that these seeds show"
    return f"{text}; against {base} {median:+.4g} [{low:+.4g} to {high:+.4g}]: {verdict}"


def drawn(label: str, found: Found, comparison: Found | None) -> plots.Row:
    """Give the row of a cell: its difference from the base with its interval, and what is missing."""
    lost = f"{len(found['diverged'])} diverged" if found["diverged"] else ""
    if comparison is None:
        return plots.Row(label, None, None, lost or "failed")
    return plots.Row(label, comparison["median"], comparison["interval"], lost)
