"""A conditioner that sees angles."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from flowvi.bijections.mlp import MLP


class PeriodicMLP(eqx.Module):
    """An `MLP` of the cosines and sines of its first `angles` inputs, and of the others as they are.

        output(a, c) = MLP(cos a, sin a, c),    output(a + 2 pi, c) = output(a, c)

    Shapes: input (angles [+ condition_dim],), output (out_size,), zero at the start.

    Source: Rezende et al. 2020 (arXiv 2002.02428), section 2.2.

    Example:
        >>> import jax.numpy as jnp
        >>> from flowvi.bijections import PeriodicMLP
        >>> PeriodicMLP(2, 3, key=0)(jnp.ones(2)).tolist()
        [0.0, 0.0, 0.0]
    """

    network: MLP
    angles: int = eqx.field(static=True)

    def __init__(
        self,
        angles: int,
        out_size: int,
        *,
        key: PRNGKeyArray | int,
        condition_dim: int | None = None,
        width: int = 32,
        depth: int = 2,
    ):
        self.network = MLP(2 * angles + (condition_dim or 0), out_size, key=key, width=width, depth=depth)
        self.angles = angles

    def __call__(self, x: Float[Array, " in_size"]) -> Float[Array, " out_size"]:
        angles, condition = x[: self.angles], x[self.angles :]
        return self.network(jnp.concatenate([jnp.cos(angles), jnp.sin(angles), condition]))
