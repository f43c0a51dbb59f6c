"""What a base distribution is."""

from abc import abstractmethod

import equinox as eqx
from equinox import AbstractVar
from jaxtyping import Array, Float, PRNGKeyArray


class Distribution(eqx.Module):
    """A density on R^dim, or on the torus where `periodic`, that is easy to sample: the start q0 of a flow.

    Unbatched: methods give or take one point; use `jax.vmap` for many. Every floating array leaf is trainable
    and may take any finite value.

    Attributes:
        dim: number of coordinates.
    """

    dim: AbstractVar[int]

    @property
    def periodic(self) -> bool:
        """Whether points are angles, x and x + 2 pi being one."""
        return False

    @abstractmethod
    def sample(self, key: PRNGKeyArray) -> Float[Array, " dim"]:
        """One draw, in the precision JAX is set to; differentiable in the parameters but where noted."""

    @abstractmethod
    def log_prob(self, x: Float[Array, " dim"]) -> Float[Array, ""]:
        """log q0(x), a scalar."""
