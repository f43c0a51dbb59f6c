"""Flows of data on their own scale."""

import numpy as np
from jaxtyping import Array, Float

from flowvi.bijections import Bijection, Chain, Constant, LocationScale
from flowvi.bijections.leaf import leaf
from flowvi.errors import FlowError
from flowvi.flows.flow import Flow
from flowvi.flows.torus import keeps_turns
from flowvi.flows.whiten import Fixed
from flowvi.precision import double_precision

CONSTANT = 1e-12
"""Standard deviation, as a share of the mean, below which a column is constant but for rounding."""


class StandardisedCondition(Bijection):
    """A bijection conditioned on (condition - location) / scale, which is not trained.

    Shapes: those of the bijection; location and scale (condition_dim,).

    Example:
        >>> import numpy as np
        >>> from flowvi.bijections import Amortized, Planar
        >>> from flowvi.flows import StandardisedCondition
        >>> layer = Amortized(Planar(2, key=0), 1, key=1)
        >>> StandardisedCondition(layer, np.ones(1), np.ones(1)).condition_dim
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

    @property
    def periodic(self) -> bool:
        """Whether it is a bijection of angles, see `keeps_turns`."""
        return keeps_turns(self.bijection)

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


def standardise(
    flow: Flow,
    x: Float[np.ndarray, "rows columns"],
    condition: Float[np.ndarray, "rows conditions"] | None = None,
) -> Flow:
    """A flow of standardised data as one of the data, by the means and standard deviations of their columns.

        x = m + s f(u),  u ~ q0;    f conditioned on (condition - its m) / its s

    m and s sit inside the flow and are not trained. Shapes: x (rows, dim), condition (rows, condition_dim).

    Raises:
        FlowError: columns are not as many as the flow's, or one is constant or not finite; or the flow is of
            angles, whose period would be another.

    Example:
        >>> import flowvi
        >>> import numpy as np
        >>> x = 3 + 2 * np.random.default_rng(0).normal(size=(1000, 1))
        >>> flow = flowvi.flows.standardise(flowvi.flows.nice(1, key=0), x)
        >>> flow.sample(0, (1000,)).mean().round()
        np.float64(3.0)
    """
    if condition is None:
        return standardise_by(flow, *_moments("x", x, flow.dim))
    of_condition = _moments("condition", condition, flow.condition_dim)
    return standardise_by(flow, *_moments("x", x, flow.dim), *of_condition)


def _moments(name: str, data: np.ndarray, columns: int | None) -> tuple[np.ndarray, np.ndarray]:
    data = np.asarray(data, np.float64)
    if data.ndim != 2 or data.shape[1] != columns:
        raise FlowError(
            f"standardise: {name} has shape {data.shape}, but the flow takes {columns} columns of it. Give "
            "an array of shape (rows, columns)."
        )
    location, scale = data.mean(axis=0), data.std(axis=0)
    # written so that NaN fails as well; rounding of the mean makes the scale of equal numbers positive
    bad = ~(scale > CONSTANT * np.abs(location)) | ~np.isfinite(scale)
    if np.any(bad):
        raise FlowError(
            f"standardise: column {int(np.argmax(bad))} of {name} is constant or not finite. Leave it out."
        )
    return location, scale


@double_precision
def standardise_by(
    flow: Flow,
    location: Float[np.ndarray, " dim"],
    scale: Float[np.ndarray, " dim"],
    condition_location: Float[np.ndarray, " condition"] | None = None,
    condition_scale: Float[np.ndarray, " condition"] | None = None,
) -> Flow:
    """`standardise` by means and standard deviations that are known.

    Shapes: location, scale (dim,); those of the condition (condition_dim,).

    Raises:
        FlowError: shapes differ from the flow's, a scale is not positive, or the flow is of angles.

    Example:
        >>> import flowvi
        >>> import numpy as np
        >>> from flowvi.flows.standardise import standardise_by
        >>> flow = standardise_by(flowvi.flows.nice(1, key=0), np.array([3.0]), np.array([2.0]))
        >>> flow.log_prob([3.0]).round(4).item()
        -1.6121
    """
    if condition_location is not None and condition_scale is not None:
        flow = standardise_condition(flow, condition_location, condition_scale)
    return Flow(flow.base, Chain([flow.bijection, Fixed(LocationScale(location, scale))]))


@double_precision
def standardise_condition(
    flow: Flow, location: Float[np.ndarray, " condition"], scale: Float[np.ndarray, " condition"]
) -> Flow:
    """A flow conditioned on (condition - location) / scale, whose points stay as they are.

    Shapes: location, scale (condition_dim,).

    Example:
        >>> import flowvi
        >>> import numpy as np
        >>> from flowvi.flows.standardise import standardise_condition
        >>> flow = flowvi.flows.circular_spline(1, key=0, condition_dim=1)
        >>> standardise_condition(flow, np.array([3.0]), np.array([2.0])).condition_dim
        1
    """
    return Flow(flow.base, StandardisedCondition(flow.bijection, location, scale))
