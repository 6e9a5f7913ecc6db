"""The products of a traced program: what they are made of, and what comes out."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax


class Product(NamedTuple):
    """A product of two arrays, or a convolution.

    Attributes:
      shapes: of both operands and the result.
      dtypes: the same.
      full: whether XLA is asked for full precision, as an interpolation does.
      ones: whether an operand is an array of ones, as in a sum.
    """

    shapes: tuple[tuple[int, ...], ...]
    dtypes: tuple[str, ...]
    full: bool
    ones: bool

    @property
    def is_mixed(self) -> bool:
        """Whether operands are bfloat16 and the result is not."""
        return self.dtypes == ("bfloat16", "bfloat16", "float32")

    @property
    def stays_float32(self) -> bool:
        """Whether it is one of the few that are to be float32: sums, interpolations, and D's logit."""
        is_logit = 1 in (*self.shapes[0], *self.shapes[1])
        return set(self.dtypes) == {"float32"} and (self.ones or self.full or is_logit)


def products_of(function: Callable, *args: Any) -> list[Product]:
    """Trace a function and list its products."""
    return products_in(jax.make_jaxpr(function)(*args))


def products_in(program: Any) -> list[Product]:
    """List the products of a traced program, those inside loops, branches and other functions too."""
    return list(_products(program.jaxpr))


def equations(jaxpr: Any) -> Iterator[Any]:
    """List a program's equations, and those of the programs inside them."""
    for equation in jaxpr.eqns:
        yield equation
        for value in equation.params.values():
            for inner in value if isinstance(value, list | tuple) else [value]:
                inner = getattr(inner, "jaxpr", inner)
                if hasattr(inner, "eqns"):
                    yield from equations(inner)


def _products(jaxpr: Any) -> Iterator[Product]:
    ones = set()
    for equation in equations(jaxpr):
        name, operands = equation.primitive.name, equation.invars
        if name == "broadcast_in_dim" and getattr(operands[0], "val", None) == 1:
            ones.add(equation.outvars[0])
        if name in ("dot_general", "conv_general_dilated"):
            both = [*operands, equation.outvars[0]]
            shapes = tuple(variable.aval.shape for variable in both)
            dtypes = tuple(str(variable.aval.dtype) for variable in both)
            full = equation.params["precision"] is not None
            yield Product(shapes, dtypes, full, any(v in ones for v in operands if v.aval.shape))
