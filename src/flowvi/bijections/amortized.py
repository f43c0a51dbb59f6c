"""Parameters that a condition moves: the amortized flows of variational autoencoders."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from flowvi.bijections.base import Bijection
from flowvi.bijections.conditioning import conditioned_parameters
from flowvi.bijections.mlp import MLP
from flowvi.bijections.trainable import trainable
from flowvi.errors import FlowError


class Amortized(Bijection):
    """A bijection whose every trained number is its own value plus what a network makes of the condition.

        y = f(x; theta + network(condition)),    network = 0 at the start

    Works for any bijection, since parameters may take any finite value; around a `Scan`, one network gives
    those of all layers. Shapes: x, y as the bijection; condition (condition_dim,). Cost: the network's, whose
    last layer has width times as many weights as the bijection has numbers.

    Source: R&M, section 4.2; van den Berg et al. 2018 (arXiv 1803.05649), section 4.

    Raises:
        FlowError: the bijection has a condition of its own, or nothing that is trained.

    Example:
        >>> import jax.numpy as jnp
        >>> from flowvi.bijections import Amortized, LocationScale
        >>> shift = LocationScale(jnp.ones(2), jnp.ones(2))
        >>> layer = Amortized(shift, 3, key=0)
        >>> layer.forward_and_log_det(jnp.zeros(2), jnp.arange(3.0))[0].tolist()
        [1.0, 1.0]
    """

    bijection: Bijection
    network: MLP
    condition_dim: int = eqx.field(static=True)

    def __init__(
        self,
        bijection: Bijection,
        condition_dim: int,
        *,
        key: PRNGKeyArray | int,
        width: int = 32,
        depth: int = 2,
    ):
        if bijection.condition_dim is not None:
            raise FlowError(
                f"Amortized: the bijection takes a condition of length {bijection.condition_dim} itself. "
                "Give one without."
            )
        numbers = sum(a.size for a in jax.tree.leaves(eqx.filter(bijection, trainable(bijection))))
        if numbers == 0:
            raise FlowError("Amortized: the bijection has nothing that is trained. Give one that has.")
        self.bijection = bijection
        self.network = MLP(condition_dim, numbers, key=key, width=width, depth=depth)
        self.condition_dim = condition_dim

    @property
    def shape(self) -> tuple[int, ...]:
        return self.bijection.shape

    @property
    def out_shape(self) -> tuple[int, ...]:
        return self.bijection.out_shape

    def forward_and_log_det(
        self, x: Float[Array, "..."], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, "..."], Float[Array, ""]]:
        return self.at(x, condition).forward_and_log_det(x)

    def inverse_and_log_det(
        self, y: Float[Array, "..."], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, "..."], Float[Array, ""]]:
        return self.at(y, condition).inverse_and_log_det(y)

    def at(self, x: Float[Array, "..."], condition: Float[Array, " condition"] | None) -> Bijection:
        """The bijection at one condition, in the precision of x."""
        own, rest = eqx.partition(self.bijection, trainable(self.bijection))
        leaves, structure = jax.tree.flatten(own)
        ends = np.cumsum([leaf.size for leaf in leaves]).tolist()
        added = conditioned_parameters(
            self.network, jnp.zeros(0, x.dtype), condition, self.condition_dim, (1, ends[-1])
        )
        moved = [
            leaf.astype(x.dtype) + added[0, end - leaf.size : end].reshape(leaf.shape)
            for leaf, end in zip(leaves, ends, strict=True)
        ]
        return eqx.combine(jax.tree.unflatten(structure, moved), rest)
