"""Shift and scale per coordinate, with parameters from a conditioner."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from flowvi.bijections.batch_last import unstacked
from flowvi.bijections.log_scale import soft_clamp
from flowvi.bijections.transformer import Transformer


class AffineTransformer(Transformer):
    """Shift and softly clamped scale of each coordinate.

        y = t + exp(c tanh(s / c)) x,    log dy/dx = c tanh(s / c),    parameters (t, s)

    The clamp c belongs to the depth: a coordinate that is scaled in K layers has a log scale within K c.
    Cost: dim in both directions. Shapes: x, y (dim,), parameters (2, dim).

    Source: RealNVP, equation 5.

    Example:
        >>> import jax.numpy as jnp
        >>> from flowvi.bijections import AffineTransformer
        >>> shift, log_scale = [1.0], [0.0]
        >>> AffineTransformer(2.0).forward_and_log_det(
        ...     jnp.array([3.0]), jnp.array([shift, log_scale])
        ... )[0].tolist()
        [4.0]
    """

    clamp: float = eqx.field(default=2.0, static=True)

    @property
    def parameters_per_dim(self) -> int:
        return 2

    def forward_and_log_det(
        self, x: Float[Array, " dim"], parameters: Float[Array, "parameters dim"]
    ) -> tuple[Float[Array, " dim"], Float[Array, " dim"]]:
        shift, log_scale = self._shift_and_log_scale(parameters)
        return shift + jnp.exp(log_scale) * x, log_scale

    def inverse_and_log_det(
        self, y: Float[Array, " dim"], parameters: Float[Array, "parameters dim"]
    ) -> tuple[Float[Array, " dim"], Float[Array, " dim"]]:
        shift, log_scale = self._shift_and_log_scale(parameters)
        return (y - shift) * jnp.exp(-log_scale), -log_scale

    def _shift_and_log_scale(self, parameters):
        shift, free = unstacked(parameters)
        return shift, soft_clamp(free, self.clamp)
