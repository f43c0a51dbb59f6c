"""Flows in coordinates where the target is close to a standard normal."""

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Float

from flowvi.bijections import Bijection, Chain, Constant, TriangularAffine
from flowvi.flows.flow import Flow
from flowvi.precision import double_precision


class Fixed(Bijection):
    """A bijection that is not trained: every floating array of it sits behind `Constant`.

    Cost and shapes: those of the bijection.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from flowvi.bijections import LocationScale, trainable
        >>> from flowvi.flows import Fixed
        >>> any(jax.tree.leaves(trainable(Fixed(LocationScale(jnp.zeros(2), jnp.ones(2))))))
        False
    """

    constants: Bijection
    shape: tuple[int, ...] = eqx.field(static=True)
    out_shape: tuple[int, ...] = eqx.field(static=True)
    condition_dim: int | None = eqx.field(static=True)

    def __init__(self, bijection: Bijection):
        self.constants = jax.tree.map(
            lambda leaf: Constant(leaf) if eqx.is_inexact_array(leaf) else leaf, bijection
        )
        self.shape = bijection.shape
        self.out_shape = bijection.out_shape
        self.condition_dim = bijection.condition_dim

    @property
    def bijection(self) -> Bijection:
        """The bijection itself."""
        return jax.tree.map(
            lambda node: node.value if isinstance(node, Constant) else node,
            self.constants,
            is_leaf=lambda node: isinstance(node, Constant),
        )

    def forward_and_log_det(
        self, x: Float[Array, "..."], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, "..."], Float[Array, ""]]:
        return self.bijection.forward_and_log_det(x, condition)

    def inverse_and_log_det(
        self, y: Float[Array, "..."], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, "..."], Float[Array, ""]]:
        return self.bijection.inverse_and_log_det(y, condition)


@double_precision
def whiten(
    flow: Flow,
    location: Float[Array | np.ndarray, " dim"],
    scale_tril: Float[Array | np.ndarray, "rows columns"],
) -> Flow:
    """The flow followed by a fixed affine map, so that it starts where a Gaussian approximation left off.

        z = m + L f(x),  x ~ q0,    L = scale_tril, lower triangular with a positive diagonal

    m and L are not trained. Shapes: location (dim,), scale_tril (dim, dim).

    Raises:
        FlowError: shapes differ from the flow's, or the diagonal is not positive.

    Example:
        >>> import flowvi
        >>> import numpy as np
        >>> flow = flowvi.flows.whiten(flowvi.flows.real_nvp(2, key=0), np.ones(2), 3 * np.eye(2))
        >>> flow.log_prob([1.0, 1.0]).round(4).item()
        -4.0351
    """
    return Flow(flow.base, Chain([flow.bijection, Fixed(TriangularAffine(location, scale_tril))]))
