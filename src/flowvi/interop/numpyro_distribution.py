"""A flow as a distribution of NumPyro."""

from __future__ import annotations

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray
from numpyro.distributions import Distribution, constraints

from flowvi.bijections.leaf import leaf
from flowvi.errors import FlowError
from flowvi.flows import Flow
from flowvi.flows.flow import forward_and_log_prob, log_prob
from flowvi.precision import is_traced


def numpyro_distribution(
    flow: Flow, condition: Float[Array | np.ndarray, "*batch condition"] | None = None
) -> FlowDistribution:
    """The flow as a NumPyro distribution: a prior, a part of a guide, or a likelihood of vectors.

        log_prob(z) = log q(z given condition)

    Draws are differentiable in the flow's parameters, and in the precision of the caller: float32 unless
    JAX's x64 flag is on. Shapes: event (dim,), batch the leading axes of `condition` (*batch, condition_dim).

    Raises:
        FlowError: `flow` is no Flow; the condition is missing, not wanted, or has another length. In
            `log_prob`: the value has another last dimension.

    Example:
        >>> import flowvi
        >>> import jax
        >>> from flowvi.interop import numpyro_distribution
        >>> prior = numpyro_distribution(flowvi.flows.gaussian(3))
        >>> prior.event_shape, prior.sample(jax.random.key(0), (5,)).shape
        ((3,), (5, 3))
    """
    return FlowDistribution(flow, condition)


class FlowDistribution(Distribution):
    """What `numpyro_distribution` gives.

    A draw comes with its density, which NumPyro then takes instead of asking for the inverse of the flow.
    """

    # nothing of it is a number with a constraint; draws are differentiable in all that the flow holds
    arg_constraints: dict[str, Any] = {}  # noqa: RUF012
    reparametrized_params: list[str] = []  # noqa: RUF012
    pytree_data_fields = ("flow", "condition")

    def __init__(self, flow: Flow, condition: Any = None, *, validate_args: bool | None = None) -> None:
        if not isinstance(flow, Flow):
            raise FlowError(
                f"flow is of type {type(flow).__name__}: give a Flow, such as flowvi.flows builds."
            )
        # a lone number is no vector of any length
        given = None if condition is None else (0, *jnp.shape(condition))[-1]
        if given != flow.condition_dim:
            raise FlowError(
                f"The flow takes a condition of length {flow.condition_dim}, but one of length {given} was "
                "given. Give condition= of shape (..., condition_dim), or none to an unconditional flow."
            )
        self.flow = in_precision(flow, _caller_dtype())
        self.condition = None if condition is None else jnp.asarray(condition, _caller_dtype())
        batch = () if condition is None else jnp.shape(condition)[:-1]
        super().__init__(batch, (flow.dim,), validate_args=validate_args)

    @property
    def support(self) -> constraints.Constraint:
        """R^dim, or the torus."""
        if self.flow.periodic:
            return constraints.independent(constraints.circular, 1)
        return constraints.real_vector

    def sample(self, key: PRNGKeyArray | None, sample_shape: tuple[int, ...] = ()) -> Array:
        """See `numpyro.distributions.Distribution`."""
        return self.sample_with_intermediates(key, sample_shape)[0]

    def sample_with_intermediates(
        self, key: PRNGKeyArray | None, sample_shape: tuple[int, ...] = ()
    ) -> tuple[Array, list[Any]]:
        """Draws, and their log densities."""
        if key is None:
            raise FlowError("A draw needs a key. In a model, use numpyro.handlers.seed.")
        shape = (*sample_shape, *self.batch_shape)

        def draw(key: Array, condition: Array | None) -> tuple[Array, Array]:
            return forward_and_log_prob(self.flow, self.flow.base.sample(key), condition)

        keys = jax.random.split(key, math.prod(shape))
        z, of_draws = jax.vmap(draw)(keys, _rows(self.condition, shape))
        return z.reshape(*shape, self.flow.dim), [of_draws.reshape(shape)]

    def log_prob(self, value: Any, intermediates: list[Any] | None = None) -> Array:
        """See `numpyro.distributions.Distribution`."""
        if intermediates:
            return intermediates[0]
        value = jnp.asarray(value, _caller_dtype())
        if value.shape[-1:] != self.event_shape:
            raise FlowError(
                f"The flow has dim {self.flow.dim}, but the value has shape {value.shape}. Give a value of "
                f"shape (..., {self.flow.dim})."
            )
        try:
            shape = np.broadcast_shapes(value.shape[:-1], self.batch_shape)
        except ValueError as error:
            raise FlowError(
                f"The value has leading axes {value.shape[:-1]}, which do not broadcast with those of the "
                f"condition, {self.batch_shape}."
            ) from error
        of_rows = jax.vmap(lambda z, c: log_prob(self.flow, z, c))
        return of_rows(_rows(value, shape), _rows(self.condition, shape)).reshape(shape)


def in_precision(flow: Flow, dtype: Any) -> Flow:
    """The flow with all its floating arrays in one precision, and integers as JAX's flag has them."""

    def cast(array: Any) -> Any:
        if not eqx.is_array(array):
            return array
        to = dtype if eqx.is_inexact_array(array) else array.dtype
        return array.astype(to) if is_traced(array) else leaf(np.asarray(array, to))

    return jax.tree.map(cast, flow)


def _caller_dtype() -> Any:
    return jax.dtypes.canonicalize_dtype(float)


def _rows(array: Array | None, shape: tuple[int, ...]) -> Array | None:
    if array is None:
        return None
    return jnp.broadcast_to(array, (*shape, array.shape[-1])).reshape(math.prod(shape), array.shape[-1])
