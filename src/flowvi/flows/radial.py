"""Radial flows: many maps around one centre each."""

from jaxtyping import PRNGKeyArray

from flowvi.bijections import Amortized, Radial, Scan
from flowvi.bijections.host_random import host_generator
from flowvi.flows.arguments import check_positive
from flowvi.flows.distribution import Distribution
from flowvi.flows.flow import Flow
from flowvi.flows.normal import Normal
from flowvi.precision import double_precision


@double_precision
def radial(
    dim: int,
    *,
    key: PRNGKeyArray | int,
    length: int = 32,
    width: int = 32,
    depth: int = 2,
    condition_dim: int | None = None,
    base: Distribution | None = None,
) -> Flow:
    """`length` radial maps, one after the other.

        y = x + beta (x - c) / (alpha + |x - c|)

    Starts near the identity on the base (the standard normal, unless given). With a condition, one network
    (of `width` and `depth`) adds to the c, alpha and beta of all maps. Cost: dim per map and point in both
    directions.

    Shapes: points (dim,); condition (condition_dim,).

    Raises:
        FlowError: a size is not a positive integer, or the base has another dim.

    Source: R&M, equation 14.

    Example:
        >>> import flowvi
        >>> flow = flowvi.flows.radial(2, key=0, length=8)
        >>> flow.log_prob(flow.sample(1, (100,))).shape
        (100,)
    """
    check_positive(dim=dim, length=length, width=width, depth=depth, condition_dim=condition_dim)
    of_network, *seeds = host_generator(key).integers(2**63, size=length + 1).tolist()
    bijection = Scan.stack([Radial(dim, key=seed) for seed in seeds])
    if condition_dim is not None:
        bijection = Amortized(bijection, condition_dim, key=of_network, width=width, depth=depth)
    return Flow(base or Normal(dim), bijection)
