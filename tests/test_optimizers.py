"""Adam is Optax's Adam, in the same state, with fewer divisions."""

import jax
import numpy as np
import optax
import pytest
from tiny import assert_close, normal, quick_jit, shapes_of

from gan_jax.optimizers import adam

RATES = {"constant": 0.1, "schedule": optax.linear_schedule(0.1, 0.0, 5)}


def walk(tx, params, state):
    """Four updates with gradients that depend on where they are taken."""
    for number in range(4):
        grads = jax.tree.map(lambda p, n=number: p * normal(n, *p.shape), params)
        updates, state = tx.update(grads, state, params)
        params = optax.apply_updates(params, updates)
    return params, state


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("b1", [0.0, 0.5])
def test_adam_goes_where_optaxs_goes(rate, b1):
    params = {"a": normal(7, 3, 2), "b": np.float32([0.0, 1e-3, 1e3])}  # one gradient is 0
    numbers = {"b1": b1, "b2": 0.99, "eps": 1e-8}
    ours, theirs = (make(RATES[rate], **numbers) for make in (adam, optax.adam))
    assert shapes_of(ours.init(params)) == shapes_of(theirs.init(params))
    found, expected = (
        quick_jit(lambda p, tx=tx: walk(tx, p, tx.init(p)))(params) for tx in (ours, theirs)
    )
    assert_close(found, expected, rtol=1e-5, atol=1e-7)


def test_a_swept_decay_is_traced():
    params = {"a": normal(7, 3)}

    def last(b1):
        tx = adam(0.1, b1, 0.99, 1e-8)
        return walk(tx, params, tx.init(params))

    swept = quick_jit(jax.vmap(last))(np.float32([0.0, 0.5]))
    for place, b1 in enumerate((0.0, 0.5)):
        assert_close(jax.tree.map(lambda a, i=place: a[i], swept), last(b1), rtol=1e-4, atol=1e-6)
