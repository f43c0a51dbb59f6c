"""The inverse of a point plus a contraction of it."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

MOST_NEWTON_DIM = 32
"""In more dimensions a Newton step, with the whole Jacobian, costs more than the steps that it saves."""


def contraction_root(
    g: Callable[[Float[Array, " dim"]], Float[Array, " dim"]], y: Float[Array, " dim"], contraction: float
) -> Float[Array, " dim"]:
    """x with x + g(x) = y, for |g(x) - g(x')| <= contraction |x - x'|.

        r = x + g(x) - y,    x <- x - r,  or x - (I + dg/dx)^-1 r where that leaves less of r

    The first kind of step shrinks r by the contraction, in exact arithmetic: once neither does, what is left
    of r is rounding, and the search ends. So there is no tolerance, and no start from which it fails.
    Gradients are those of the implicit function, dx = (I + dg/dx)^-1 (dy - dg); within a `jax.lax.scan` as in
    `increasing_root`.

    Shapes: x, y (dim,). Cost: some 5 Jacobians of g and solves where dim is small, else at most
    log(eps) / log(contraction) evaluations.

    Source: Behrmann et al. 2019 (arXiv 1811.00995), algorithm 1; the Newton steps are ours.

    Example:
        >>> import jax.numpy as jnp
        >>> from flowvi.bijections.contraction_root import contraction_root
        >>> contraction_root(lambda x: 0.5 * jnp.sin(x), jnp.zeros(2), 0.5).tolist()
        [0.0, 0.0]
    """

    def solve(residual: Callable[[Array], Array], start: Array) -> Array:
        return _solve(residual, start, contraction)

    return jax.lax.custom_root(lambda x: x + g(x) - y, jax.lax.stop_gradient(y), solve, _divide)


def _divide(times_matrix: Callable[[Array], Array], right: Array) -> Array:
    return jnp.linalg.solve(jax.jacfwd(times_matrix)(jnp.zeros_like(right)), right)


def _solve(residual: Callable[[Array], Array], start: Array, contraction: float) -> Array:
    # between the rate that is sure and none, since rounding may spoil the former a little
    rate = (1 + contraction) / 2

    def unfinished(state):
        _, _, size, size_before = state
        return size < rate * size_before

    def step(state):
        x, r, size, _ = state
        new, new_r = x - r, residual(x - r)
        if x.size <= MOST_NEWTON_DIM:
            newton = x - jnp.linalg.solve(jax.jacfwd(residual)(x), r)
            newton_r = residual(newton)
            better = jnp.linalg.norm(newton_r) < jnp.linalg.norm(new_r)
            new, new_r = jnp.where(better, newton, new), jnp.where(better, newton_r, new_r)
        return new, new_r, jnp.linalg.norm(new_r), size

    r = residual(start)
    first = (start, r, jnp.linalg.norm(r), jnp.full((), jnp.inf, r.dtype))
    return jax.lax.while_loop(unfinished, step, first)[0]
