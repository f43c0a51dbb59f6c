"""The smooth functions of planar and Sylvester maps, and how steep they get."""

import math
from collections.abc import Callable
from typing import Literal, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from flowvi.bijections.increasing_root import increasing_root
from flowvi.errors import FlowError

SHARE = 0.999
"""Of the way to a map that is not invertible, at most."""

NonlinearityName = Literal["tanh", "arctan", "arcsinh", "sigmoid", "softplus", "elu", "erf", "sin", "silu"]


@final
class Nonlinearity(eqx.Module):
    """A function h with a continuous slope between two bounds.

        lowest <= h'(a) <= steepest

    Attributes:
        function: h, elementwise.
        lowest: a lower bound of h'; may be negative.
        steepest: an upper bound of h'.

    Raises:
        FlowError: the bounds are not finite or not in order.

    Example:
        >>> import jax.numpy as jnp
        >>> from flowvi.bijections import Nonlinearity, Planar
        >>> bump = Nonlinearity(lambda a: jnp.exp(-(a**2)), -0.858, 0.858)
        >>> Planar(2, key=0, nonlinearity=bump).forward_and_log_det(jnp.zeros(2))[0].shape
        (2,)
    """

    function: Callable[[Array], Array] = eqx.field(static=True)
    lowest: float = eqx.field(static=True)
    steepest: float = eqx.field(static=True)

    def __check_init__(self):
        if not -math.inf < self.lowest <= self.steepest < math.inf:
            raise FlowError(
                f"Nonlinearity: slopes from {self.lowest} to {self.steepest}. Give two finite bounds of the "
                "derivative, the lower one first."
            )

    def value_and_slope(
        self, a: Float[Array, "*shape"]
    ) -> tuple[Float[Array, "*shape"], Float[Array, "*shape"]]:
        """h(a) and h'(a)."""
        return jax.jvp(self.function, (a,), (jnp.ones_like(a),))


# silu is steepest at a = 2.39936, where (a / 2) tanh(a / 2) = 1; rounded outwards
_NAMED = {
    "tanh": Nonlinearity(jnp.tanh, 0.0, 1.0),
    "arctan": Nonlinearity(jnp.arctan, 0.0, 1.0),
    "arcsinh": Nonlinearity(jnp.arcsinh, 0.0, 1.0),
    "sigmoid": Nonlinearity(jax.nn.sigmoid, 0.0, 0.25),
    "softplus": Nonlinearity(jax.nn.softplus, 0.0, 1.0),
    "elu": Nonlinearity(jax.nn.elu, 0.0, 1.0),
    "erf": Nonlinearity(jax.scipy.special.erf, 0.0, 2 / math.sqrt(math.pi)),
    "sin": Nonlinearity(jnp.sin, -1.0, 1.0),
    "silu": Nonlinearity(jax.nn.silu, -0.09984, 1.09984),
}


def named_nonlinearity(which: NonlinearityName | Nonlinearity) -> Nonlinearity:
    """A nonlinearity by its name; one of the caller's own stays as it is.

    Raises:
        FlowError: there is none of that name.

    Example:
        >>> from flowvi.bijections.nonlinearity import named_nonlinearity
        >>> named_nonlinearity("sigmoid").steepest
        0.25
    """
    if isinstance(which, Nonlinearity):
        return which
    if which not in _NAMED:
        raise FlowError(
            f"No nonlinearity is named {which!r}. Choose one of {list(_NAMED)}, or give a Nonlinearity."
        )
    return _NAMED[which]


def invertible_pair(
    u: Float[Array, " dim"], w: Float[Array, " dim"], h: Nonlinearity
) -> tuple[Float[Array, " dim"], Float[Array, ""]]:
    """u moved along w until x + u h(w . x) is invertible, and w . u after that.

        u + (m(w . u) - w . u) w / |w|^2,    m(c) = -l (1 - e^(c / l)) for c < 0, l = 0.999 / sup h'

    and likewise for c > 0 where h' has negative values. m(0) = 0 and m'(0) = 1, so that all is smooth at
    w = 0, and u stays as it is where w . u has the harmless sign.

    Shapes: u, w (dim,), one vector each. Source: R&M, appendix A.1, with another m and slopes of both signs.
    """
    # free of underflow; the result does not depend on the scale, hence neither does its gradient
    scale = jax.lax.stop_gradient(jnp.max(jnp.abs(w)))
    scale = jnp.where(scale > 0, scale, 1)
    direction = w / scale
    square = jnp.sum(direction**2)
    product = jnp.sum(w * u)
    allowed = _within(product, h)
    along = (allowed - product) / scale / jnp.where(square > 0, square, 1)
    return u + along * direction, allowed


def _within(product: Float[Array, ""], h: Nonlinearity) -> Float[Array, ""]:
    """A free number c as one with 1 + c h' > 0 whatever the slope."""
    if h.steepest > 0:
        product = above(product, -SHARE / h.steepest)
    if h.lowest < 0:
        product = -above(-product, SHARE / h.lowest)
    return product


def above(free: Float[Array, "..."], bound: float) -> Float[Array, "..."]:
    """A free number as one above a negative bound; it stays as it is unless negative."""
    return jnp.where(free < 0, -bound * jnp.expm1(jnp.minimum(free, 0) / -bound), free)


def preimage(h: Nonlinearity, product: Float[Array, ""], target: Float[Array, ""]) -> Float[Array, ""]:
    """a with a + product h(a) = target, where 1 + product h' > 0."""
    ends = 1 + product * h.lowest, 1 + product * h.steepest
    flat, steep = jnp.minimum(*ends), jnp.maximum(*ends)
    beyond = product * h.function(target)
    by_flat, by_steep = target - beyond / flat, target - beyond / steep
    return increasing_root(
        lambda a: a + product * h.function(a),
        target,
        jnp.minimum(by_flat, by_steep),
        jnp.maximum(by_flat, by_steep),
    )
