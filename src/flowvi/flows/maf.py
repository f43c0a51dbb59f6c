"""Masked autoregressive flows: each coordinate depends on all before it, in one pass to the density."""

import numpy as np
from jaxtyping import PRNGKeyArray

from flowvi.bijections import AffineTransformer, Chain, Invert, LocationScale
from flowvi.flows.arguments import check_positive
from flowvi.flows.autoregressive import autoregressive_layers
from flowvi.flows.distribution import Distribution
from flowvi.flows.flow import Flow
from flowvi.flows.normal import Normal
from flowvi.precision import double_precision


@double_precision
def maf(
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
    """Inverses of affine autoregressive layers, then a trainable location and scale.

        x_i = t_i + exp(c tanh(s_i / c)) y_i, (t_i, s_i) = MaskedMLP(y_1 .. y_(i-1), condition), for x -> y

    Starts as the identity on the base (the standard normal, unless given). `log_prob` takes one pass; draws
    take dim passes per layer, since their coordinates must be found one after the other.

    Shapes: points (dim,); condition (condition_dim,).

    Raises:
        FlowError: a size is not a positive integer, or the base has another dim.

    Source: Papamakarios et al. 2017 (arXiv 1705.07057), equations 3 to 5.

    Example:
        >>> import flowvi
        >>> flowvi.flows.maf(3, key=0).log_prob([[0.0, 1.0, 2.0]]).shape
        (1,)
    """
    check_positive(dim=dim, layers=layers, width=width, depth=depth, condition_dim=condition_dim)
    # the type checker takes the abstract attribute of the base class for a field
    transformer = AffineTransformer(clamp=clamp)  # pyright: ignore[reportCallIssue]
    inverses = Invert(autoregressive_layers(key, transformer, dim, layers, width, depth, condition_dim))
    return Flow(base or Normal(dim), Chain([inverses, LocationScale(np.zeros(dim), np.ones(dim))]))
