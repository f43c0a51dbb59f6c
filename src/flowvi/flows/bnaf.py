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
    layers: int = 3,
    width: int = 8,
    depth: int = 1,
    condition_dim: int | None = None,
    base: Distribution | None = None,
) -> Flow:
    """Block autoregressive networks in alternating order, then a trainable location and scale.

        y_i = x_i + (e^s_i - 1) g_i(x_1 .. x_i, condition) + t_i,    0 < dg_i/dx_i <= 1

    Starts as the identity on the base (the standard normal, unless given). `width` counts hidden units per
    coordinate, so a layer has some (dim width)^2 weights. Draws with their log densities take one pass;
    `log_prob` of other points takes dim scalar roots per layer.

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
    orders = np.tile(np.arange(dim)[::-1], (layers, 1))
    # the last layer restores the order, so that the whole starts as the identity
    orders[-1] = orders[-1][:: (-1) ** layers]

    def layer(number: int) -> Chain:
        network = BlockAutoregressive(
            dim, key=int(seeds[number]), width=width, depth=depth, condition_dim=condition_dim
        )
        return Chain([network, Permutation(orders[number])])

    stacked = Scan.stack([layer(number) for number in range(layers)])
    return Flow(base or Normal(dim), Chain([stacked, LocationScale(np.zeros(dim), np.ones(dim))]))
