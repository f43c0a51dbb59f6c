"""Bijections inside those that only say what they are conditioned on, or that they are not trained."""

from __future__ import annotations

from jaxtyping import Array, Float

from flowvi.bijections import Amortized, Bijection, Conditioned
from flowvi.flows.standardise import StandardisedCondition
from flowvi.flows.whiten import Fixed

Wrapper = Amortized | Conditioned | Fixed | StandardisedCondition


def unwrapped(
    wrapper: Wrapper, x: Float[Array, ...], condition: Float[Array, " condition"] | None
) -> tuple[Bijection, Float[Array, " inner"] | None]:
    """The bijection that a wrapper is at a condition, and the condition of that one; in the precision of x.

    Example:
        >>> import jax.numpy as jnp
        >>> from flowvi.bijections import Amortized, Conditioned, Planar
        >>> from flowvi.flows.unwrapped import unwrapped
        >>> layer = Conditioned(Amortized(Planar(2, key=0), 3, key=1), jnp.arange(3.0))
        >>> inner, condition = unwrapped(layer, jnp.zeros(2), None)
        >>> type(inner).__name__, condition.tolist()
        ('Amortized', [0.0, 1.0, 2.0])
    """
    match wrapper:
        case Amortized():
            return wrapper.at(x, condition), None
        case Conditioned():
            return wrapper.bijection, wrapper.condition.value
        case Fixed():
            return wrapper.bijection, condition
        case StandardisedCondition(bijection=inner, location=location, scale=scale):
            return inner, None if condition is None else (condition - location.value) / scale.value
