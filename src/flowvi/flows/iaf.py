"""Inverse autoregressive flows: every coordinate depends on all before it, in one pass from base to draw."""

import numpy as np
from jaxtyping import PRNGKeyArray

from flowvi.bijections import AffineTransformer, Chain, LocationScale
from flowvi.flows.arguments import check_positive
from flowvi.flows.autoregressive import autoregressive_layers
from flowvi.flows.distribution import Distribution
from flowvi.flows.flow import Flow
from flowvi.flows.normal import Normal
from flowvi.precision import double_precision


@double_precision
def iaf(
    dim: int,
    *,
    key: PRNGKeyArray | int,
    layers: int = 4,
    width: int = 32,
    depth: int = 2,
    clamp: float = 2.0,
    condition_dim: int | None = None,
    base: Distribution | None = None,
) -> Flow:
    """Affine autoregressive layers in alternating order, then a trainable location and scale.

        y_i = t_i + exp(c tanh(s_i / c)) x_i, (t_i, s_i) = MaskedMLP(x_1 .. x_(i-1), condition)

    Starts as the identity on the base (the standard normal, unless given). Draws with their log densities
    take one pass; `log_prob` of other points takes dim passes per layer, since there the coordinates must be
    found one after the other. Every coordinate is scaled in every layer, so with clamp c its log scale stays
    within layers * c of that of the last layer.

    Shapes: points (dim,); condition (condition_dim,).

    Raises:
        FlowError: a size is not a positive integer, or the base has another dim.

    Source: Kingma et al. 2016 (arXiv 1606.04934), equations 10 and 11.

    Example:
        >>> import flowvi
        >>> z, log_prob = flowvi.flows.iaf(3, key=0).sample_and_log_prob(1, (100,))
        >>> z.shape, log_prob.shape
        ((100, 3), (100,))
    """
    check_positive(dim=dim, layers=layers, width=width, depth=depth, condition_dim=condition_dim)
    # the type checker takes the abstract attribute of the base class for a field
    transformer = AffineTransformer(clamp=clamp)  # pyright: ignore[reportCallIssue]
    layered = autoregressive_layers(key, transformer, dim, layers, width, depth, condition_dim)
    return Flow(base or Normal(dim), Chain([layered, LocationScale(np.zeros(dim), np.ones(dim))]))
