"""Each coordinate moved by a map whose parameters come from the ones before it."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from flowvi.bijections.base import Bijection
from flowvi.bijections.batch_last import batch_last
from flowvi.bijections.conditioning import conditioned_parameters
from flowvi.bijections.transformer import Transformer


class MaskedAutoregressive(Bijection):
    """Transform every coordinate with parameters computed from the coordinates before it.

        y_i = T(x_i; theta_i(x_1 .. x_(i-1), condition)),    log |det dy/dx| = sum_i log dT/dx_i

    It is the map of IAF, and `Invert` of it that of MAF. With dim = 1 the parameters are constants, or depend
    on the condition alone. Cost: one pass of the conditioner in the forward direction, dim passes in the
    inverse. Shapes: x, y (dim,); conditioner, usually a `MaskedMLP`, (dim [+ condition_dim],) to
    parameters_per_dim * dim values.

    Source: IAF, equations 10 and 11.

    Raises:
        FlowError: the conditioner's output or the condition has the wrong size.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from flowvi.bijections import AffineTransformer, MaskedAutoregressive, MaskedMLP
        >>> conditioner = MaskedMLP(3, 2, key=jax.random.key(0))
        >>> layer = MaskedAutoregressive(conditioner, AffineTransformer(2.0), 3)
        >>> layer.forward_and_log_det(jnp.array([1.0, 2.0, 3.0]))[0].tolist()
        [1.0, 2.0, 3.0]
    """

    conditioner: Callable[[Array], Array]
    transformer: Transformer
    shape: tuple[int, ...] = eqx.field(static=True)
    condition_dim: int | None = eqx.field(static=True)

    def __init__(
        self,
        conditioner: Callable[[Array], Array],
        transformer: Transformer,
        dim: int,
        condition_dim: int | None = None,
    ):
        self.conditioner = conditioner
        self.transformer = transformer
        self.shape = (dim,)
        self.condition_dim = condition_dim

    @property
    def out_shape(self) -> tuple[int, ...]:
        return self.shape

    def forward_and_log_det(
        self, x: Float[Array, " dim"], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, " dim"], Float[Array, ""]]:
        x = batch_last(x)
        y, log_det = self.transformer.forward_and_log_det(x, self._parameters(x, condition))
        return y, jnp.sum(log_det)

    def inverse_and_log_det(
        self, y: Float[Array, " dim"], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, " dim"], Float[Array, ""]]:
        def step(carry, i):
            x, total = carry
            # the parameters of coordinate i are right once those before it are
            found, log_det = self.transformer.inverse_and_log_det(y, self._parameters(x, condition))
            return (x.at[i].set(found[i]), total + log_det[i]), None

        start = (jnp.zeros_like(y), jnp.zeros((), y.dtype))
        (x, total), _ = jax.lax.scan(step, start, jnp.arange(y.size))
        return x, total

    def _parameters(self, x, condition):
        return conditioned_parameters(
            self.conditioner,
            x,
            condition,
            self.condition_dim,
            (self.transformer.parameters_per_dim, x.size),
        )
