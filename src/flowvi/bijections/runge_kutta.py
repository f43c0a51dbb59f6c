"""Ordinary differential equations solved in a fixed number of steps."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
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
        >>> solve(lambda t, y: 2 * t, jnp.ones(1), 4).round(4).tolist()
        [2.0]
    """
    h = (-1 if backwards else 1) / steps
    nodes, shares = (jnp.asarray(h * a, start.dtype) for a in _coefficients())

    @jax.checkpoint
    def step(y, number):
        t = jnp.asarray(backwards, y.dtype) + h * number.astype(y.dtype)

        def stage(unfinished, coefficients):
            # the points at which the stages to come are evaluated, and last the end of the step, each still
            # without the shares of those stages; one small program serves all of them
            c, share = coefficients
            k = velocity(t + c, unfinished[0])
            moved = jnp.concatenate([unfinished[1:], unfinished[-1:]])
            return moved + share[:, None] * k, None

        everywhere_y = jnp.broadcast_to(y, (len(nodes) + 1, y.size))
        return jax.lax.scan(stage, everywhere_y, (nodes, shares))[0][0], None

    return jax.lax.scan(step, start, jnp.arange(steps))[0]


def _coefficients() -> tuple[np.ndarray, np.ndarray]:
    """The node c_j of each stage, and its velocity's shares a_ij in later stages i and b_j in the end."""
    try:
        import diffrax
    except ImportError as error:
        raise DependencyError("Continuous flows need diffrax: pip install 'flowvi[ode]'.") from error
    tableau = diffrax.Dopri8.tableau
    # the last stage serves the estimate of the error alone
    rows = [row.tolist() for row in tableau.a_lower[:-1]] + [tableau.b_sol[:-1].tolist()]
    stages = len(rows)
    shares = np.zeros((stages, stages + 1))
    for later, row in enumerate(rows):
        for stage, a in enumerate(row):
            shares[stage, later - stage] = a
    return np.array([0.0, *tableau.c[:-1]]), shares
