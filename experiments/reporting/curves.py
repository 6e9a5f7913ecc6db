"""Which curves a page shows, the lines they are read against, and in words what each says of this run. Pure."""

import math
from collections.abc import Sequence
from statistics import fmean, median
from typing import Any, NamedTuple

from gan_jax.evaluation.balance import LEAD

LN2 = math.log(2.0)
GOOD, WATCH, BAD, PLAIN = "healthy", "watch", "trouble", "note"


class Reference(NamedTuple):
    """A horizontal line and what it means."""

    value: float
    label: str
    meaning: str


class Chart(NamedTuple):
    """A panel: curves by (key of the log, label, player), reference lines, and how to read it."""

    title: str
    lines: tuple[tuple[str, str, str], ...]
    references: tuple[Reference, ...]
    reading: str
    log_scale: bool = False


class Verdict(NamedTuple):
    """What a curve says of a run: how bad, and in words."""

    state: str
    words: str


CANNOT_TELL = "D cannot tell real from generated"
EQUAL = {  # loss -> (D's and G's loss where every logit is 0)
    "non_saturating": (2 * LN2, LN2),
    "minimax": (2 * LN2, -LN2),
    "relativistic": (LN2, LN2),
    "hinge": (2.0, None),
    "least_squares": (None, None),
}
NAMES = {1: "ln 2", 2: "2 ln 2", -1: "- ln 2"}


def charts(loss: str, present: Sequence[str]) -> list[Chart]:
    """Choose the charts that a log can fill.

    Args:
      loss: name of the adversarial loss.
      present: what the log holds.
    """
    d_equal, g_equal = EQUAL.get(loss, (None, None))
    at = {}
    for value, player in ((d_equal, "D"), (g_equal, "G")):
        if value is not None:
            at.setdefault(value, []).append(f"{player}'s")
    references = tuple(
        Reference(value, _name(value), f"{' and '.join(whose)} loss where {CANNOT_TELL}")
        for value, whose in at.items()
    )
    half = (Reference(0.5, "0.5", CANNOT_TELL),)
    zero = (Reference(0.0, "0", "D finds an image as likely real as generated"),)
    absolute = loss in ("non_saturating", "minimax", "hinge")
    found = [
        Chart("Losses", (("d_loss", "D", "d"), ("g_loss", "G", "g")), references, LOSS_READING),
        Chart("Balance", BALANCE, half, BALANCE_READING),
        Chart("Mean logits", LOGITS, zero if absolute else (), LOGIT_READING),
        Chart("Gradient norms", NORMS, (), NORM_READING, log_scale=True),
        Chart("Modes", (("modes", "modes found", "g"),), (), MODE_READING),
        Chart("High quality", (("high_quality", "share near a mode", "g"),), (), QUALITY_READING),
    ]
    return [chart for chart in found if any(key in present for key, *_ in chart.lines)]


LOSS_READING = (
    "A GAN's loss does not say how good the pictures are: each player's depends on the other. Read it against the "
    "dashed lines. D far below its line tells real from generated with ease."
)
BALANCE_READING = (
    "How sure D is on average, on images that it has not seen: dis_acc is how often it is right, gan_acc how far it "
    "takes generated images for real. A game in balance stays near 0.5; D wins where dis_acc nears 1 and gan_acc 0."
)
LOGIT_READING = (
    "D's answer before the sigmoid: above 0 it says real. A gap that grows without end means that "
    "D is winning."
)
NORM_READING = (
    "How strongly each player is moved. Orders of magnitude upwards: the game is breaking; G's near 0: D tells "
    "G nothing any more."
)
MODE_READING = (
    "How many of the mixture's modes at least one sample lies in. Fewer and fewer: collapse."
)
QUALITY_READING = "The share of samples within three standard deviations of a mode."
BALANCE = (
    ("dis_acc", "dis_acc, held out", "d"),
    ("gan_acc", "gan_acc, held out", "g"),
    ("d_accuracy", "D's accuracy, training", "d2"),
    ("g_accuracy", "G's, training", "g2"),
)
LOGITS = (("real_logits", "real", "d"), ("fake_logits", "generated", "g"))
NORMS = (("d_grad_norm", "D", "d"), ("g_grad_norm", "G", "g"))


def _name(value: float) -> str:
    multiple = round(value / LN2)
    exact = math.isclose(value, multiple * LN2) and multiple in NAMES
    return f"{NAMES[multiple]} = {value:.3f}" if exact else f"{value:g}"


def last_quarter(records: Sequence[dict[str, Any]], key: str) -> float | None:
    """Average what the last quarter of a log says of a number; None where it is silent."""
    values = _finite([record.get(key) for record in records[-max(1, len(records) // 4) :]])
    return fmean(values) if values else None


def _finite(values: Sequence[Any]) -> list[float]:
    return [v for v in values if isinstance(v, int | float) and math.isfinite(v)]


def verdicts(loss: str, records: Sequence[dict[str, Any]]) -> dict[str, Verdict]:
    """Say of each chart, by its title, whether this run looks healthy there."""
    if not records:
        return {}
    found = {
        "Losses": _of_losses(loss, records),
        "Balance": _of_balance(records),
        "Mean logits": _of_logits(records),
        "Gradient norms": _of_norms(records),
        "Modes": _of_modes(records),
    }
    return {title: verdict for title, verdict in found.items() if verdict is not None}


def _of_losses(loss: str, records: Sequence[dict[str, Any]]) -> Verdict | None:
    for record in records:
        if any(key in record and record[key] is None for key in ("d_loss", "g_loss")):
            return Verdict(
                BAD, f"A loss was no longer finite at step {record['step']}: it diverged."
            )
    d_loss, (equal, _) = last_quarter(records, "d_loss"), EQUAL.get(loss, (None, None))
    if d_loss is None or equal is None:
        return None
    share = d_loss / equal
    said = f"In the last quarter D's loss is {d_loss:.3g}, {share:.0%} of {_name(equal)}"
    if share < 0.25:
        return Verdict(BAD, f"{said}: D tells nearly every image apart, and G learns little.")
    if share < 0.6:
        return Verdict(WATCH, f"{said}: D is clearly ahead.")
    if share > 1.25:
        return Verdict(
            WATCH, f"{said}: D does worse than by saying nothing; its steps may be too large."
        )
    return Verdict(GOOD, f"{said}: neither player wins.")


def _of_balance(records: Sequence[dict[str, Any]]) -> Verdict | None:
    dis_acc, gan_acc = (last_quarter(records, key) for key in ("dis_acc", "gan_acc"))
    if dis_acc is None or gan_acc is None:
        return None
    said = f"In the last quarter dis_acc is {dis_acc:.2f} and gan_acc {gan_acc:.2f}"
    if dis_acc >= LEAD and gan_acc <= 1 - LEAD:
        return Verdict(
            BAD, f"{said}: D is winning. Weaken it, or penalise its gradient (--r1_gamma)."
        )
    if gan_acc >= LEAD:
        return Verdict(
            BAD, f"{said}: G deceives D throughout. Strengthen D, or let it take more steps."
        )
    return Verdict(GOOD, f"{said}: the game is in balance.")


def _of_logits(records: Sequence[dict[str, Any]]) -> Verdict | None:
    real, fake = (last_quarter(records, key) for key in ("real_logits", "fake_logits"))
    if real is None or fake is None:
        return None
    gap = real - fake
    said = f"In the last quarter real images are {gap:.2g} above generated ones"
    return Verdict(WATCH, f"{said}: D is very sure.") if gap > 6 else Verdict(GOOD, f"{said}.")


def _of_norms(records: Sequence[dict[str, Any]]) -> Verdict | None:
    norms = _finite([record.get("g_grad_norm") for record in records])
    if len(norms) < 4:
        return None
    first, last = (median(part) for part in (norms[: len(norms) // 4], norms[-(len(norms) // 4) :]))
    said = f"G's gradient norm goes from {first:.2g} to {last:.2g}"
    if last > 100 * first:
        return Verdict(BAD, f"{said}: it explodes. Try smaller learning rates.")
    if last < 1e-3 * first:
        return Verdict(BAD, f"{said}: it vanishes. D no longer tells G which way to go.")
    return Verdict(GOOD, f"{said}: neither exploding nor vanishing.")


def _of_modes(records: Sequence[dict[str, Any]]) -> Verdict | None:
    modes = _finite([record.get("modes") for record in records])
    if not modes:
        return None
    most, last = max(modes), modes[-1]
    if last < 0.75 * most:
        return Verdict(BAD, f"{last:g} modes at the end, {most:g} at best: it collapses.")
    return Verdict(GOOD, f"{last:g} modes at the end, {most:g} at best.")


def best_and_last(evaluations: Sequence[dict[str, Any]]) -> Verdict | None:
    """Say of what --eval_every measured whether the last is as good as the best."""
    if not evaluations:
        return None
    name = next((key for key in evaluations[-1] if key != "step"), None)
    values = [record for record in evaluations if isinstance(record.get(name), int | float)]
    if name is None or not values:
        return None
    best, last = min(values, key=lambda record: record[name]), values[-1]
    said = f"{name}: best {best[name]:.4g} at step {best['step']:,}, last {last[name]:.4g}"
    worse = last[name] > 1.25 * best[name] and best is not last
    words = f"{said}: it got worse. Use --checkpoint=best." if worse else f"{said}."
    return Verdict(WATCH if worse else GOOD, words)


def overall(found: Sequence[Verdict]) -> Verdict:
    """Sum verdicts up."""
    for state in (BAD, WATCH):
        if worst := [verdict for verdict in found if verdict.state == state]:
            return worst[0]
    if not found:
        return Verdict(PLAIN, "The log says nothing by which health could be judged.")
    return Verdict(GOOD, "Nothing in the curves points to trouble.")
