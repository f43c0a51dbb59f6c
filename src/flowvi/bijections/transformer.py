"""What a scalar transformer is: the map a coupling or autoregressive bijection applies to each coordinate."""

from abc import abstractmethod

import equinox as eqx
from equinox import AbstractVar
from jaxtyping import Array, Float


class Transformer(eqx.Module):
    """An increasing map of the real line onto itself per coordinate, with parameters given from outside.

    Any finite parameters are valid and zero parameters are the identity.

    Attributes:
        parameters_per_dim: how many parameters a coordinate takes.
    """

    parameters_per_dim: AbstractVar[int]

    @abstractmethod
    def forward_and_log_det(
        self, x: Float[Array, " dim"], parameters: Float[Array, "parameters dim"]
    ) -> tuple[Float[Array, " dim"], Float[Array, " dim"]]:
        """y_i = T(x_i; parameters[:, i]) and log dy_i/dx_i per coordinate."""

    @abstractmethod
    def inverse_and_log_det(
        self, y: Float[Array, " dim"], parameters: Float[Array, "parameters dim"]
    ) -> tuple[Float[Array, " dim"], Float[Array, " dim"]]:
        """x_i = T^-1(y_i; parameters[:, i]) and log dx_i/dy_i per coordinate."""
