"""Planar flows: many maps along one direction each."""

from jaxtyping import PRNGKeyArray

from flowvi.bijections import Amortized, Nonlinearity, Planar, Scan
from flowvi.bijections.host_random import host_generator
from flowvi.bijections.nonlinearity import NonlinearityName
from flowvi.flows.arguments import check_positive
from flowvi.flows.distribution import Distribution
from flowvi.flows.flow import Flow
from flowvi.flows.normal import Normal
from flowvi.precision import double_precision


@double_precision
def planar(
    dim: int,
    *,
    key: PRNGKeyArray | int,
    length: int = 32,
    nonlinearity: NonlinearityName | Nonlinearity = "tanh",
    width: int = 32,
    depth: int = 2,
    condition_dim: int | None = None,
    base: Distribution | None = None,
) -> Flow:
    """`length` planar maps, one after the other.

        y = x + u h(w . x + b)

    Starts near the identity on the base (the standard normal, unless given). With a condition, one network
    (of `width` and `depth`) adds to the u, w and b of all maps: the flow of a variational autoencoder. Cost:
    dim per map and draw; `log_prob` of other points takes a scalar root per map.

    Shapes: points (dim,); condition (condition_dim,).

    Raises:
        FlowError: a size is not a positive integer, the base has another dim, or the nonlinearity is unknown.

    Source: R&M, equations 10 to 13.

    Example:
        >>> import flowvi
        >>> flow = flowvi.flows.planar(2, key=0, length=8)
        >>> flow.log_prob(flow.sample(1, (100,))).shape
        (100,)
    """
    check_positive(dim=dim, length=length, width=width, depth=depth, condition_dim=condition_dim)
    of_network, *seeds = host_generator(key).integers(2**63, size=length + 1).tolist()
    bijection = Scan.stack([Planar(dim, key=seed, nonlinearity=nonlinearity) for seed in seeds])
    if condition_dim is not None:
        bijection = Amortized(bijection, condition_dim, key=of_network, width=width, depth=depth)
    return Flow(base or Normal(dim), bijection)
