"""Continuous flows: points carried along by a velocity field."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from flowvi.bijections.conditioning import conditioned_parameters
from flowvi.bijections.estimated import HasEstimatedLogDet
from flowvi.bijections.hutchinson import rademacher, value_and_trace_estimate
from flowvi.bijections.mlp import MLP
from flowvi.bijections.runge_kutta import solve
from flowvi.bijections.velocity import FrozenVelocity, Velocity
from flowvi.errors import FlowError


class Continuous(HasEstimatedLogDet):
    """The end point of a path that starts at x and has the velocity of a network.

        dz/dt = f(t, z, condition),    z(0) = x,  y = z(1),    log |det dy/dx| = integral of tr df/dz dt

    f is a `Velocity`, whose slope is at most `slope` for any values of its parameters, so that `steps` equal
    steps of a Runge-Kutta method of order 8 solve the equation in both directions and the density is
    deterministic. Both the path and its log-det are exact to that solver's error. Starts as the identity.

    Cost: 13 * steps evaluations of the network, in either direction; the exact trace doubles it at most. The
    estimate of the trace costs as much, and is there to be compared with. Shapes: x, y (dim,).

    Source: Chen et al. 2018 (arXiv 1806.07366), theorem 1; FFJORD, equations 4 and 8.

    Raises:
        FlowError: `slope` is not positive, `steps` is not a positive integer, or the condition has the wrong
            size.
        DependencyError: diffrax is missing.

    Example:
        >>> import jax.numpy as jnp
        >>> from flowvi.bijections import Continuous
        >>> Continuous(2, key=0).inverse_and_log_det(jnp.array([1.0, 2.0]))[0].tolist()
        [1.0, 2.0]
    """

    velocity: Velocity
    shifts: MLP | None
    steps: int = eqx.field(static=True)
    shape: tuple[int, ...] = eqx.field(static=True)
    condition_dim: int | None = eqx.field(static=True)

    def __init__(
        self,
        dim: int,
        *,
        key: PRNGKeyArray | int,
        condition_dim: int | None = None,
        width: int = 32,
        slope: float = 8.0,
        steps: int = 16,
    ):
        # written so that NaN fails as well
        if not (slope > 0 and steps >= 1):
            raise FlowError(
                f"Continuous: slope={slope}, steps={steps}. Give a positive slope and at least one step; "
                "twice as many steps as slope keep the solver exact."
            )
        self.velocity = Velocity(dim, key=key, width=width, slope=slope)
        self.shifts = None if condition_dim is None else MLP(condition_dim, 2 * width, key=key, width=width)
        self.steps = steps
        self.shape = (dim,)
        self.condition_dim = condition_dim

    @property
    def out_shape(self) -> tuple[int, ...]:
        return self.shape

    def forward_and_log_det(
        self, x: Float[Array, " dim"], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, " dim"], Float[Array, ""]]:
        return self._follow(self._frozen(x, condition).with_divergence, x, backwards=False)

    def inverse_and_log_det(
        self, y: Float[Array, " dim"], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, " dim"], Float[Array, ""]]:
        return self._follow(self._frozen(y, condition).with_divergence, y, backwards=True)

    def forward_and_estimated_log_det(
        self, x: Float[Array, " dim"], condition: Float[Array, " condition"] | None, key: PRNGKeyArray
    ) -> tuple[Float[Array, " dim"], Float[Array, ""]]:
        return self._follow(_estimated(self._frozen(x, condition), x, key), x, backwards=False)

    def inverse_and_estimated_log_det(
        self, y: Float[Array, " dim"], condition: Float[Array, " condition"] | None, key: PRNGKeyArray
    ) -> tuple[Float[Array, " dim"], Float[Array, ""]]:
        return self._follow(_estimated(self._frozen(y, condition), y, key), y, backwards=True)

    def _frozen(self, x: Array, condition: Array | None) -> FrozenVelocity:
        if self.shifts is None:
            return self.velocity.frozen(x)
        shape = (2, self.velocity.between.shape[0])
        return self.velocity.frozen(
            x, conditioned_parameters(self.shifts, x[:0], condition, self.condition_dim, shape)
        )

    def _follow(self, velocity_and_trace, start: Array, *, backwards: bool) -> tuple[Array, Array]:
        """Along the path, with the integral of the trace as one coordinate more."""

        def of_both(t, point_and_log_det):
            velocity, trace = velocity_and_trace(t, point_and_log_det[:-1])
            return jnp.append(velocity, trace)

        end = solve(of_both, jnp.append(start, 0), self.steps, backwards=backwards)
        return end[:-1], end[-1]


def _estimated(velocity: FrozenVelocity, x: Array, key: PRNGKeyArray):
    """Velocity and estimated trace: one probe for the whole path, as the solver needs a smooth function."""
    probe = rademacher(key, x)
    return lambda t, z: value_and_trace_estimate(lambda z: velocity(t, z), z, probe)
