"""Affine coupling flows: cheap in both directions, the default for variational inference."""

from jaxtyping import PRNGKeyArray

from flowvi.bijections import AffineTransformer
from flowvi.flows.arguments import check_positive
from flowvi.flows.couplings import couplings
from flowvi.flows.distribution import Distribution
from flowvi.flows.flow import Flow
from flowvi.flows.normal import Normal
from flowvi.precision import double_precision


@double_precision
def real_nvp(
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
    """Affine couplings of random halves, then a trainable location and scale.

        y_i = t_i + exp(c tanh(s_i / c)) x_i for one half of the i, (t, s) = MLP(the other x, condition)

    Starts as the identity on the base (the standard normal, unless given). A coordinate is scaled in at
    least half of the layers, so with clamp c its log scale may go layers * c / 2 from that of the last layer.
    With dim = 1 there is nothing to condition on, and the flow is an affine map of the base. Cost: a network
    per layer in both directions.

    Shapes: points (dim,); condition (condition_dim,).

    Raises:
        FlowError: a size is not a positive integer, or the base has another dim.

    Source: Dinh et al. 2016 (arXiv 1605.08803), section 3.

    Example:
        >>> import flowvi
        >>> flow = flowvi.flows.real_nvp(3, key=0)
        >>> flow.log_prob(flow.sample(1, (100,))).shape
        (100,)
    """
    check_positive(dim=dim, layers=layers, width=width, depth=depth, condition_dim=condition_dim)
    # the type checker takes the abstract attribute of the base class for a field
    transformer = AffineTransformer(clamp=clamp)  # pyright: ignore[reportCallIssue]
    bijection = couplings(key, transformer, dim, layers, width, depth, condition_dim)
    return Flow(base or Normal(dim), bijection)
