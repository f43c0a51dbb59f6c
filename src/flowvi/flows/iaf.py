"""Inverse autoregressive flows: every coordinate depends on all before it, in one pass from base to draw."""

import numpy as np
from jaxtyping import PRNGKeyArray

from flowvi.bijections import (
    AffineTransformer,
    Chain,
    LocationScale,
    MaskedAutoregressive,
    MaskedMLP,
    Permutation,
    Scan,
    Transformer,
)
from flowvi.bijections.host_random import host_generator
from flowvi.flows.arguments import check_positive
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
    bijection = _bijection(key, transformer, dim, layers, width, depth, condition_dim)
    return Flow(base or Normal(dim), bijection)


def _bijection(
    key: PRNGKeyArray | int,
    transformer: Transformer,
    dim: int,
    layers: int,
    width: int,
    depth: int,
    condition_dim: int | None,
) -> Chain:
    seeds = host_generator(key).integers(2**63, size=layers)
    orders = np.tile(np.arange(dim)[::-1], (layers, 1))
    # the last layer restores the order, so that the whole starts as the identity
    orders[-1] = orders[-1][:: (-1) ** layers]

    def layer(number: int) -> Chain:
        conditioner = MaskedMLP(
            dim,
            transformer.parameters_per_dim,
            key=int(seeds[number]),
            condition_dim=condition_dim,
            width=width,
            depth=depth,
        )
        autoregressive = MaskedAutoregressive(conditioner, transformer, dim, condition_dim)
        return Chain([autoregressive, Permutation(orders[number])])

    stacked = Scan.stack([layer(number) for number in range(layers)])
    return Chain([stacked, LocationScale(np.zeros(dim), np.ones(dim))])
