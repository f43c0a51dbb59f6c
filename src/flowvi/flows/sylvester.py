"""Sylvester flows: maps along several orthogonal directions at once."""

from typing import Literal

import numpy as np
from jaxtyping import PRNGKeyArray

from flowvi.bijections import Chain, Permutation, Scan, Sylvester
from flowvi.bijections.host_random import host_generator
from flowvi.bijections.nonlinearity import NonlinearityName
from flowvi.errors import FlowError
from flowvi.flows.arguments import check_positive
from flowvi.flows.distribution import Distribution
from flowvi.flows.flow import Flow
from flowvi.flows.normal import Normal
from flowvi.precision import double_precision


@double_precision
def sylvester(
    dim: int,
    *,
    key: PRNGKeyArray | int,
    length: int = 8,
    kind: Literal["orthogonal", "householder", "triangular"] = "orthogonal",
    rank: int | None = None,
    reflections: int = 4,
    nonlinearity: NonlinearityName = "tanh",
    condition_dim: int | None = None,
    width: int = 32,
    depth: int = 2,
    base: Distribution | None = None,
) -> Flow:
    """`length` Sylvester maps, one after the other.

        y = x + Q R h(S Q^T x + b)

    By `kind`, Q is any matrix with `rank` orthonormal columns (by default as many as there are
    dimensions, 16 at most), the product of a few Householder reflections, or the identity and the
    reversal of the coordinates in turn. Starts near the identity on the base (the standard normal, unless
    given). With a condition, networks add to all parameters. Cost: dim rank per map and draw; `log_prob`
    of other points takes rank roots per map, one after the other.

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
    check_positive(
        dim=dim,
        length=length,
        rank=rank,
        reflections=reflections,
        width=width,
        depth=depth,
        condition_dim=condition_dim,
    )
    shapes = {
        "orthogonal": (rank or min(dim, 16), None),
        "householder": (rank or dim, reflections),
        "triangular": (dim, 0),
    }
    if kind not in shapes:
        raise FlowError(f"No Sylvester flow is of kind {kind!r}. Choose one of {list(shapes)}.")
    columns, count = shapes[kind]
    seeds = host_generator(key).integers(2**63, size=length)
    # reversed before every map: an even number of times in all
    reverse = np.arange(dim)[::-1] if kind == "triangular" else np.arange(dim)
    layers = [
        Chain(
            [
                Permutation(reverse),
                Sylvester(
                    dim,
                    key=int(seed),
                    rank=columns,
                    reflections=count,
                    nonlinearity=nonlinearity,
                    condition_dim=condition_dim,
                    width=width,
                    depth=depth,
                ),
            ]
        )
        for seed in seeds
    ]
    return Flow(base or Normal(dim), Scan.stack(layers))
