"""Residual maps: a point and a little more, by a network that cannot fold space."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from flowvi.bijections.conditioning import conditioned_parameters
from flowvi.bijections.contraction_root import contraction_root
from flowvi.bijections.estimated import HasEstimatedLogDet
from flowvi.bijections.lipschitz import LipschitzMLP
from flowvi.bijections.mlp import MLP
from flowvi.bijections.russian_roulette import estimated_log_det


class Residual(HasEstimatedLogDet):
    """Add a network whose slope stays below one.

        y = x + g(x, condition),    |g(x) - g(x')| <= contraction |x - x'|
        log |det dy/dx| = log det(I + dg/dx)

    which makes the map invertible for every value of the parameters. The inverse is the limit of
    x <- y - g(x), sped up by Newton steps where dim is small, with implicit gradients. The log-det is exact,
    from the whole Jacobian; training may ask for an estimate instead. A condition shifts the first layer of g
    and its result, by another network. Starts as the identity.

    Cost: dim derivatives of g and dim^3 in the forward direction (some 13 products with the Jacobian for the
    estimate); in the inverse the same besides some 5 Newton steps, or with large dim at most
    log(eps) / log(contraction) evaluations. Shapes: x, y (dim,).

    Source: Behrmann et al. 2019 (arXiv 1811.00995), section 2; ResFlow, section 3.

    Raises:
        FlowError: `contraction` is not between 0 and 1, or the condition has the wrong size.

    Example:
        >>> import jax.numpy as jnp
        >>> from flowvi.bijections import Residual
        >>> layer = Residual(2, key=0)
        >>> layer.inverse_and_log_det(jnp.array([1.0, 2.0]))[0].round(4).tolist()
        [1.0, 2.0]
    """

    network: LipschitzMLP
    of_condition: MLP | None
    shape: tuple[int, ...] = eqx.field(static=True)
    condition_dim: int | None = eqx.field(static=True)

    def __init__(
        self,
        dim: int,
        *,
        key: PRNGKeyArray | int,
        width: int = 32,
        depth: int = 2,
        contraction: float = 0.9,
        condition_dim: int | None = None,
    ):
        self.network = LipschitzMLP(dim, dim, key=key, width=width, depth=depth, contraction=contraction)
        self.of_condition = (
            None
            if condition_dim is None
            else MLP(condition_dim, width + dim, key=key, width=width, depth=depth)
        )
        self.shape = (dim,)
        self.condition_dim = condition_dim

    @property
    def out_shape(self) -> tuple[int, ...]:
        return self.shape

    def forward_and_log_det(
        self, x: Float[Array, " dim"], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, " dim"], Float[Array, ""]]:
        g = self._g(x, condition)
        return x + g(x), _log_det(g, x)

    def inverse_and_log_det(
        self, y: Float[Array, " dim"], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, " dim"], Float[Array, ""]]:
        g = self._g(y, condition)
        x = contraction_root(g, y, self.network.contraction)
        return x, -_log_det(g, x)

    def forward_and_estimated_log_det(
        self, x: Float[Array, " dim"], condition: Float[Array, " condition"] | None, key: PRNGKeyArray
    ) -> tuple[Float[Array, " dim"], Float[Array, ""]]:
        g = self._g(x, condition)
        return x + g(x), estimated_log_det(g, x, key, contraction=self.network.contraction)

    def inverse_and_estimated_log_det(
        self, y: Float[Array, " dim"], condition: Float[Array, " condition"] | None, key: PRNGKeyArray
    ) -> tuple[Float[Array, " dim"], Float[Array, ""]]:
        g = self._g(y, condition)
        x = contraction_root(g, y, self.network.contraction)
        return x, -estimated_log_det(g, x, key, contraction=self.network.contraction)

    def _g(self, like: Array, condition: Array | None) -> Callable[[Array], Array]:
        weights = self.network.bounded_weights()
        if self.of_condition is None:
            return lambda x: self.network.apply(weights, x)
        outputs = self.of_condition.biases[-1].size
        (shifts,) = conditioned_parameters(
            self.of_condition, like[:0], condition, self.condition_dim, (1, outputs)
        )
        inner, outer = shifts[: outputs - like.size], shifts[outputs - like.size :]
        return lambda x: self.network.apply(weights, x, inner) + outer


def _log_det(g: Callable[[Array], Array], x: Float[Array, " dim"]) -> Float[Array, ""]:
    return jnp.linalg.slogdet(jnp.eye(x.size, dtype=x.dtype) + jax.jacfwd(g)(x))[1]
