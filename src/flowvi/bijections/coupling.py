"""Some coordinates moved by a map whose parameters come from the others."""

from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from flowvi.bijections.base import Bijection
from flowvi.bijections.conditioning import conditioned_parameters
from flowvi.bijections.leaf import leaf
from flowvi.bijections.transformer import Transformer


class Coupling(Bijection):
    """Transform the coordinates in the mask, each with parameters computed from those outside it.

        y_i = T(x_i; theta_i) where mask_i,  x_i elsewhere;    theta = conditioner((1 - mask) x, condition)
        log |det dy/dx| = sum over the mask of log dT/dx_i

    The mask is an array, so layers with alternating masks have equal structure and can be scanned. Zero
    parameters are the identity. With dim = 1 the parameters are constants, or depend on the condition alone.
    Shapes: x, y, mask (dim,); conditioner (dim [+ condition_dim],) to dim * parameters_per_dim values.
    Source: RealNVP, equations 4 to 9.

    Raises:
        FlowError: the conditioner's output or the condition has the wrong size.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from flowvi.bijections import MLP, AffineTransformer, Coupling, alternating_mask
        >>> layer = Coupling(alternating_mask(3, 0), MLP(3, 6, key=jax.random.key(0)), AffineTransformer(2.0))
        >>> layer.forward_and_log_det(jnp.array([1.0, 2.0, 3.0]))[0].tolist()
        [1.0, 2.0, 3.0]
    """

    mask: Bool[Array, " dim"]
    conditioner: Callable[[Array], Array]
    transformer: Transformer
    shape: tuple[int, ...] = eqx.field(static=True)
    condition_dim: int | None = eqx.field(static=True)

    def __init__(
        self,
        mask: Bool[Array | np.ndarray, " dim"],
        conditioner: Callable[[Array], Array],
        transformer: Transformer,
        condition_dim: int | None = None,
    ):
        self.mask = leaf(mask)
        self.conditioner = conditioner
        self.transformer = transformer
        self.shape = self.mask.shape
        self.condition_dim = condition_dim

    @property
    def out_shape(self) -> tuple[int, ...]:
        return self.shape

    def forward_and_log_det(
        self, x: Float[Array, " dim"], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, " dim"], Float[Array, ""]]:
        y, log_det = self.transformer.forward_and_log_det(x, self.parameters(x, condition))
        return jnp.where(self.mask, y, x), jnp.sum(jnp.where(self.mask, log_det, 0))

    def inverse_and_log_det(
        self, y: Float[Array, " dim"], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, " dim"], Float[Array, ""]]:
        x, log_det = self.transformer.inverse_and_log_det(y, self.parameters(y, condition))
        return jnp.where(self.mask, x, y), jnp.sum(jnp.where(self.mask, log_det, 0))

    def parameters(
        self, x: Float[Array, " dim"], condition: Float[Array, " condition"] | None
    ) -> Float[Array, "dim parameters"]:
        """The transformer's parameters: the same from x and from y, which agree outside the mask."""
        parameters = conditioned_parameters(
            self.conditioner,
            jnp.where(self.mask, 0, x),
            condition,
            self.condition_dim,
            self.transformer.parameters_per_dim,
        )
        # the identity outside the mask keeps the gradient of the branch not selected below finite
        return jnp.where(self.mask[:, None], parameters, 0)


def alternating_mask(dim: int, layer: int) -> Bool[Array, " dim"]:
    """Every second coordinate: from the first in even layers, the second in odd ones; always the only one."""
    return leaf((np.arange(dim) % 2 == layer % 2) | (dim == 1))
