"""Flows of data on their own scale."""

import numpy as np
from jaxtyping import Array, Float

from flowvi.bijections import Bijection, Chain, Constant, LocationScale
from flowvi.bijections.leaf import leaf
from flowvi.flows.flow import Flow
from flowvi.flows.whiten import Fixed
from flowvi.precision import double_precision


class StandardisedCondition(Bijection):
    """A bijection conditioned on (condition - location) / scale, which is not trained.

    Shapes: those of the bijection; location and scale (condition_dim,).

    Example:
        >>> import numpy as np
        >>> from flowvi.bijections import Planar
        >>> from flowvi.flows.standardise import StandardisedCondition
        >>> StandardisedCondition(Planar(2, key=0, condition_dim=1), np.ones(1), np.ones(1)).condition_dim
        1
    """

    bijection: Bijection
    location: Constant
    scale: Constant

    def __init__(
        self,
        bijection: Bijection,
        location: Float[np.ndarray, " condition"],
        scale: Float[np.ndarray, " condition"],
    ):
        self.bijection = bijection
        self.location, self.scale = Constant(leaf(location)), Constant(leaf(scale))

    @property
    def shape(self) -> tuple[int, ...]:
        return self.bijection.shape

    @property
    def out_shape(self) -> tuple[int, ...]:
        return self.bijection.out_shape

    @property
    def condition_dim(self) -> int | None:
        return self.bijection.condition_dim

    def forward_and_log_det(
        self, x: Float[Array, "..."], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, "..."], Float[Array, ""]]:
        return self.bijection.forward_and_log_det(x, self._standard(condition))

    def inverse_and_log_det(
        self, y: Float[Array, "..."], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, "..."], Float[Array, ""]]:
        return self.bijection.inverse_and_log_det(y, self._standard(condition))

    def _standard(self, condition: Array | None) -> Array | None:
        return None if condition is None else (condition - self.location.value) / self.scale.value


@double_precision
def standardise(
    flow: Flow,
    location: Float[np.ndarray, " dim"],
    scale: Float[np.ndarray, " dim"],
    condition_location: Float[np.ndarray, " condition"] | None = None,
    condition_scale: Float[np.ndarray, " condition"] | None = None,
) -> Flow:
    """A flow of standardised data as one of the data, with the standardisation inside and not trained.

        x = m + s f(u),  u ~ q0

    Shapes: location, scale (dim,); those of the condition (condition_dim,).

    Raises:
        FlowError: shapes differ from the flow's, or a scale is not positive.

    Example:
        >>> import flowvi
        >>> import numpy as np
        >>> from flowvi.flows.standardise import standardise
        >>> flow = standardise(flowvi.flows.nice(1, key=0), np.array([3.0]), np.array([2.0]))
        >>> flow.log_prob([3.0]).round(4).item()
        -1.6121
    """
    bijection = flow.bijection
    if condition_location is not None and condition_scale is not None:
        bijection = StandardisedCondition(bijection, condition_location, condition_scale)
    return Flow(flow.base, Chain([bijection, Fixed(LocationScale(location, scale))]))
