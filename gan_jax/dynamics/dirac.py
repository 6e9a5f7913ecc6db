"""The Dirac-GAN: a game of one number each, in which all that happens can be written down.

The data are the point 0. G makes the point theta whatever its latents, D's logit is psi x. The equilibrium is
(0, 0), and a rule that comes there has converged.

Reference: Mescheder et al. 2018, section 2 and appendix, arXiv:1801.04406. There D's objective is f(psi theta) + f(0);
each loss of this library has its own.
"""

import cmath

import jax.numpy as jnp
import numpy as np
import optax

from gan_jax.steps import init_state
from gan_jax.types import (
    GAN,
    AdversarialLoss,
    Array,
    Batch,
    GANState,
    Key,
    Labels,
    ModelState,
    Network,
    Params,
    Penalty,
)

# loss -> (a, b) of the field near the equilibrium: theta moves by a psi, psi by -b theta.
PULLS: dict[str, tuple[float, float]] = {
    "non_saturating": (0.5, 0.5),
    "minimax": (0.5, 0.5),
    # D regresses to 1 on real and to 0 on generated points. A D without a constant answers 0 at the data: it is not
    # moved by them, and to first order not by generated points near them.
    "least_squares": (1.0, 0.0),
    "hinge": (1.0, 1.0),
    "wasserstein": (1.0, 1.0),
    "relativistic": (0.5, 0.5),
}
STILL_AT_EQUILIBRIUM = ("r1_gamma", "r2_gamma")  # penalties that can be differentiated there


def dirac_game(
    loss: AdversarialLoss,
    penalties: tuple[Penalty, ...] = (),
    tx: optax.GradientTransformation | None = None,
) -> GAN:
    """Make the game.

    Args:
      loss: of the library or any other.
      penalties: on D, whose slope is psi everywhere.
      tx: both players' optimizer; None for plain gradient descent of rate 1.
    """
    tx = optax.sgd(1.0) if tx is None else tx
    return GAN(_point(), _slope(), tx, tx, loss, latent_dim=1, penalties=penalties)


def dirac_data(num: int = 1) -> Batch:
    """Give real samples: the point 0, so many times, of JAX's present default float type."""
    return Batch(jnp.zeros((num, 1)))


def dirac_state(gan: GAN, theta: Array | float, psi: Array | float, key: Key) -> GANState:
    """Start the game at (theta, psi), numbers or traced scalars."""
    state, dtype = init_state(gan, key, dirac_data()), jnp.result_type(float)
    theta, psi = jnp.asarray(theta, dtype), jnp.asarray(psi, dtype)
    return state._replace(
        generator=state.generator._replace(params=theta, opt_state=gan.g_tx.init(theta)),
        discriminator=state.discriminator._replace(params=psi, opt_state=gan.d_tx.init(psi)),
        ema_params=jnp.copy(theta),
    )


def dirac_eigenvalues(loss: str, gamma: float = 0.0) -> tuple[complex, complex]:
    """Give the eigenvalues of the field's Jacobian at the equilibrium: -gamma/2 +- sqrt(gamma^2/4 - a b).

    Args:
      loss: a name in `PULLS`.
      gamma: sum of the weights of R1 and R2.

    Returns:
      Both, that of the larger imaginary or else real part first.

    Reference: Mescheder et al. 2018, lemmas 2.1 and 4.1 for the classic loss, where a = b = f'(0), arXiv:1801.04406.
    """
    pull, push = PULLS[loss]
    root = cmath.sqrt(0.25 * gamma**2 - pull * push)
    return -0.5 * gamma + root, -0.5 * gamma - root


def fate(way: np.ndarray) -> str:
    """Say what becomes of a game: it "comes in", "goes around", "leaves" or "stops elsewhere".

    Args:
      way: points (theta, psi), [N, 2]. If none is a number, the game was "refused".
    """
    if np.isnan(way).all():
        return "refused"
    half = len(way) // 2
    # As alternating goes around on an ellipse, distances are taken over stretches of the way.
    with np.errstate(over="ignore"):
        before, after = (np.linalg.norm(part, axis=1).max() for part in (way[:half], way[half:]))
    if not after <= 1.05 * before:
        return "leaves"
    if after < 0.95 * before:
        return "comes in"
    return "stops elsewhere" if np.ptp(way[half:], axis=0).max() < 0.05 * after else "goes around"


def _point() -> Network:
    def init(key: Key, x: Array, labels: Labels | None = None) -> tuple[Params, ModelState]:
        del key, x, labels
        return jnp.ones(()), {}

    def apply(
        params: Params,
        model_state: ModelState,
        x: Array,
        labels: Labels | None = None,
        *,
        train: bool,
        key: Key | None = None,
    ) -> tuple[Array, ModelState]:
        del labels, train, key
        return jnp.broadcast_to(params, (x.shape[0], 1)), model_state

    return Network(init, apply)


def _slope() -> Network:
    def apply(
        params: Params,
        model_state: ModelState,
        x: Array,
        labels: Labels | None = None,
        *,
        train: bool,
        key: Key | None = None,
    ) -> tuple[Array, ModelState]:
        del labels, train, key
        return params * x[:, 0], model_state

    return _point()._replace(apply=apply)
