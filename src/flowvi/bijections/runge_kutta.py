"""Ordinary differential equations solved in a fixed number of steps."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from flowvi.errors import DependencyError


def solve(
    velocity: Callable[[Array, Array], Array],
    start: Float[Array, " size"],
    steps: int,
    *,
    backwards: bool = False,
) -> Float[Array, " size"]:
    """y(1) of dy/dt = velocity(t, y) from y(0) = start, or y(0) from y(1) if `backwards`.

        k_i = velocity(t + c_i h, y + h sum_(j<i) a_ij k_j),    y <- y + h sum_i b_i k_i,    h = 1 / steps

    with the coefficients of Dormand and Prince's method of order 8, from diffrax. Both modes of
    differentiation go through; the reverse one keeps a state per step and evaluates the stages again.

    Cost: 13 evaluations a step. Shapes: start, result (size,).

    Source: Prince & Dormand 1981 (J. Comput. Appl. Math. 7), table 2.

    Raises:
        DependencyError: diffrax is missing.

    Example:
        >>> import jax.numpy as jnp
        >>> from flowvi.bijections.runge_kutta import solve
        >>> solve(lambda t, y: y, jnp.ones(1), 4).round(4).tolist()
        [2.7183...]
    """
    nodes, rows, weights = _coefficients()
    h = (-1 if backwards else 1) / steps

    def combination(y, coefficients, stages):
        terms = [a * k for a, k in zip(coefficients, stages, strict=True) if a != 0]
        return y + h * sum(terms)

    @jax.checkpoint
    def step(y, number):
        # no stage lies outside of the step, so none looks beyond the ends of time
        t = jnp.where(backwards, 1, 0) + h * number.astype(y.dtype)
        stages = [velocity(t, y)]
        for c, row in zip(nodes, rows, strict=True):
            stages.append(velocity(t + c * h, combination(y, row, stages)))
        return combination(y, weights, stages), None

    return jax.lax.scan(step, start, jnp.arange(steps))[0]


def _coefficients() -> tuple[list[float], list[list[float]], list[float]]:
    """c_i and a_ij of all stages but the first, and b_i."""
    try:
        import diffrax
    except ImportError as error:
        raise DependencyError("Continuous flows need diffrax: pip install 'flowvi[ode]'.") from error
    tableau = diffrax.Dopri8.tableau
    # the last stage serves the estimate of the error alone
    rows = [row.tolist() for row in tableau.a_lower[:-1]]
    return tableau.c[:-1].tolist(), rows, tableau.b_sol[:-1].tolist()
