"""What a bijection is."""

from abc import abstractmethod

import equinox as eqx
from equinox import AbstractVar
from jaxtyping import Array, Float


class Bijection(eqx.Module):
    """An invertible, smooth map f with its log |det df/dx|.

    Unbatched: methods take one point; use `jax.vmap` for many. Every floating array leaf is trainable and may
    take any finite value without breaking invertibility (see `flowvi.trainable` for the exceptions).

    For supports of lower dimension than their array (simplex, correlation factors) the determinant is that of
    the map onto the free coordinates, which is the density Stan and NumPyro use.

    Attributes:
        shape: shape of x.
        out_shape: shape of y = f(x); differs from `shape` only for supports such as the simplex.
        condition_dim: length of the vector the map is conditioned on, or None.
    """

    shape: AbstractVar[tuple[int, ...]]
    out_shape: AbstractVar[tuple[int, ...]]
    condition_dim: AbstractVar[int | None]

    @abstractmethod
    def forward_and_log_det(
        self, x: Float[Array, "..."], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, "..."], Float[Array, ""]]:
        """y = f(x) and log |det df/dx|, a scalar."""

    @abstractmethod
    def inverse_and_log_det(
        self, y: Float[Array, "..."], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, "..."], Float[Array, ""]]:
        """x = f^-1(y) and log |det df^-1/dy|, a scalar."""
