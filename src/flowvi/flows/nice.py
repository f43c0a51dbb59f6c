"""NICE: couplings that only shift, so that volume changes in the last layer alone."""

from jaxtyping import PRNGKeyArray

from flowvi.bijections import AdditiveTransformer
from flowvi.flows.arguments import check_positive
from flowvi.flows.couplings import couplings
from flowvi.flows.distribution import Distribution
from flowvi.flows.flow import Flow
from flowvi.flows.normal import Normal
from flowvi.precision import double_precision


@double_precision
def nice(
    dim: int,
    *,
    key: PRNGKeyArray | int,
    layers: int = 8,
    width: int = 32,
    depth: int = 2,
    condition_dim: int | None = None,
    base: Distribution | None = None,
) -> Flow:
    """Additive couplings of random halves, then a trainable location and scale.

        y_i = x_i + t_i for one half of the i, t = MLP(the other x, condition)

    Starts as the identity on the base (the standard normal, unless given). Cost: a network per layer in both
    directions. With dim = 1 the flow is an affine map of the base.

    Shapes: points (dim,); condition (condition_dim,).

    Raises:
        FlowError: a size is not a positive integer, or the base has another dim.

    Source: Dinh et al. 2014 (arXiv 1410.8516), section 3.

    Example:
        >>> import flowvi
        >>> flow = flowvi.flows.nice(3, key=0)
        >>> flow.log_prob(flow.sample(1, (100,))).shape
        (100,)
    """
    check_positive(dim=dim, layers=layers, width=width, depth=depth, condition_dim=condition_dim)
    bijection = couplings(key, AdditiveTransformer(), dim, layers, width, depth, condition_dim)
    return Flow(base or Normal(dim), bijection)
