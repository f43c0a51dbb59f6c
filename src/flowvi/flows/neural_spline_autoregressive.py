"""Autoregressive spline flows: the most freedom per layer, with densities in one pass."""

import numpy as np
from jaxtyping import PRNGKeyArray

from flowvi.bijections import Chain, Invert, LocationScale, RationalQuadraticSpline
from flowvi.flows.arguments import check_positive
from flowvi.flows.autoregressive import autoregressive_layers
from flowvi.flows.distribution import Distribution
from flowvi.flows.flow import Flow
from flowvi.flows.normal import Normal
from flowvi.precision import double_precision


@double_precision
def neural_spline_autoregressive(
    dim: int,
    *,
    key: PRNGKeyArray | int,
    layers: int = 4,
    bins: int = 8,
    bound: float = 5.0,
    width: int = 32,
    depth: int = 2,
    condition_dim: int | None = None,
    base: Distribution | None = None,
) -> Flow:
    """Inverses of autoregressive rational-quadratic splines, then a trainable location and scale.

        x_i = spline(y_i; theta_i), theta_i = MaskedMLP(y_1 .. y_(i-1), condition), for x -> y

    Starts as the identity on the base (the standard normal, unless given). `log_prob` takes one pass; draws
    take dim passes per layer, since their coordinates must be found one after the other. The splines act
    within [-bound, bound] and leave the tails alone.

    Shapes: points (dim,); condition (condition_dim,).

    Raises:
        FlowError: a size is not a positive integer, the base has another dim, or `bins` or `bound` is out of
            range.

    Source: Durkan et al. 2019 (arXiv 1906.04032), section 4.2 (RQ-NSF (AR)).

    Example:
        >>> import flowvi
        >>> flowvi.flows.neural_spline_autoregressive(3, key=0).log_prob([[0.0, 1.0, 2.0]]).shape
        (1,)
    """
    check_positive(dim=dim, layers=layers, width=width, depth=depth, condition_dim=condition_dim)
    # the type checker takes the abstract attribute of the base class for a field
    transformer = RationalQuadraticSpline(bins=bins, bound=bound)  # pyright: ignore[reportCallIssue]
    inverses = Invert(autoregressive_layers(key, transformer, dim, layers, width, depth, condition_dim))
    return Flow(base or Normal(dim), Chain([inverses, LocationScale(np.zeros(dim), np.ones(dim))]))
