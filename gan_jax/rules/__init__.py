"""Update rules: the ways in which the two players take turns.

A rule is a step, `(gan, state, batch, *, key) -> (state, metrics)`, which advances `state.step` by one, the number of
batches of real samples that the step takes, and what it needs to remember. `RULES` names them: what is added to it
can be asked for by --update. `WEIGHED` makes those again that have a weight in their equation.
"""

from collections.abc import Callable

from gan_jax.rules.adjusted import (
    consensus,
    consensus_by,
    symplectic_by,
    symplectic_gradient_adjustment,
)
from gan_jax.rules.at_once import simultaneous, simultaneous_step
from gan_jax.rules.falling import falling_penalties, share_at, weighing_less
from gan_jax.rules.in_turn import alternating, alternating_step
from gan_jax.rules.keras_procedure import article, article_step
from gan_jax.rules.look_ahead import (
    extragradient,
    extragradient_step,
    extrapolation_from_the_past,
    extrapolation_from_the_past_step,
)
from gan_jax.rules.one_pass import one_stage, one_stage_step
from gan_jax.rules.slow_weights import lookahead_by, lookahead_minimax
from gan_jax.types import Rule

RULES: dict[str, Rule] = {
    "alternating": alternating,
    "article": article,
    "one_stage": one_stage,
    "simultaneous": simultaneous,
    "extragradient": extragradient,
    "extrapolation_from_the_past": extrapolation_from_the_past,
    "consensus": consensus,
    "symplectic_gradient_adjustment": symplectic_gradient_adjustment,
    "lookahead_minimax": lookahead_minimax,
}
WEIGHED: dict[str, Callable[..., Rule]] = {  # weight -> rule; without one, that of RULES
    "consensus": consensus_by,
    "symplectic_gradient_adjustment": symplectic_by,
    "lookahead_minimax": lookahead_by,
}

__all__ = [
    "RULES",
    "WEIGHED",
    "alternating",
    "alternating_step",
    "article",
    "article_step",
    "consensus",
    "consensus_by",
    "extragradient",
    "extragradient_step",
    "extrapolation_from_the_past",
    "extrapolation_from_the_past_step",
    "falling_penalties",
    "lookahead_by",
    "lookahead_minimax",
    "one_stage",
    "one_stage_step",
    "simultaneous",
    "share_at",
    "simultaneous_step",
    "symplectic_by",
    "symplectic_gradient_adjustment",
    "weighing_less",
]
