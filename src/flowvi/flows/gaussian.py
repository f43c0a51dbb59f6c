"""Gaussians as flows: an affine map of the standard normal."""

from typing import Literal

import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from flowvi.bijections import Amortized, Bijection, LocationScale, LowRankAffine, TriangularAffine
from flowvi.errors import FlowError
from flowvi.flows.arguments import as_key, check_positive
from flowvi.flows.distribution import Distribution
from flowvi.flows.flow import Flow
from flowvi.flows.normal import Normal
from flowvi.precision import double_precision


@double_precision
def gaussian(
    dim: int,
    *,
    key: PRNGKeyArray | int = 0,
    kind: Literal["full", "diagonal", "low_rank"] = "full",
    rank: int = 5,
    width: int = 32,
    depth: int = 2,
    condition_dim: int | None = None,
    base: Distribution | None = None,
) -> Flow:
    """A Gaussian: mean-field, full-rank, or diagonal plus low rank.

        diagonal: z = m + s * x,    full: z = m + L x,    low_rank: z = m + s * (x + U U^T x), U (dim, rank)

    Starts as the standard normal, but for "low_rank", where U starts at random numbers of size 0.01, from
    `key`: its gradient vanishes at zero. With another base, an affine family of that base. With a condition,
    a network (of `width` and `depth`) adds to every number of the map. Cost: dim ("diagonal"), dim^2 ("full")
    or dim rank^2 ("low_rank") in both directions.

    Shapes: points (dim,); condition (condition_dim,).

    Raises:
        FlowError: the kind is unknown, a size is not a positive integer, or the base has another dim.

    Source: Kucukelbir et al. 2017 (arXiv 1603.00788), section 2.4; low rank: Ong, Nott & Smith 2018
    (arXiv 1701.03208).

    Example:
        >>> import flowvi
        >>> flowvi.flows.gaussian(3, kind="diagonal").log_prob([0.0, 0.0, 0.0]).round(4).item()
        -2.7568
    """
    check_positive(dim=dim, rank=rank, width=width, depth=depth, condition_dim=condition_dim)
    zeros, ones = np.zeros(dim), np.ones(dim)
    bijection: Bijection
    if kind == "full":
        bijection = TriangularAffine(zeros, np.eye(dim))
    elif kind == "diagonal":
        bijection = LocationScale(zeros, ones)
    elif kind == "low_rank":
        factor = 0.01 * jax.random.normal(as_key(key), (dim, min(rank, dim)))
        bijection = LowRankAffine(zeros, ones, factor)
    else:
        raise FlowError(f'A Gaussian of kind {kind!r} is not known. Choose "full", "diagonal" or "low_rank".')
    if condition_dim is not None:
        bijection = Amortized(bijection, condition_dim, key=key, width=width, depth=depth)
    return Flow(base or Normal(dim), bijection)
