"""Optimizers of the players, from Optax. `OPTIMIZERS` names them: what is added can be asked for by --optimizer."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from gan_jax.types import Array, Scalar


def adam(
    learning_rate: optax.ScalarOrSchedule, b1: Scalar, b2: Scalar, eps: Scalar
) -> optax.GradientTransformation:
    """Make Adam, of one division and one root for each weight.

    w' = w - h_t m_t / (sqrt(v_t) + e_t), with h_t = h sqrt(1 - b2^t) / (1 - b1^t) and e_t = eps sqrt(1 - b2^t). Optax
    divides each weight's m and v by their bias corrections instead: the same numbers but for rounding, and three
    divisions, which on CPU are half of the optimizer's time. States are those of `optax.adam`.

    Args:
      learning_rate: h, or a schedule of it.
      b1: decay of the mean gradient; of the number 0, the mean is the gradient and the last one is not read.
      b2: decay of the mean squared gradient.
      eps: of the denominator.

    Reference: Kingma and Ba 2015, section 2, last paragraph, arXiv:1412.6980.
    """
    plain = optax.adam(learning_rate, b1=b1, b2=b2, eps=eps)
    no_momentum = isinstance(b1, int | float) and b1 == 0

    def update(grads: optax.Updates, state: optax.OptState, params: optax.Params | None = None):
        del params
        moments, schedule = state
        count = optax.safe_increment(moments.count)
        mu = grads if no_momentum else optax.tree.update_moment(grads, moments.mu, b1, 1)
        nu = optax.tree.update_moment_per_elem_norm(grads, moments.nu, b2, 2)
        rate = learning_rate(schedule.count) if callable(learning_rate) else learning_rate
        correction = jnp.sqrt(1 - b2**count)
        step, floor = rate * correction / (1 - b1**count), eps * correction

        def move(m: Array, v: Array) -> Array:
            return -step.astype(m.dtype) * m / (jnp.sqrt(v) + floor.astype(v.dtype))

        if callable(learning_rate):
            schedule = schedule._replace(count=optax.safe_increment(schedule.count))
        moments = moments._replace(count=count, mu=mu, nu=nu)
        return jax.tree.map(move, mu, nu), (moments, schedule)

    return optax.GradientTransformation(plain.init, update)


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
    "adam": adam,
    "optimistic_adam": optimistic_adam,
}
