"""What a summary network is, and the plainest one."""

from abc import abstractmethod
from typing import Any, final

import equinox as eqx
import jax.numpy as jnp
from equinox import AbstractVar
from jaxtyping import Array, Bool, Float


class Summary(eqx.Module):
    """A network from one data set to a vector, on which a flow is conditioned.

    Attributes:
        size: length of the vector.
    """

    size: AbstractVar[int]

    @abstractmethod
    def __call__(
        self, x: Float[Array, "..."], mask: Bool[Array, " length"] | None = None
    ) -> Float[Array, " size"]:
        """The summary of a standardised data set; `mask` tells its elements from padding."""


@final
class Flatten(Summary):
    """The data themselves, as one vector.

    Example:
        >>> Flatten(6)(jnp.ones((2, 3))).shape
        (6,)
    """

    size: int = eqx.field(static=True)

    def __call__(
        self, x: Float[Array, "..."], mask: Bool[Array, " length"] | None = None
    ) -> Float[Array, " size"]:
        return x.ravel()


@final
class OfModule(Summary):
    """A user's own module of one data set.

    Example:
        >>> OfModule(eqx.nn.Linear(3, 2, key=jax.random.key(0)), 2)(jnp.ones(3)).shape
        (2,)
    """

    module: eqx.Module
    size: int = eqx.field(static=True)

    def __call__(
        self, x: Float[Array, "..."], mask: Bool[Array, " length"] | None = None
    ) -> Float[Array, " size"]:
        module: Any = self.module
        return jnp.asarray(module(x)).ravel()
