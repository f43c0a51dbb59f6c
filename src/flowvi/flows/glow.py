"""Glow on vectors: scale, mix all coordinates by a matrix, then couple."""

import numpy as np
from jaxtyping import PRNGKeyArray

from flowvi.bijections import MLP, AffineTransformer, Chain, Coupling, LocationScale, LULinear, Scan
from flowvi.bijections.host_random import host_generator
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

        x -> m + s x -> P L U x -> coupling

    The matrices start as random rotations and the rest as the identity, so that a standard normal base
    (unless another is given) starts as itself. Actnorm's start from data is what standardised data make
    of it. Cost: a network and dim^2 per layer in both directions.

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

    def layer(mix: int, network: int) -> Chain:
        conditioner = MLP(inputs, outputs, key=network, width=width, depth=depth)
        return Chain(
            [
                LocationScale(np.zeros(dim), np.ones(dim)),
                LULinear.rotation(dim, key=mix),
                Coupling(dim, moved, conditioner, transformer, condition_dim),
            ]
        )

    seeds = host_generator(key).integers(2**63, size=(layers, 2))
    return Flow(base or Normal(dim), Scan.stack([layer(*pair) for pair in seeds.tolist()]))
