"""Log densities with estimated log-dets, where a layer has an estimator: for training only."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from flowvi.bijections import Amortized, Bijection, Chain, Conditioned, HasEstimatedLogDet, Invert, Scan
from flowvi.flows.flow import Flow
from flowvi.flows.standardise import StandardisedCondition
from flowvi.flows.unwrapped import unwrapped
from flowvi.flows.whiten import Fixed


def forward_and_estimated_log_prob(
    flow: Flow,
    base_draw: Float[Array, " dim"],
    key: PRNGKeyArray,
    condition: Float[Array, " condition"] | None = None,
) -> tuple[Float[Array, " dim"], Float[Array, ""]]:
    """z = f(x) at one draw x of the base, and an unbiased estimate of log q(z) with unbiased gradients.

        log q(z) = log q0(x) - sum_k log |det df_k|,    each term exact where the layer has no estimator

    The estimates of the layers are independent. A flow without such layers gets its exact log density, and
    the key is not used. Shapes: base_draw, z (dim,); condition (condition_dim,).

    Source: ResFlow, section 3.2; FFJORD, section 3.1.

    Example:
        >>> import flowvi
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from flowvi.flows.stochastic_log_det import forward_and_estimated_log_prob
        >>> flow = flowvi.flows.residual(2, key=0, length=2)
        >>> with jax.enable_x64(True):
        ...     z, log_prob = forward_and_estimated_log_prob(flow, jnp.zeros(2), jax.random.key(1))
        >>> z.tolist(), log_prob.round(4).item()
        ([0.0, 0.0], -1.8379)
    """
    z, log_det = _forward(flow.bijection, base_draw, condition, key)
    return z, flow.base.log_prob(base_draw) - log_det


def estimated_log_prob(
    flow: Flow,
    z: Float[Array, " dim"],
    key: PRNGKeyArray,
    condition: Float[Array, " condition"] | None = None,
) -> Float[Array, ""]:
    """An unbiased estimate of log q(z) at one point, with unbiased gradients.

        log q(z) = log q0(f^-1(z)) + sum_k log |det df_k^-1|,    exact where the layer has no estimator

    Shapes: z (dim,); condition (condition_dim,). See `forward_and_estimated_log_prob`.

    Example:
        >>> import flowvi
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from flowvi.flows.stochastic_log_det import estimated_log_prob
        >>> with jax.enable_x64(True):
        ...     flow = flowvi.flows.residual(2, key=0, length=2)
        ...     print(estimated_log_prob(flow, jnp.zeros(2), jax.random.key(1)).round(4))
        -1.8379
    """
    x, log_det = _inverse(flow.bijection, z, condition, key)
    return flow.base.log_prob(x) + log_det


def _forward(
    bijection: Bijection, x: Array, condition: Array | None, key: PRNGKeyArray
) -> tuple[Array, Array]:
    match bijection:
        case HasEstimatedLogDet():
            return bijection.forward_and_estimated_log_det(x, condition, key)
        case Chain():
            return _chain(_forward, bijection.bijections, x, condition, key)
        case Scan():
            return _scan(_forward, bijection.layers, x, condition, key, reverse=False)
        case Invert():
            return _inverse(bijection.bijection, x, condition, key)
        case Amortized() | Conditioned() | Fixed() | StandardisedCondition():
            inner, condition = unwrapped(bijection, x, condition)
            return _forward(inner, x, condition, key)
    return bijection.forward_and_log_det(x, condition)


def _inverse(
    bijection: Bijection, y: Array, condition: Array | None, key: PRNGKeyArray
) -> tuple[Array, Array]:
    match bijection:
        case HasEstimatedLogDet():
            return bijection.inverse_and_estimated_log_det(y, condition, key)
        case Chain():
            return _chain(_inverse, bijection.bijections[::-1], y, condition, key)
        case Scan():
            return _scan(_inverse, bijection.layers, y, condition, key, reverse=True)
        case Invert():
            return _forward(bijection.bijection, y, condition, key)
        case Amortized() | Conditioned() | Fixed() | StandardisedCondition():
            inner, condition = unwrapped(bijection, y, condition)
            return _inverse(inner, y, condition, key)
    return bijection.inverse_and_log_det(y, condition)


def _chain(
    through: Callable, bijections: tuple[Bijection, ...], x: Array, condition: Array | None, key: PRNGKeyArray
) -> tuple[Array, Array]:
    total = jnp.zeros((), x.dtype)
    for bijection, own_key in zip(bijections, jax.random.split(key, len(bijections)), strict=True):
        x, log_det = through(bijection, x, condition, own_key)
        total = total + log_det
    return x, total


def _scan(
    through: Callable,
    layers: Bijection,
    x: Array,
    condition: Array | None,
    key: PRNGKeyArray,
    *,
    reverse: bool,
) -> tuple[Array, Array]:
    arrays, rest = eqx.partition(layers, eqx.is_array)

    def step(carry, of_layer):
        x, total, key = carry
        key, own_key = jax.random.split(key)
        y, log_det = through(eqx.combine(of_layer, rest), x, condition, own_key)
        # a carry keeps its dtype, also where parameters are of higher precision than x
        return (y.astype(x.dtype), (total + log_det).astype(x.dtype), key), None

    (x, total, _), _ = jax.lax.scan(step, (x, jnp.zeros((), x.dtype), key), arrays, reverse=reverse)
    return x, total
