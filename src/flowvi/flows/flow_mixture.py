"""Mixtures of flows, for posteriors with several modes."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from flowvi.errors import FlowError
from flowvi.flows.distribution import Distribution
from flowvi.flows.flow import Flow, log_prob


class FlowMixture(Distribution):
    """A mixture of K flows, one for each mode, as the base of a flow.

        log q0(x) = log sum_k w_k q_k(x)

    A draw picks a flow and is differentiable in that one's parameters, *not* in the weights. `Flow(mixture,
    Identity((dim,)))` gives it the methods of a flow. Shapes: x (dim,); weights (K,).

    Raises:
        FlowError: the flows differ in dimension or space or are conditional, or the weights are no K positive
            numbers.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from flowvi.flows import FlowMixture, gaussian, whiten
        >>> import numpy as np
        >>> left, right = (whiten(gaussian(1), np.array([m]), np.eye(1)) for m in (-4.0, 4.0))
        >>> with jax.enable_x64(True):
        ...     print(FlowMixture([left, right], [0.5, 0.5]).log_prob(jnp.array([4.0])).round(4))
        -1.6121
    """

    flows: tuple[Flow, ...]
    logits: Float[Array, " flows"]
    dim: int = eqx.field(static=True)

    def __init__(
        self, flows: list[Flow] | tuple[Flow, ...], weights: Float[Array | np.ndarray, " flows"] | list[float]
    ):
        weights = np.asarray(weights, np.float64)
        dims = sorted({flow.dim for flow in flows})
        if len(dims) != 1 or any(flow.condition_dim is not None for flow in flows):
            raise FlowError(f"FlowMixture: give unconditional flows of one dimension; these have {dims}.")
        if len({flow.periodic for flow in flows}) > 1:
            raise FlowError(
                "FlowMixture: some flows are of angles and others on R^dim; give flows of one kind."
            )
        if weights.shape != (len(flows),) or not np.all((weights > 0) & np.isfinite(weights)):
            raise FlowError(f"FlowMixture: weights {weights.tolist()} are not {len(flows)} positive numbers.")
        self.flows = tuple(flows)
        with jax.enable_x64(True):
            self.logits = jnp.asarray(np.log(weights / weights.sum()))
        self.dim = dims[0]

    def sample(self, key: PRNGKeyArray) -> Float[Array, " dim"]:
        which, draw = jax.random.split(key)
        keys = jax.random.split(draw, len(self.flows))
        x = [
            flow.bijection.forward_and_log_det(flow.base.sample(key))[0]
            for key, flow in zip(keys, self.flows, strict=True)
        ]
        return jnp.stack(x)[jax.random.categorical(which, self.logits)]

    def log_prob(self, x: Float[Array, " dim"]) -> Float[Array, ""]:
        each = jnp.stack([log_prob(flow, x) for flow in self.flows])
        return jax.nn.logsumexp(jax.nn.log_softmax(self.logits) + each)
