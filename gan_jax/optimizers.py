"""Optimizers of the players, from Optax. `OPTIMIZERS` names them: what is added can be asked for by --optimizer."""

from collections.abc import Callable

import optax

from gan_jax.types import Scalar


def optimistic_adam(
    learning_rate: optax.ScalarOrSchedule, b1: Scalar, b2: Scalar, eps: Scalar
) -> optax.GradientTransformation:
    """Make Adam that moves by twice its present direction less its last one.

    w' = w - h (2 d_t - d_{t-1}), d the direction of Adam, without Nesterov's momentum, which is another look ahead. On
    a bilinear game plain gradient descent so made comes in, as extrapolation from the past does, of which it is
    another writing.

    Args:
      learning_rate: h, or a schedule of it.
      b1: decay of the mean gradient; at most 0.5, or its own look back undoes the look ahead.
      b2: decay of the mean squared gradient.
      eps: of the denominator.

    Reference: Daskalakis et al. 2018, algorithm 1, arXiv:1711.00141.
    """
    return optax.optimistic_adam_v2(learning_rate, b1=b1, b2=b2, eps=eps, nesterov=False)


OPTIMIZERS: dict[str, Callable[..., optax.GradientTransformation]] = {
    "adam": optax.adam,
    "optimistic_adam": optimistic_adam,
}
