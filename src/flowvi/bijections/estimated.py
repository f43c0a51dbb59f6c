"""What a bijection is whose log-det has an estimator cheaper than its exact value."""

from abc import abstractmethod

from jaxtyping import Array, Float, PRNGKeyArray

from flowvi.bijections.base import Bijection


class HasEstimatedLogDet(Bijection):
    """A bijection with an unbiased, random estimate of log |det df/dx| beside the exact value.

        E over keys of the estimate = log |det df/dx|, and the same for its gradient

    Only training asks for estimates (`flowvi.flows.stochastic_log_det`): their noise averages out over steps,
    as that of mini-batches does. Whatever reports a density takes the exact methods of `Bijection`.
    """

    @abstractmethod
    def forward_and_estimated_log_det(
        self, x: Float[Array, " dim"], condition: Float[Array, " condition"] | None, key: PRNGKeyArray
    ) -> tuple[Float[Array, " dim"], Float[Array, ""]]:
        """y = f(x) and an estimate of log |det df/dx|."""

    @abstractmethod
    def inverse_and_estimated_log_det(
        self, y: Float[Array, " dim"], condition: Float[Array, " condition"] | None, key: PRNGKeyArray
    ) -> tuple[Float[Array, " dim"], Float[Array, ""]]:
        """x = f^-1(y) and an estimate of log |det df^-1/dy|."""
