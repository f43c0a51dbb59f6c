"""Glow on vectors: scale, mix all coordinates by a matrix, then couple."""

import numpy as np
from jaxtyping import PRNGKeyArray

from flowvi.bijections import MLP, AffineTransformer, Chain, Coupling, LocationScale, LULinear, Scan
from flowvi.bijections.host_random import host_generator
from flowvi.bijections.lu import random_orthogonal
from flowvi.flows.arguments import check_positive
from flowvi.flows.distribution import Distribution
from flowvi.flows.flow import Flow
from flowvi.flows.normal import Normal
from flowvi.precision import double_precision


@double_precision
def glow(
    dim: int,
    *,
    key: PRNGKeyArray | int,
    layers: int = 8,
    width: int = 32,
    depth: int = 2,
    clamp: float = 2.0,
    condition_dim: int | None = None,
    base: Distribution | None = None,
) -> Flow:
    """Location and scale (actnorm), an invertible matrix, and an affine coupling, `layers` times.

        x -> m + s x -> P L U x -> coupling;    after the last layer one more matrix and location and scale

    The matrices start as random rotations, of which the last one undoes all others, so that the whole starts
    as the identity on the base (the standard normal, unless given). Actnorm starts from 0 and 1, as data that
    are standardised would have it. Cost: a network and dim^2 per layer in both directions.

    Shapes: points (dim,); condition (condition_dim,).

    Raises:
        FlowError: a size is not a positive integer, or the base has another dim.

    Source: Kingma & Dhariwal 2018 (arXiv 1807.03039), section 3.

    Example:
        >>> import flowvi
        >>> flow = flowvi.flows.glow(3, key=0)
        >>> flow.log_prob(flow.sample(1, (100,))).shape
        (100,)
    """
    check_positive(dim=dim, layers=layers, width=width, depth=depth, condition_dim=condition_dim)
    # the type checker takes the abstract attribute of the base class for a field
    transformer = AffineTransformer(clamp=clamp)  # pyright: ignore[reportCallIssue]
    moved = (dim + 1) // 2
    inputs, outputs = dim - moved + (condition_dim or 0), 2 * moved
    rng = host_generator(key)

    def actnorm() -> LocationScale:
        return LocationScale(np.zeros(dim), np.ones(dim))

    stacked, rotation = [], np.eye(dim)
    for seed in rng.integers(2**63, size=layers).tolist():
        mixing = random_orthogonal(rng, dim)
        rotation = mixing @ rotation
        conditioner = MLP(inputs, outputs, key=seed, width=width, depth=depth)
        coupling = Coupling(dim, moved, conditioner, transformer, condition_dim)
        stacked.append(Chain([actnorm(), LULinear(mixing), coupling]))
    return Flow(base or Normal(dim), Chain([Scan.stack(stacked), LULinear(rotation.T), actnorm()]))
