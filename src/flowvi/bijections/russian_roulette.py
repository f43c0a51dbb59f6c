"""The log-det of a residual map by a power series that is broken off at random."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from flowvi.errors import FlowError


def estimated_log_det(
    g: Callable[[Float[Array, " dim"]], Float[Array, " dim"]],
    x: Float[Array, " dim"],
    key: PRNGKeyArray,
    *,
    contraction: float = 0.9,
    always: int = 4,
) -> Float[Array, ""]:
    """An unbiased estimate of log det(I + J), J = dg/dx, whose gradient is unbiased as well.

        log det(I + J) = sum_k (-1)^(k+1) / k tr J^k = E sum_(k <= n) (-1)^(k+1) / (k P(n >= k)) v' J^k v

    The probe v has random signs (Hutchinson). The first terms are `always` taken, each later one after the
    one before it with probability `contraction`, a bound on the norm of J: the weights 1 / P(n >= k) then
    grow no faster than the terms shrink, and the variance is finite. The gradient, in x and in all that `g`
    closes over, is that of

        w' J v,    w' = sum_(k <= n) (-1)^k / P(n >= k) v' J^k,    E w' dJ v = tr((I + J)^-1 dJ)

    with w held fixed, so that the loop need not be differentiated. Cost: always + contraction /
    (1 - contraction) products with J on average, whatever the dim; the exact value takes dim of them and
    dim^3. Shapes: x and g(x) (dim,).

    Source: ResFlow, equations 6 and 8.

    Raises:
        FlowError: `contraction` is not between 0 and 1, or `always` is negative.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from flowvi.bijections.russian_roulette import estimated_log_det
        >>> keys = jax.random.split(jax.random.key(0), 10_000)
        >>> estimates = jax.vmap(lambda key: estimated_log_det(lambda x: 0.6 * x, jnp.zeros(1), key))(keys)
        >>> round(float(estimates.mean()), 2), round(float(jnp.log(1.6)), 2)
        (0.47, 0.47)
    """
    if not (0 < contraction < 1 and always >= 0):
        raise FlowError(
            f"estimated_log_det: contraction={contraction}, always={always}. The first must lie between 0 "
            "and 1, the second must not be negative."
        )
    key_of_probe, key_of_terms = jax.random.split(key)
    probe = jax.random.rademacher(key_of_probe, x.shape, x.dtype)
    # n - always is geometric
    uniform = jax.random.uniform(key_of_terms, (), x.dtype, minval=jnp.finfo(x.dtype).tiny)
    terms = always + jnp.floor(jnp.log(uniform) / jnp.log(contraction)).astype(int)

    value, w = _series(*_without_gradient(g, x), probe, terms, contraction, always)
    of_gradient = jnp.dot(w, jax.jvp(g, (x,), (probe,))[1])
    return value + of_gradient - jax.lax.stop_gradient(of_gradient)


def _without_gradient(g: Callable[[Array], Array], x: Array) -> tuple[Callable[[Array], Array], Array]:
    """g and x as constants, including what g closes over."""
    function, closed_over = jax.closure_convert(g, x)
    closed_over, x = jax.lax.stop_gradient((closed_over, x))
    return lambda x: function(x, *closed_over), x


def _series(g, x, probe, terms, contraction, always):
    """The estimate, and w."""
    _, times_jacobian = jax.vjp(g, x)

    def unfinished(state):
        k, *_ = state
        return k <= terms

    def step(state):
        k, row, value, w = state
        (row,) = times_jacobian(row)
        row = -row
        weight = jnp.asarray(contraction, x.dtype) ** jnp.minimum(always - k, 0)
        return k + 1, row, value - weight / k * jnp.dot(row, probe), w + weight * row

    start = (jnp.asarray(1, terms.dtype), probe, jnp.zeros((), x.dtype), probe)
    _, _, value, w = jax.lax.while_loop(unfinished, step, start)
    return value, w
