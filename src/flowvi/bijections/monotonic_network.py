"""Unconstrained monotonic networks: the integral of a positive function."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from flowvi.bijections.host_random import host_generator
from flowvi.bijections.increasing_root import increasing_root
from flowvi.bijections.leaf import leaf
from flowvi.bijections.transformer import Transformer
from flowvi.errors import FlowError

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(48)
_AT_ZERO = float(np.log(np.expm1(1.0)))
"""softplus of it is one."""


class MonotonicNetwork(Transformer):
    """The integral of a positive function that a network gives, near the identity far out.

        y = x + integral from 0 to x of w(t) (f(t) - 1) dt,    f(t) = softplus(theta . phi(t) + log(e - 1))
        dy/dx = 1 + w(x) (f(x) - 1),    w(t) = (1 - (t / bound)^2)^2 within the bound, 0 outside

    phi is a network of one input that all coordinates share, theta the parameters: zero ones are the
    identity. f is free to take any positive value, so the map may have any slope within the bound. The
    integral is a Gauss-Legendre sum of 48 terms, the inverse a scalar root. Cost: 49 evaluations of phi
    per coordinate, in the inverse as many per step. Shapes: x, y (dim,), parameters (dim, features).

    Source: Wehenkel & Louppe 2019 (arXiv 1908.05164), section 3, with the parameters as weights of the
    last layer.

    Raises:
        FlowError: a size or the bound is not positive.

    Example:
        >>> import jax.numpy as jnp
        >>> from flowvi.bijections import MonotonicNetwork
        >>> transformer = MonotonicNetwork(key=0)
        >>> transformer.forward_and_log_det(jnp.array([3.0]), jnp.zeros((1, 8)))[0].tolist()
        [3.0]
    """

    weights: tuple[Float[Array, "into out_of"], ...]
    biases: tuple[Float[Array, " into"], ...]
    features: int = eqx.field(static=True)
    bound: float = eqx.field(static=True)

    def __init__(self, *, key: PRNGKeyArray | int, features: int = 8, width: int = 16, bound: float = 5.0):
        if features < 1 or width < 1 or not bound > 0:
            raise FlowError(
                f"MonotonicNetwork: features={features}, width={width}, bound={bound}. All must be positive; "
                "8, 16 and 5.0 are usual."
            )
        rng = host_generator(key)
        # kinks of the first layer are spread over the bound
        centres = np.linspace(-1, 1, width)
        self.weights = (
            leaf(3 * rng.choice([-1.0, 1.0], (width, 1))),
            leaf(rng.standard_normal((features, width)) / np.sqrt(width)),
        )
        self.biases = (leaf(3 * rng.permutation(centres)), leaf(np.zeros(features)))
        self.features = features
        self.bound = bound

    @property
    def parameters_per_dim(self) -> int:
        return self.features

    def forward_and_log_det(
        self, x: Float[Array, " dim"], parameters: Float[Array, "dim parameters"]
    ) -> tuple[Float[Array, " dim"], Float[Array, " dim"]]:
        return self._value(x, parameters), self._log_slope(x, parameters)

    def inverse_and_log_det(
        self, y: Float[Array, " dim"], parameters: Float[Array, "dim parameters"]
    ) -> tuple[Float[Array, " dim"], Float[Array, " dim"]]:
        x = increasing_root(lambda x: self._value(x, parameters), y, y - 1, y + 1)
        return x, -self._log_slope(x, parameters)

    def _value(self, x: Array, parameters: Array) -> Array:
        end = jnp.clip(x, -self.bound, self.bound)
        # the nodes are on (-1, 1)
        t = 0.5 * end[:, None] * jnp.asarray(_NODES + 1, x.dtype)
        excess = jax.vmap(self._excess, in_axes=(1, None), out_axes=1)(t, parameters)
        return x + 0.5 * end * (excess @ jnp.asarray(_WEIGHTS, x.dtype))

    def _log_slope(self, x: Array, parameters: Array) -> Array:
        return jnp.log1p(self._excess(x, parameters))

    def _excess(self, t: Float[Array, " dim"], parameters: Float[Array, "dim features"]) -> Array:
        """How much the slope at t is above one."""
        inside = jnp.abs(t) < self.bound
        part = jnp.where(inside, t, 0) / self.bound
        (into, out), (shift, offset) = self.weights, self.biases
        hidden = jnp.tanh(part[:, None] * into[:, 0].astype(t.dtype) + shift.astype(t.dtype))
        phi = hidden @ out.T.astype(t.dtype) + offset.astype(t.dtype)
        f = jax.nn.softplus(jnp.sum(parameters * phi, axis=1) + _AT_ZERO)
        return jnp.where(inside, (1 - part**2) ** 2 * (f - 1), 0)
