"""Roots of increasing functions, for inverses that have no formula."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

_MOST_DOUBLINGS = 64
_MOST_STEPS = 128
_BISECT_EVERY = 3
"""Newton steps may creep along one side of the bracket; every third step halves it."""


def increasing_root(
    function: Callable[[Float[Array, "*shape"]], Float[Array, "*shape"]], guess: Float[Array, "*shape"]
) -> Float[Array, "*shape"]:
    """x with function(x) = 0, elementwise, for a function that increases in each element and depends on
    no other.

    A bracket is doubled until it holds the root, then Newton steps that stay within it, and bisections, close
    it to the last digit or two. Gradients are those of the implicit function, dx = -df / f'(x), in both
    modes and to any order.

    Shapes: guess and the root alike; a guess near the root saves doublings.

    Source: Numerical Recipes (3rd edition), section 9.4, `rtsafe`.

    Example:
        >>> import jax.numpy as jnp
        >>> from flowvi.bijections.increasing_root import increasing_root
        >>> increasing_root(lambda x: x**3 - 8, jnp.zeros(())).round(4).item()
        2.0
    """
    return jax.lax.custom_root(function, guess, _solve, _divide)


def _divide(slope_times: Callable[[Array], Array], y: Array) -> Array:
    return y / slope_times(jnp.ones_like(y))


def _solve(function: Callable[[Array], Array], guess: Array) -> Array:
    low, high = _bracket(function, guess)
    tolerance = 2 * jnp.finfo(guess.dtype).eps

    def unfinished(state):
        _, _, x, change, step = state
        return (step < _MOST_STEPS) & jnp.any(jnp.abs(change) > tolerance * jnp.abs(x))

    def refine(state):
        low, high, x, _, step = state
        value, slope = jax.jvp(function, (x,), (jnp.ones_like(x),))
        low, high = jnp.where(value <= 0, x, low), jnp.where(value >= 0, x, high)
        newton = x - value / slope
        inside = (newton > low) & (newton < high) & (step % _BISECT_EVERY < _BISECT_EVERY - 1)
        new = jnp.where(inside, newton, low + (high - low) / 2)
        # a bracket that has closed, or a root met exactly, moves no more
        return low, high, new, new - x, step + 1

    start = (low, high, jnp.clip(guess, low, high), jnp.full_like(guess, jnp.inf), 0)
    return jax.lax.while_loop(unfinished, refine, start)[2]


def _bracket(function: Callable[[Array], Array], guess: Array) -> tuple[Array, Array]:
    def open_ended(state):
        low, high, doublings = state
        return (doublings < _MOST_DOUBLINGS) & jnp.any((function(low) > 0) | (function(high) < 0))

    def widen(state):
        low, high, doublings = state
        low = jnp.where(function(low) > 0, guess - 2 * (guess - low), low)
        high = jnp.where(function(high) < 0, guess + 2 * (high - guess), high)
        return low, high, doublings + 1

    width = 1 + jnp.abs(guess) * jnp.finfo(guess.dtype).eps * 8
    return jax.lax.while_loop(open_ended, widen, (guess - width, guess + width, 0))[:2]
