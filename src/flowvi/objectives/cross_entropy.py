"""Cross entropy on draws of p: maximum likelihood, and forward KL where the draws have weights."""

from __future__ import annotations

from typing import Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt32

from flowvi.errors import DataError, FlowError
from flowvi.flows import Flow
from flowvi.flows.flow import log_prob
from flowvi.flows.stochastic_log_det import estimated_log_prob
from flowvi.objectives.arguments import (
    as_condition,
    as_numbers,
    check_choice,
    check_count,
    in_double_precision,
)
from flowvi.objectives.draws import check_condition, precision_of
from flowvi.objectives.objective import Estimated, Objective


class Batch(NamedTuple):
    """The rows of a step, and a key for each where log-dets are estimated."""

    rows: Int[Array | np.ndarray, "*steps batch"]
    keys: UInt32[Array | np.ndarray, "*steps batch 2"] | None


class CrossEntropy(Objective):
    """-E_p[log q] on batches of rows drawn in proportion to their weights; see `forward_kl`."""

    x: Float[Array, "rows dim"]
    condition: Float[Array, ...] | None
    cumulative: Float[Array, " rows"] | None
    batch: int = eqx.field(static=True)
    keyed: bool = eqx.field(static=True)

    def check(self, flow: Flow) -> None:
        check_condition(flow, self.condition)
        if self.x.shape[1] != flow.dim:
            raise FlowError(
                f"The rows have dim {self.x.shape[1]}, but the flow {flow.dim}. Build it for them."
            )

    def draw(self, flow: Flow, rng: np.random.Generator, steps: int) -> Batch:
        size = (steps, self.batch)
        if self.cumulative is None:
            rows = rng.integers(len(self.x), size=size)
        else:
            rows = np.searchsorted(np.asarray(self.cumulative), rng.random(size), side="right")
        keys = rng.integers(2**32, size=(*size, 2), dtype=np.uint32) if self.keyed else None
        return Batch(rows.astype(np.int32), keys)

    def estimate(self, flow: Flow, draws: Batch, step: Int[Array, ""]) -> Estimated:
        precision = precision_of(flow)
        x, condition = self.x[draws.rows].astype(precision), self.condition
        if condition is not None:
            rows = condition[draws.rows] if condition.ndim == 2 else condition
            condition = jnp.broadcast_to(rows, (self.batch, condition.shape[-1])).astype(precision)
        if draws.keys is None:
            log_q = jax.vmap(lambda x, c: log_prob(flow, x, c))(x, condition)
        else:
            keys = jax.random.wrap_key_data(jnp.asarray(draws.keys))
            log_q = jax.vmap(lambda x, key, c: estimated_log_prob(flow, x, key, c))(x, keys, condition)
        return Estimated(-jnp.mean(log_q), jnp.asarray(0))


def forward_kl(
    draws: Float[Array | np.ndarray, "rows dim"],
    log_weights: Float[Array | np.ndarray, " rows"] | None = None,
    *,
    condition: Float[Array | np.ndarray, ...] | None = None,
    batch: int = 256,
    log_det: Literal["exact", "estimated"] = "exact",
) -> Objective:
    """The forward Kullback-Leibler divergence, up to the entropy of p, on (weighted) draws of p.

        KL(p || q) + H(p) = -E_p[log q(z)]

    Rows are drawn with replacement, in proportion to their weights, which leaves the gradient unbiased and
    the weights without noise. "estimated" takes stochastic log-dets where the flow has them. Shapes: draws
    (rows, dim), log_weights (rows,) up to a constant, condition (condition_dim,) or one for each row. Cost:
    a pass through the flow's inverse for each row of a batch.

    Raises:
        DataError: draws, weights or conditions are not finite, or do not fit each other. Log weights may be
            -inf, but not all.
        ArgumentError: `batch` or `log_det` is not one of those above.

    Example:
        >>> import flowvi
        >>> import numpy as np
        >>> draws = np.random.default_rng(0).normal(3.0, 1.0, size=(1000, 2))
        >>> objective = flowvi.objectives.forward_kl(draws)
        >>> trained = flowvi.train(flowvi.flows.gaussian(2), objective, key=1, steps=500, step_size=0.05)
        >>> trained.flow.sample(0, (1000,)).mean(axis=0).round().tolist()
        [3.0, 3.0]
    """
    x = as_numbers("draws", draws)
    if x.ndim != 2:
        raise DataError(f"draws have shape {x.shape}: give one row for each, (rows, dim).")
    given = as_condition(condition)
    if given is not None and given.ndim == 2 and len(given) != len(x):
        raise DataError(f"There are {len(x)} draws, but {len(given)} conditions. Give one for each.")
    keyed = check_choice("log_det", log_det, ("exact", "estimated")) == "estimated"
    cumulative = None if log_weights is None else in_double_precision(_cumulative(log_weights, len(x)))
    return CrossEntropy(in_double_precision(x), given, cumulative, check_count("batch", batch), keyed)


def log_likelihood(
    x: Float[Array | np.ndarray, "rows dim"],
    condition: Float[Array | np.ndarray, ...] | None = None,
    *,
    batch: int = 256,
    log_det: Literal["exact", "estimated"] = "exact",
) -> Objective:
    """The negative mean log likelihood of rows: density estimation by maximum likelihood.

        -1/n sum_i log q(x_i | condition_i)

    The same as `forward_kl` without weights, by the name that it has where rows are data. `fit_density` adds
    what a table asks for: standardisation, and rows held out to say when training has to end.

    Raises:
        DataError: rows or conditions are not finite, or do not fit each other.
        ArgumentError: `batch` or `log_det` is not one of those above.

    Source: RealNVP, equation 2.

    Example:
        >>> import flowvi
        >>> import numpy as np
        >>> x = np.random.default_rng(0).normal(size=(1000, 2))
        >>> objective = flowvi.objectives.log_likelihood(x)
        >>> flowvi.train(flowvi.flows.gaussian(2), objective, key=1, steps=10).curve.shape
        (10,)
    """
    return forward_kl(x, condition=condition, batch=batch, log_det=log_det)


def _cumulative(log_weights: object, rows: int) -> Float[np.ndarray, " rows"]:
    """The distribution function of the rows."""
    values = np.asarray(log_weights, np.float64)
    if values.shape != (rows,):
        raise DataError(
            f"log_weights have shape {values.shape}, but there are {rows} draws. Give one for each."
        )
    if np.isnan(values).any() or not np.isfinite(values.max()):
        raise DataError("log_weights must be numbers below infinity, not all of them -inf.")
    sums = np.cumsum(np.exp(values - values.max()))
    return sums / sums[-1]
