"""An unbiased estimate of a trace from products with random vectors."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray


def rademacher(key: PRNGKeyArray, like: Float[Array, " dim"]) -> Float[Array, " dim"]:
    """A probe for `value_and_trace_estimate`: independent signs, in the shape and precision of `like`.

    Signs have the least variance among probes of independent entries: none of it is due to the diagonal.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from flowvi.bijections.hutchinson import rademacher
        >>> jnp.abs(rademacher(jax.random.key(0), jnp.zeros(3))).tolist()
        [1.0, 1.0, 1.0]
    """
    return jax.random.rademacher(key, like.shape, like.dtype)


def value_and_trace_estimate(
    function: Callable[[Array], Array], x: Float[Array, " dim"], probe: Float[Array, " dim"]
) -> tuple[Float[Array, " dim"], Float[Array, ""]]:
    """f(x), and e^T (df/dx) e for a probe e.

        E e^T J e = tr J    where E e e^T = I

    Cost: one derivative in one direction, whatever the dim. Shapes: x, probe, f(x) (dim,).

    Source: Hutchinson 1990 (Commun. Stat. Simul. 19), section 2; FFJORD, equation 7.

    Example:
        >>> import jax.numpy as jnp
        >>> from flowvi.bijections.hutchinson import value_and_trace_estimate
        >>> value_and_trace_estimate(lambda x: 3 * x, jnp.ones(2), jnp.array([1.0, -1.0]))[1].item()
        6.0
    """
    value, along = jax.jvp(function, (x,), (probe,))
    return value, jnp.sum(probe * along)
