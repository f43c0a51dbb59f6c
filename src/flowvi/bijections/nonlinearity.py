"""The smooth, increasing functions of planar and Sylvester flows, and how steep they get."""

from collections.abc import Callable
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from flowvi.errors import FlowError

_SHARE = 0.999
"""Of the way to a map that is not invertible, at most."""

NonlinearityName = Literal["tanh", "sigmoid", "softplus", "arctan", "asinh"]


class Nonlinearity(NamedTuple):
    """An increasing h with 0 < h' <= steepest.

    Attributes:
        value: h, elementwise.
        slope: h', elementwise.
        steepest: the largest slope.
    """

    value: Callable[[Array], Array]
    slope: Callable[[Array], Array]
    steepest: float


_NAMED = {
    "tanh": Nonlinearity(jnp.tanh, lambda a: 1 - jnp.tanh(a) ** 2, 1.0),
    "sigmoid": Nonlinearity(jax.nn.sigmoid, lambda a: jax.nn.sigmoid(a) * jax.nn.sigmoid(-a), 0.25),
    "softplus": Nonlinearity(jax.nn.softplus, jax.nn.sigmoid, 1.0),
    "arctan": Nonlinearity(jnp.arctan, lambda a: 1 / (1 + a**2), 1.0),
    "asinh": Nonlinearity(jnp.arcsinh, lambda a: 1 / jnp.sqrt(1 + a**2), 1.0),
}


def nonlinearity(name: NonlinearityName) -> Nonlinearity:
    """A nonlinearity by its name.

    Raises:
        FlowError: there is none of that name.

    Example:
        >>> from flowvi.bijections.nonlinearity import nonlinearity
        >>> nonlinearity("sigmoid").steepest
        0.25
    """
    if name not in _NAMED:
        raise FlowError(f"No nonlinearity is named {name!r}. Choose one of {list(_NAMED)}.")
    return _NAMED[name]


def invertible(product: Float[Array, "..."], h: Nonlinearity) -> Float[Array, "..."]:
    """A free number as one with 1 + product h' > 0 whatever the slope; zero stays zero.

        m(c) = -l + softplus(c + log(e^l - 1)),    l = 0.999 / h'_max

    Source: R&M, appendix A.1, moved so that m(0) = 0.
    """
    return bounded_below(product, -_SHARE / h.steepest)


def bounded_below(free: Float[Array, "..."], lowest: float) -> Float[Array, "..."]:
    """A free number as one above a negative bound; zero stays zero."""
    return jax.nn.softplus(free + jnp.log(jnp.expm1(-lowest))) + lowest
