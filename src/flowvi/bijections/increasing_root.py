"""Roots of increasing functions, for inverses that have no formula."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

_MOST_WIDENINGS = 64
_MOST_STEPS = 128


def increasing_root(
    function: Callable[[Float[Array, "*shape"]], Float[Array, "*shape"]],
    target: Float[Array, "*shape"],
    low: Float[Array, "*shape"],
    high: Float[Array, "*shape"],
) -> Float[Array, "*shape"]:
    """x with function(x) = target, elementwise: each value increases in its own element alone.

    Newton steps, and a bisection of the bracket wherever one leaves it or does not halve the step before,
    until the residual or the step is a rounding. The bracket [low, high] is only where to look first: it
    widens until it holds the root. Gradients, to any order and in both modes, are those of the implicit
    function, dx = (dtarget - df) / f'(x), in the target and in all that `function` closes over. Within a
    `jax.lax.scan`, where JAX drops rules for derivatives once reverse mode has passed, they go to the second
    order, with one of the two in forward mode.

    Shapes: all alike. Cost: 2 evaluations for a bracket that holds the root, then usually 4 to 10 of the
    function and its slope.

    Source: Numerical Recipes (3rd edition), section 9.4, `rtsafe`.

    Example:
        >>> import jax.numpy as jnp
        >>> from flowvi.bijections.increasing_root import increasing_root
        >>> increasing_root(lambda x: x**3, jnp.asarray(8.0), jnp.asarray(0.0), jnp.asarray(1.0)).item()
        2.0
    """
    low, high, size = jax.lax.stop_gradient((low, high, jnp.abs(target)))

    def solve(excess: Callable[[Array], Array], _: Array) -> Array:
        return _solve(excess, *_bracket(excess, low, high), size)

    return jax.lax.custom_root(lambda x: function(x) - target, low, solve, _divide)


def _divide(slope_times: Callable[[Array], Array], y: Array) -> Array:
    return y / slope_times(jnp.ones_like(y))


def _bracket(excess: Callable[[Array], Array], low: Array, high: Array) -> tuple[Array, Array]:
    def unfinished(state):
        _, _, above, below, widenings = state
        return (widenings < _MOST_WIDENINGS) & jnp.any(above | below)

    def widen(state):
        low, high, above, below, widenings = state
        least = 8 * jnp.finfo(low.dtype).eps * (1 + jnp.abs(high))
        more = 3 * jnp.maximum(high - low, least)
        return *ends(jnp.where(above, low - more, low), jnp.where(below, high + more, high)), widenings + 1

    def ends(low, high):
        return low, high, excess(low) > 0, excess(high) < 0

    return jax.lax.while_loop(unfinished, widen, (*ends(low, high), 0))[:2]


def _solve(excess: Callable[[Array], Array], low: Array, high: Array, size: Array) -> Array:
    rounding = 2 * jnp.finfo(low.dtype).eps

    def unfinished(state):
        *_, done, step = state
        return (step < _MOST_STEPS) & ~jnp.all(done)

    def refine(state):
        low, high, x, moved, done, step = state
        value, slope = jax.jvp(excess, (x,), (jnp.ones_like(x),))
        low, high = jnp.where(value <= 0, x, low), jnp.where(value >= 0, x, high)
        change = -value / slope
        newton = x + change
        fast = (newton >= low) & (newton <= high) & (jnp.abs(change) <= moved / 2)
        # a root that has been met stays: a bisection would leave it for a bracket open on one side
        done |= (jnp.abs(value) <= rounding * size) | (jnp.abs(change) <= rounding * jnp.abs(x))
        new = jnp.where(done, x, jnp.where(fast, newton, low + (high - low) / 2))
        moved = jnp.abs(new - x)
        return low, high, new, moved, done | (moved <= rounding * jnp.abs(new)), step + 1

    middle = low + (high - low) / 2
    start = (low, high, middle, high - low, jnp.zeros(low.shape, bool), 0)
    return jax.lax.while_loop(unfinished, refine, start)[2]
