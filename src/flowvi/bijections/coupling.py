"""Some coordinates moved by a map whose parameters come from the others."""

from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from flowvi.bijections.base import Bijection
from flowvi.bijections.batch_last import batch_last
from flowvi.bijections.conditioning import conditioned_parameters
from flowvi.bijections.transformer import Transformer
from flowvi.errors import FlowError


class Coupling(Bijection):
    """Transform the first `moved` coordinates, each with parameters computed from the others.

        y_i = T(x_i; theta_i) for i < moved,  x_i elsewhere;    theta = conditioner(x_{>= moved}, condition)
        log |det dy/dx| = sum over i < moved of log dT/dx_i

    Which coordinates come first is for a `Permutation` before it; the two stack into a `Scan`. Zero
    parameters are the identity. With moved = dim the parameters are constants, or depend on the condition
    alone.
    Cost: the conditioner and `moved` times the transformer, in both directions. Shapes: x, y (dim,);
    conditioner (dim - moved [+ condition_dim],) to parameters_per_dim * moved values, those of the first
    parameter first.

    Source: RealNVP, equations 4 to 9.

    Raises:
        FlowError: `moved` is not within 1 .. dim, or the conditioner's output or the condition has the wrong
            size.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from flowvi.bijections import MLP, AffineTransformer, Coupling
        >>> layer = Coupling(3, 2, MLP(1, 4, key=jax.random.key(0)), AffineTransformer(2.0))
        >>> layer.forward_and_log_det(jnp.array([1.0, 2.0, 3.0]))[0].tolist()
        [1.0, 2.0, 3.0]
    """

    conditioner: Callable[[Array], Array]
    transformer: Transformer
    moved: int = eqx.field(static=True)
    shape: tuple[int, ...] = eqx.field(static=True)
    condition_dim: int | None = eqx.field(static=True)

    def __init__(
        self,
        dim: int,
        moved: int,
        conditioner: Callable[[Array], Array],
        transformer: Transformer,
        condition_dim: int | None = None,
    ):
        if not 1 <= moved <= dim:
            raise FlowError(
                f"Coupling: moved={moved} of dim={dim} coordinates. Move at least one and at most all of "
                "them; half is usual."
            )
        self.conditioner = conditioner
        self.transformer = transformer
        self.moved = moved
        self.shape = (dim,)
        self.condition_dim = condition_dim

    @property
    def out_shape(self) -> tuple[int, ...]:
        return self.shape

    def forward_and_log_det(
        self, x: Float[Array, " dim"], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, " dim"], Float[Array, ""]]:
        x = batch_last(x)
        moved, held = x[: self.moved], x[self.moved :]
        y, log_det = self.transformer.forward_and_log_det(moved, self.parameters(held, condition))
        return jnp.concatenate([y, held]), jnp.sum(log_det)

    def inverse_and_log_det(
        self, y: Float[Array, " dim"], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, " dim"], Float[Array, ""]]:
        y = batch_last(y)
        moved, held = y[: self.moved], y[self.moved :]
        x, log_det = self.transformer.inverse_and_log_det(moved, self.parameters(held, condition))
        return jnp.concatenate([x, held]), jnp.sum(log_det)

    def parameters(
        self, held: Float[Array, " held"], condition: Float[Array, " condition"] | None
    ) -> Float[Array, "parameters moved"]:
        """The transformer's parameters, a column for each coordinate that moves."""
        return conditioned_parameters(
            self.conditioner,
            held,
            condition,
            self.condition_dim,
            (self.transformer.parameters_per_dim, self.moved),
        )
