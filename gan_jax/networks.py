"""The one bridge from Flax Linen to the library: a module becomes a pair of pure functions."""

import inspect

import jax
from flax import linen as nn

from gan_jax.types import Array, Key, Labels, ModelState, Network, Params


def from_linen(module: nn.Module) -> Network:
    """Wrap a Linen module whose `__call__(x, *, train)`, or `(x, labels, *, train)`, returns one array.

    Everything a module keeps outside "params" (batch statistics, spectral norm's vectors) is its model state:
    updated when `train` is true, read when it is not. `key` feeds the dropout.

    A module whose samples influence one another says so with a class attribute or property
    `couples_batch = True`; `init` refuses a batch norm that does not.

    Args:
      module: the Linen module.

    Returns:
      A `Network`.

    Raises:
      ValueError: from `init`, if the module holds a batch norm but does not say `couples_batch`, or is given labels
        that it does not take.
    """
    couples_batch = bool(getattr(module, "couples_batch", False))

    def init(key: Key, x: Array, labels: Labels | None = None) -> tuple[Params, ModelState]:
        params_key, dropout_key = jax.random.split(key)
        rngs = {"params": params_key, "dropout": dropout_key}
        if labels is not None and not _takes_labels(module):
            raise ValueError(
                f"{type(module).__name__} takes no labels: leave them out of the batch, give it `num_classes` "
                "if it has such an attribute, or let its __call__ take `labels` after its input"
            )
        variables = dict(module.init(rngs, *_inputs(x, labels), train=False))
        params = variables.pop("params", {})
        if not couples_batch and _has_batch_norm(variables):
            raise ValueError(
                f"{type(module).__name__} holds a batch norm, which couples the samples of a batch: "
                "declare `couples_batch = True` on the module"
            )
        return params, variables

    def apply(
        params: Params,
        model_state: ModelState,
        x: Array,
        labels: Labels | None = None,
        *,
        train: bool,
        key: Key | None = None,
    ) -> tuple[Array, ModelState]:
        variables = {"params": params, **model_state}
        inputs = _inputs(x, labels)
        rngs = {} if key is None else {"dropout": key}
        if not train or not model_state:
            return module.apply(variables, *inputs, train=train, rngs=rngs), model_state
        y, new_model_state = module.apply(
            variables, *inputs, train=True, rngs=rngs, mutable=list(model_state)
        )
        return y, dict(new_model_state)

    return Network(init, apply, couples_batch)


def _inputs(x: Array, labels: Labels | None) -> tuple[Array, ...]:
    return (x,) if labels is None else (x, labels)  # a module without labels need not name them


def _takes_labels(module: nn.Module) -> bool:
    if getattr(module, "num_classes", None) == 0:
        return False
    named = list(inspect.signature(type(module).__call__).parameters.values())[1:]  # but for self
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    several = any(parameter.kind is inspect.Parameter.VAR_POSITIONAL for parameter in named)
    return several or sum(parameter.kind in positional for parameter in named) > 1


def _has_batch_norm(model_state: ModelState) -> bool:
    # Linen keeps a batch norm's statistics as "mean" and "var" side by side; spectral norm keeps others.
    owners: dict[str, set[str]] = {"mean": set(), "var": set()}
    for path, _ in jax.tree_util.tree_leaves_with_path(model_state):
        name = getattr(path[-1], "key", None)  # what is kept in tuples or lists has no name
        if name in owners:
            owners[name].add(jax.tree_util.keystr(path[:-1]))
    return bool(owners["mean"] & owners["var"])
