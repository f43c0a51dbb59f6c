"""Sylvester flows: maps along several orthogonal directions at once."""

from typing import Literal

import numpy as np
from jaxtyping import PRNGKeyArray

from flowvi.bijections import Amortized, Chain, Nonlinearity, Permutation, Scan, Sylvester
from flowvi.bijections.host_random import host_generator
from flowvi.bijections.nonlinearity import NonlinearityName
from flowvi.errors import FlowError
from flowvi.flows.arguments import check_positive
from flowvi.flows.distribution import Distribution
from flowvi.flows.flow import Flow
from flowvi.flows.normal import Normal
from flowvi.precision import double_precision

_RANK = 16
"""Of the maps by default, at most: roots are found one after the other."""


@double_precision
def sylvester(
    dim: int,
    *,
    key: PRNGKeyArray | int,
    length: int = 8,
    kind: Literal["orthogonal", "householder", "triangular"] = "orthogonal",
    rank: int | None = None,
    reflections: int = 4,
    nonlinearity: NonlinearityName | Nonlinearity = "tanh",
    width: int = 32,
    depth: int = 2,
    condition_dim: int | None = None,
    base: Distribution | None = None,
) -> Flow:
    """`length` Sylvester maps, one after the other.

        y = x + Q R h(S Q^T x + b)

    By `kind`, Q is any matrix with `rank` orthonormal columns (by default as many as there are dimensions, 16
    at most), the first `rank` columns of a product of a few Householder `reflections`, or `rank` coordinates:
    the next ones in every map, and in reversed order in every second. Starts near the identity on the base
    (the standard normal, unless given). With a condition, one network (of `width` and `depth`) adds to the
    parameters of all maps. Cost: about dim rank per map and draw; `log_prob` of other points takes rank roots
    per map more, one after the other.

    Shapes: points (dim,); condition (condition_dim,).

    Raises:
        FlowError: a size is not a positive integer or out of range, the base has another dim, or the kind or
            nonlinearity is unknown.

    Source: van den Berg et al. 2018 (arXiv 1803.05649), section 3.

    Example:
        >>> import flowvi
        >>> flow = flowvi.flows.sylvester(3, key=0, length=4, kind="householder")
        >>> flow.log_prob(flow.sample(1, (100,))).shape
        (100,)
    """
    sizes = {"dim": dim, "length": length, "rank": rank, "reflections": reflections}
    check_positive(**sizes, width=width, depth=depth, condition_dim=condition_dim)
    count = {"orthogonal": None, "householder": reflections, "triangular": 0}
    if kind not in count:
        raise FlowError(f"No Sylvester flow is of kind {kind!r}. Choose one of {list(count)}.")
    columns = min(dim, _RANK) if rank is None else rank

    def layer(number: int, seed: int) -> Chain:
        order = np.arange(dim)
        if kind == "triangular":
            order = np.roll(order, -number * columns)
            order[:columns] = order[:columns][:: (-1) ** number]
        sylvester = Sylvester(dim, columns, key=seed, reflections=count[kind], nonlinearity=nonlinearity)
        return Chain([Permutation(order), sylvester, Permutation(np.argsort(order))])

    of_network, *seeds = host_generator(key).integers(2**63, size=length + 1).tolist()
    bijection = Scan.stack([layer(number, seed) for number, seed in enumerate(seeds)])
    if condition_dim is not None:
        bijection = Amortized(bijection, condition_dim, key=of_network, width=width, depth=depth)
    return Flow(base or Normal(dim), bijection)
