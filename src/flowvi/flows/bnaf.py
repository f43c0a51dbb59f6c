"""Block neural autoregressive flows: any triangular increasing map, by networks."""

import numpy as np
from jaxtyping import PRNGKeyArray

from flowvi.bijections import BlockAutoregressive, Chain, LocationScale, Permutation, Scan
from flowvi.bijections.host_random import host_generator
from flowvi.flows.arguments import check_positive
from flowvi.flows.distribution import Distribution
from flowvi.flows.flow import Flow
from flowvi.flows.normal import Normal
from flowvi.precision import double_precision


@double_precision
def bnaf(
    dim: int,
    *,
    key: PRNGKeyArray | int,
    layers: int = 2,
    width: int = 8,
    depth: int = 2,
    condition_dim: int | None = None,
    base: Distribution | None = None,
) -> Flow:
    """Block autoregressive networks in alternating order, then a trainable location and scale.

        y = (1 - s) x + s g(x),    dg_i/dx_i > 0, dg_i/dx_j = 0 for j > i

    `width` counts hidden units per coordinate. Starts away from the identity: networks cannot be small
    here. Draws take one pass; `log_prob` of other points takes dim scalar roots per layer.

    Shapes: points (dim,); condition (condition_dim,).

    Raises:
        FlowError: a size is not a positive integer, or the base has another dim.

    Source: De Cao et al. 2019 (arXiv 1904.04676), section 3.

    Example:
        >>> import flowvi
        >>> flow = flowvi.flows.bnaf(2, key=0)
        >>> flow.log_prob(flow.sample(1, (100,))).shape
        (100,)
    """
    check_positive(dim=dim, layers=layers, width=width, depth=depth, condition_dim=condition_dim)
    seeds = host_generator(key).integers(2**63, size=layers)
    reverse = Permutation(np.arange(dim)[::-1])
    stacked = [
        Chain(
            [
                BlockAutoregressive(
                    dim, key=int(seed), width=width, depth=depth, condition_dim=condition_dim
                ),
                reverse,
            ]
        )
        for seed in seeds
    ]
    end = LocationScale(np.zeros(dim), np.ones(dim))
    return Flow(base or Normal(dim), Chain([Scan.stack(stacked), end]))
