"""Shift and scale per coordinate, with parameters from a conditioner."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from flowvi.bijections.log_scale import soft_clamp
from flowvi.bijections.transformer import Transformer


class AffineTransformer(Transformer):
    """Shift and softly clamped scale of each coordinate.

        y = t + exp(c tanh(s / c)) x,    log dy/dx = c tanh(s / c),    parameters (t, s)

    The clamp c belongs to the depth: a coordinate that is scaled in K layers has a log scale within K c.
    Shapes: x, y (dim,), parameters (dim, 2).
    Source: RealNVP, equation 5.

    Example:
        >>> import jax.numpy as jnp
        >>> from flowvi.bijections import AffineTransformer
        >>> AffineTransformer(2.0).forward_and_log_det(jnp.array([3.0]), jnp.array([[1.0, 0.0]]))[0].tolist()
        [4.0]
    """

    clamp: float = eqx.field(default=2.0, static=True)

    @property
    def parameters_per_dim(self) -> int:
        return 2

    def forward_and_log_det(
        self, x: Float[Array, " dim"], parameters: Float[Array, "dim parameters"]
    ) -> tuple[Float[Array, " dim"], Float[Array, " dim"]]:
        log_scale = soft_clamp(parameters[:, 1], self.clamp)
        return parameters[:, 0] + jnp.exp(log_scale) * x, log_scale

    def inverse_and_log_det(
        self, y: Float[Array, " dim"], parameters: Float[Array, "dim parameters"]
    ) -> tuple[Float[Array, " dim"], Float[Array, " dim"]]:
        log_scale = soft_clamp(parameters[:, 1], self.clamp)
        return (y - parameters[:, 0]) * jnp.exp(-log_scale), -log_scale
