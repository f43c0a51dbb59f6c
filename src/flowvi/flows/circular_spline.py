"""Spline coupling flows of angles: densities on the torus."""

from jaxtyping import PRNGKeyArray

from flowvi.bijections import Chain, CircularSpline, PeriodicMLP, Wrap
from flowvi.flows.arguments import check_positive
from flowvi.flows.couplings import halves_in_turn
from flowvi.flows.distribution import Distribution
from flowvi.flows.flow import Flow
from flowvi.flows.uniform_torus import UniformTorus
from flowvi.precision import double_precision


@double_precision
def circular_spline(
    dim: int,
    *,
    key: PRNGKeyArray | int,
    layers: int = 6,
    bins: int = 8,
    width: int = 32,
    depth: int = 2,
    condition_dim: int | None = None,
    base: Distribution | None = None,
) -> Flow:
    """Circular spline couplings of random halves of dim angles: a density on the torus.

        y_i = S(x_i; theta_i) + a_i for one half of the i, (theta, a) = MLP(cos x, sin x of the others)

    Starts as the identity on the base (uniform on the torus, unless given; another must be periodic
    too). Draws lie in [-pi, pi); `log_prob` takes any angles, and is the same a turn further on. Both are
    cheap. With dim = 1 the splines have constant parameters, and still take any shape.

    Shapes: points (dim,), angles in radians; condition (condition_dim,).

    Raises:
        FlowError: a size is not a positive integer, `bins` is below 2, or the base has another dim or is none
            of angles.

    Source: Rezende et al. 2020 (arXiv 2002.02428), sections 2.2 and 2.3.

    Example:
        >>> import flowvi
        >>> flow = flowvi.flows.circular_spline(2, key=0)
        >>> flow.log_prob(flow.sample(1, (100,))).shape
        (100,)
    """
    check_positive(dim=dim, layers=layers, width=width, depth=depth, condition_dim=condition_dim)

    def conditioner(held: int, outputs: int, seed: int) -> PeriodicMLP:
        return PeriodicMLP(held, outputs, key=seed, condition_dim=condition_dim, width=width, depth=depth)

    # the type checker takes the abstract attribute of the base class for a field
    transformer = CircularSpline(bins=bins)  # pyright: ignore[reportCallIssue]
    layered = halves_in_turn(key, transformer, conditioner, dim, layers, condition_dim)
    return Flow(base or UniformTorus(dim), Chain([*layered, Wrap(dim)]))
