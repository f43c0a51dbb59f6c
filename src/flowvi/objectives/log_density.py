"""Log densities at draws of a flow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from flowvi.errors import ArgumentError, DensityError, FlowError
from flowvi.flows import Flow
from flowvi.memory import batch_map
from flowvi.objectives.pushed import with_slope
from flowvi.targets.base import Target

Density = Target | Callable[..., Any]
"""An unnormalised log density of one point (dim,), and of its condition where the objective has one."""


class Annealed(eqx.Module):
    """beta_t log p, where beta_t is a function of the step; see `annealed`."""

    log_density: Density
    schedule: Callable[[Int[Array, ""]], Float[Array, ""]]


LogDensity = Density | Annealed


class Evaluated(NamedTuple):
    """A log density at draws.

    Attributes:
        log_p: the values as functions of the draws, in double precision where JAX has it; 0 where not
            usable.
        usable: whether value and gradient are finite.
        zero: whether the density is zero, which is no fault.
    """

    log_p: Float[Array, " draws"]
    usable: Bool[Array, " draws"]
    zero: Bool[Array, " draws"]

    @property
    def nonfinite(self) -> Int[Array, ""]:
        """Draws at fault."""
        return jnp.sum(~self.usable & ~self.zero)

    def trusted(self, loss: Float[Array, ""]) -> Float[Array, ""]:
        """The loss, or NaN where most draws are at fault or none is usable."""
        few = 2 * self.nonfinite < len(self.usable)
        return jnp.where(few & self.usable.any(), loss, jnp.nan)


def evaluate(
    log_density: LogDensity, z: Float[Array, "draws dim"], condition: Array | None, step: Int[Array, ""]
) -> Evaluated:
    """log p at draws of a flow, with gradients that are finite also where log p has none.

    Unusable draws get neither value nor gradient: a derivative of NaN times zero would be NaN.
    """
    with_gradient = jax.value_and_grad(lambda z, c: value_at(log_density, z, c, step))
    at = jax.lax.stop_gradient(z).astype(float)
    log_p, score = batch_map(lambda point: with_gradient(*point), (at, condition))
    usable = jnp.isfinite(log_p) & jnp.isfinite(score).all(axis=1)
    values = with_slope(jnp.where(usable, log_p, 0), jnp.where(usable[:, None], score, 0), z)
    return Evaluated(values, usable, jnp.isneginf(log_p))


def value_at(
    log_density: LogDensity, z: Float[Array, " dim"], condition: Array | None, step: Int[Array, ""]
) -> Float[Array, ""]:
    """log p at one point, at a step."""
    if isinstance(log_density, Annealed):
        return log_density.schedule(step) * value_at(log_density.log_density, z, condition, step)
    if isinstance(log_density, Target):
        return log_density.log_density(z)
    return jnp.asarray(log_density(z) if condition is None else log_density(z, condition))


def check_callable(log_density: Any) -> None:
    """Check that this may be a log density.

    Raises:
        ArgumentError: it may not.
    """
    if not isinstance(log_density, Target | Annealed) and not callable(log_density):
        raise ArgumentError(
            f"log_density={log_density!r}: give a JAX function of one point, or a flowvi.Target."
        )


def check_log_density(log_density: LogDensity, flow: Flow, condition: Array | None) -> None:
    """Check that a log density gives a scalar at points of a flow.

    Raises:
        FlowError: a target has another dim than the flow.
        DensityError: the result is no real scalar.
    """
    inner = log_density.log_density if isinstance(log_density, Annealed) else log_density
    if isinstance(inner, Target) and inner.dim != flow.dim:
        raise FlowError(f"The target has dim {inner.dim}, but the flow {flow.dim}. Build both for the same.")
    row = None if condition is None else jax.ShapeDtypeStruct(condition.shape[-1:], condition.dtype)
    out = jax.eval_shape(
        lambda z, c: value_at(log_density, z, c, jnp.asarray(0)),
        jax.ShapeDtypeStruct((flow.dim,), float),
        row,
    )
    if out.shape != () or not jnp.issubdtype(out.dtype, jnp.floating):
        raise DensityError(
            f"The log density of a point of shape ({flow.dim},) has shape {out.shape} and dtype {out.dtype}. "
            "It must give a real scalar."
        )
