"""Residual flows: layers of a free form, kept invertible by the size of their weights."""

import numpy as np
from jaxtyping import PRNGKeyArray

from flowvi.bijections import Chain, LocationScale, Residual, Scan
from flowvi.bijections.host_random import host_generator
from flowvi.flows.arguments import check_positive
from flowvi.flows.distribution import Distribution
from flowvi.flows.flow import Flow
from flowvi.flows.normal import Normal
from flowvi.precision import double_precision


@double_precision
def residual(
    dim: int,
    *,
    key: PRNGKeyArray | int,
    layers: int = 8,
    width: int = 32,
    depth: int = 2,
    contraction: float = 0.9,
    condition_dim: int | None = None,
    base: Distribution | None = None,
) -> Flow:
    """Residual maps, then a trainable location and scale.

        y = x + g(x),    |g(x) - g(x')| <= contraction |x - x'|

    Starts as the identity on the base (the standard normal, unless given). Cost: dim derivatives of a
    network and dim^3 per layer and draw; `log_prob` of other points iterates to a fixed point besides.

    Shapes: points (dim,); condition (condition_dim,).

    Raises:
        FlowError: a size is not a positive integer, the base has another dim, or `contraction` is not between
            0 and 1.

    Source: ResFlow, section 3.

    Example:
        >>> import flowvi
        >>> flow = flowvi.flows.residual(2, key=0, layers=4)
        >>> flow.log_prob(flow.sample(1, (100,))).shape
        (100,)
    """
    check_positive(dim=dim, layers=layers, width=width, depth=depth, condition_dim=condition_dim)
    seeds = host_generator(key).integers(2**63, size=layers)
    stacked = [
        Residual(
            dim,
            key=int(seed),
            condition_dim=condition_dim,
            width=width,
            depth=depth,
            contraction=contraction,
        )
        for seed in seeds
    ]
    end = LocationScale(np.zeros(dim), np.ones(dim))
    return Flow(base or Normal(dim), Chain([Scan.stack(stacked), end]))
