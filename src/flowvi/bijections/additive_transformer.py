"""Shift per coordinate, with parameters from a conditioner."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from flowvi.bijections.batch_last import unstacked
from flowvi.bijections.transformer import Transformer


class AdditiveTransformer(Transformer):
    """Shift of each coordinate, which leaves volumes as they are.

        y = x + t,    log dy/dx = 0,    parameters (t,)

    Cost: dim in both directions. Shapes: x, y (dim,), parameters (1, dim).

    Source: Dinh et al. 2014 (arXiv 1410.8516), equation 9.

    Example:
        >>> import jax.numpy as jnp
        >>> from flowvi.bijections import AdditiveTransformer
        >>> AdditiveTransformer().forward_and_log_det(jnp.array([3.0]), jnp.array([[1.0]]))[0].tolist()
        [4.0]
    """

    parameters_per_dim: int = eqx.field(default=1, init=False, static=True)

    def forward_and_log_det(
        self, x: Float[Array, " dim"], parameters: Float[Array, "parameters dim"]
    ) -> tuple[Float[Array, " dim"], Float[Array, " dim"]]:
        (shift,) = unstacked(parameters)
        return x + shift, jnp.zeros_like(x)

    def inverse_and_log_det(
        self, y: Float[Array, " dim"], parameters: Float[Array, "parameters dim"]
    ) -> tuple[Float[Array, " dim"], Float[Array, " dim"]]:
        (shift,) = unstacked(parameters)
        return y - shift, jnp.zeros_like(y)
