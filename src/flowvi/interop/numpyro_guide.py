"""A flow as a guide of NumPyro."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import numpy as np
import numpyro
from jaxtyping import Array, Float
from numpyro.infer.autoguide import AutoContinuous

from flowvi.bijections import trainable
from flowvi.errors import FlowError
from flowvi.flows import Flow
from flowvi.interop.numpyro_distribution import FlowDistribution, in_precision
from flowvi.precision import double_precision

_WANTED = "give a Flow, or a function such as lambda dim: flowvi.flows.real_nvp(dim, key=0)."


def numpyro_guide(
    model: Callable[..., Any],
    flow: Flow | Callable[[int], Flow],
    *,
    condition: Float[Array | np.ndarray, " condition"] | None = None,
    prefix: str = "auto",
) -> FlowGuide:
    """A guide for `numpyro.infer.SVI` that approximates the posterior by a flow on the unconstrained scale.

        q(z) of the flow, z all latent sites of the model as one vector, unconstrained

    `flow` is one of flowvi's, or a function that builds it from the number of latent coordinates. All that
    `flowvi.trainable` names is trained, as the NumPyro parameter `{prefix}_flow`. Training starts from the
    flow as given, and not from where NumPyro finds a finite density: see `flowvi.flows.whiten`.

    Raises:
        FlowError: `flow` is neither a flow nor a function; at the first use, the function gives no flow, the
            flow has another dim than the model or is of angles, or the condition does not fit.

    Example:
        >>> import flowvi
        >>> import jax
        >>> import numpyro
        >>> import numpyro.distributions as dist
        >>> from flowvi.interop import numpyro_guide
        >>> def model():
        ...     numpyro.sample("x", dist.Normal(3.0, 1.0))
        >>> guide = numpyro_guide(model, lambda dim: flowvi.flows.gaussian(dim))
        >>> svi = numpyro.infer.SVI(model, guide, numpyro.optim.Adam(0.05), numpyro.infer.Trace_ELBO())
        >>> state = svi.init(jax.random.key(0))
        >>> guide.flow(svi.get_params(state)).sample(0, (5,)).shape
        (5, 1)
    """
    return FlowGuide(model, flow, condition=condition, prefix=prefix)


class FlowGuide(AutoContinuous):
    """What `numpyro_guide` gives: one of NumPyro's automatic guides."""

    def __init__(
        self,
        model: Callable[..., Any],
        flow: Flow | Callable[[int], Flow],
        *,
        condition: Any = None,
        prefix: str = "auto",
    ) -> None:
        if not isinstance(flow, Flow) and not callable(flow):
            raise FlowError(f"flow is of type {type(flow).__name__}: {_WANTED}")
        self._given = flow
        self._condition = condition
        super().__init__(model, prefix=prefix)

    def flow(self, params: dict[str, Any]) -> Flow:
        """The flow with trained parameters, those of `SVI.get_params`, in float64."""
        return self._combined(params[self._name])

    def get_posterior(self, params: dict[str, Any]) -> FlowDistribution:
        """The approximate posterior of the unconstrained vector."""
        with numpyro.handlers.substitute(data=params):
            return self._get_posterior()

    @double_precision
    def _combined(self, parameters: Any) -> Flow:
        rest = eqx.filter(self._start, trainable(self._start), inverse=True)
        return in_precision(eqx.combine(parameters, rest), np.float64)

    @property
    def _name(self) -> str:
        return f"{self.prefix}_flow"

    def _setup_prototype(self, *args: Any, **kwargs: Any) -> None:
        super()._setup_prototype(*args, **kwargs)
        # what is kept must not belong to the trace of whoever asks first
        with jax.ensure_compile_time_eval():
            given = self._given
            self._start = given if isinstance(given, Flow) else given(int(self.latent_dim))
        if not isinstance(self._start, Flow):
            raise FlowError(f"flow={self._given!r} gave a {type(self._start).__name__}: {_WANTED}")
        if self._start.dim != self.latent_dim:
            raise FlowError(
                f"The flow has dim {self._start.dim}, but the model has {self.latent_dim} unconstrained "
                "latent coordinates. Give a function such as lambda dim: flowvi.flows.real_nvp(dim, key=0)."
            )
        if self._start.periodic:
            raise FlowError(
                f"The flow is over {type(self._start.base).__name__}, a density of angles, but latent sites "
                "are put on R^dim, where it is not normalised. Give a flow over a base on R^dim."
            )

    def _get_posterior(self) -> FlowDistribution:
        flow = in_precision(self._start, jax.dtypes.canonicalize_dtype(float))
        parameters, rest = eqx.partition(flow, trainable(flow))
        trained = numpyro.param(self._name, parameters)
        return FlowDistribution(eqx.combine(trained, rest), self._condition)
