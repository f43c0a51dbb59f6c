"""Elementwise functions whose derivatives are computed along with their values."""

from collections.abc import Callable
from functools import partial

import jax
from jaxtyping import Array

from flowvi.bijections.batch_last import broadcast_like


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def partials_ahead(function: Callable[..., tuple[Array, ...]], *arguments: Array) -> tuple[Array, ...]:
    """The values of an elementwise function, for which the way back is a sum of products.

        d f_i = sum_j (df_i / dx_j) dx_j

    The partial derivatives are computed on the way forward. XLA would put the way back into the loop over
    what its result is broadcast to, and there compute it again for each of the bins of a spline.
    Shapes: arguments and values all of one shape. `function` must be one object for all calls.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from flowvi.bijections.partials_ahead import partials_ahead
        >>> def ratio(x, y):
        ...     return (x / y,)
        >>> x, y = jnp.array(3.0), jnp.array(2.0)
        >>> [float(d) for d in jax.grad(lambda x, y: partials_ahead(ratio, x, y)[0], argnums=(0, 1))(x, y)]
        [0.5, -0.75]
    """
    return function(*arguments)


@partials_ahead.defjvp
def _jvp(function, primals, tangents):
    values, changes = function(*primals), []
    for i, value in enumerate(values):
        _, pull_back = jax.vjp(lambda *arguments, i=i: function(*arguments)[i], *primals)
        partials = pull_back(broadcast_like(1.0, value))
        products = [derivative * tangent for derivative, tangent in zip(partials, tangents, strict=True)]
        changes.append(sum(products[1:], products[0]))
    return values, tuple(changes)
