"""Unconstrained monotonic flows: couplings by integrals of positive networks."""

from jaxtyping import PRNGKeyArray

from flowvi.bijections import MonotonicNetwork
from flowvi.flows.arguments import check_positive
from flowvi.flows.couplings import couplings
from flowvi.flows.distribution import Distribution
from flowvi.flows.flow import Flow
from flowvi.flows.normal import Normal
from flowvi.precision import double_precision


@double_precision
def unconstrained_monotonic(
    dim: int,
    *,
    key: PRNGKeyArray | int,
    layers: int = 4,
    features: int = 8,
    bound: float = 5.0,
    width: int = 32,
    depth: int = 2,
    condition_dim: int | None = None,
    base: Distribution | None = None,
) -> Flow:
    """Monotonic network couplings of random halves, then a trainable location and scale.

        y_i = t_i + integral from 0 to x_i of exp(z(u; theta_i)) du for one half of the i
        (t, theta) = MLP(the other x, condition)

    Starts as the identity on the base (the standard normal, unless given). Smooth everywhere within
    [-bound, bound], where a spline has knots; slopes beyond are constant. Both directions take one pass of
    the networks per layer, with 65 evaluations of a small network per coordinate in draws, and a scalar root
    of as many per step in `log_prob` of other points.

    Shapes: points (dim,); condition (condition_dim,).

    Raises:
        FlowError: a size is not a positive integer, the base has another dim, or `bound` is out of range.

    Source: Wehenkel & Louppe 2019 (arXiv 1908.05164), section 3; couplings as in RealNVP, where that paper
    has autoregressive layers.

    Example:
        >>> import flowvi
        >>> flow = flowvi.flows.unconstrained_monotonic(2, key=0, layers=2)
        >>> flow.log_prob(flow.sample(1, (100,))).shape
        (100,)
    """
    check_positive(
        dim=dim, layers=layers, features=features, width=width, depth=depth, condition_dim=condition_dim
    )
    # the type checker takes the abstract attribute of the base class for a field
    transformer = MonotonicNetwork(features=features, bound=bound)  # pyright: ignore[reportCallIssue]
    bijection = couplings(key, transformer, dim, layers, width, depth, condition_dim)
    return Flow(base or Normal(dim), bijection)
