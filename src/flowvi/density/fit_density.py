"""The density of a table of data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from flowvi import flows
from flowvi.density.likelihood import rounds
from flowvi.density.rows import check_continuous, gaps, refuse_discrete, rows_of
from flowvi.diagnostics.estimate import Estimate
from flowvi.display import display
from flowvi.errors import ArgumentError, DataError, FlowError
from flowvi.flows import Flow
from flowvi.flows.standardise import standardise
from flowvi.precision import double_precision

_HELD_OUT = 0.1
"""Share of the rows for validation, and again for the test."""
_BATCH = 256
_STEPS = 200
"""Of a round."""

_BUILDERS = {
    "auto": flows.neural_spline,
    "neural_spline": flows.neural_spline,
    "real_nvp": flows.real_nvp,
    "nice": flows.nice,
    "glow": flows.glow,
    "maf": flows.maf,
    "residual": flows.residual,
}


@dataclass(frozen=True)
class DensityFit:
    """A flow fitted to data.

    Attributes:
        flow: on the scale of the data; `flow.log_prob(x)` is exact, in nats.
        curve: "step", "train" and "validation": log likelihood in nats per standardised row, by round.
        held_out: log likelihood of rows that training has not seen, nats per row on the scale of the data.
        interrupted: whether the user ended training.
    """

    flow: Flow
    curve: dict[str, Float[np.ndarray, " rounds"]]
    held_out: Estimate
    interrupted: bool


@double_precision
def fit_density(
    x: Any,
    *,
    condition: Any = None,
    flow: str | Flow = "auto",
    seed: int = 0,
    dequantise: bool = False,
    max_steps: int = 50_000,
    progress: bool = True,
) -> DensityFit:
    """Fit a flow to rows of data by exact maximum likelihood.

        maximise (1 / n) sum_i log q(x_i | condition_i)

    A tenth of the rows is held out to decide when to stop, and another tenth for the score that is
    returned. Columns are standardised inside the flow. Ctrl-C ends training and keeps the best flow so far.

    Shapes: x (rows, columns), condition (rows, condition columns): NumPy arrays, memory-mapped ones, pandas
    or Arrow tables; a vector is one column.

    Args:
        flow: "auto" (a spline coupling flow), the name of another builder, or a `Flow` of standardised rows.
        dequantise: add noise, uniform over the smallest gap between values, to columns that take few values;
            otherwise these are refused. The score is then that of the noisy rows.
        max_steps: of Adam, on batches of 256 rows.

    Raises:
        DataError: values are missing or not numbers, rows are too few, or a column is constant or discrete.
        FlowError: the flow is unknown or does not fit the data.
        ArgumentError: `max_steps` is not positive.

    Example:
        >>> import numpy as np
        >>> x = np.random.default_rng(0).normal(3.0, 2.0, size=(500, 1))
        >>> fit = fit_density(x, flow="nice", max_steps=200, progress=False)
        >>> fit.flow.log_prob(x).shape
        (500,)
    """
    if isinstance(max_steps, bool) or not isinstance(max_steps, int | np.integer) or max_steps < 1:
        raise ArgumentError(f"max_steps={max_steps!r}: give a positive number of steps.")
    rng = np.random.default_rng(seed)
    array, columns = rows_of(x, "x")
    given = None if condition is None else rows_of(condition, "condition")[0]
    if given is not None and len(given) != len(array):
        raise DataError(f"x has {len(array)} rows and condition {len(given)}. Give one condition per row.")
    discrete = check_continuous(array, columns, rng)
    if not dequantise:
        refuse_discrete(discrete, columns)
    noise = gaps(array, discrete)
    test, validate, train = _split(len(array), rng)
    location, scale = _moments(array, train)
    of_condition = None if given is None else _moments(given, train)
    condition_dim = None if given is None else given.shape[1]
    standard = _flow(flow, array.shape[1], condition_dim, seed)

    def rows(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        values = np.asarray(array[numbers], np.float64)
        if noise.any():
            # the same for the same rows: a score does not change from round to round
            own = np.random.default_rng([seed, int(numbers[0]), len(numbers)])
            values = values + noise * own.uniform(-0.5, 0.5, values.shape)
        conditions = None
        if given is not None and of_condition is not None:
            conditions = (np.asarray(given[numbers], np.float64) - of_condition[0]) / of_condition[1]
        return (values - location) / scale, conditions

    curve: list[tuple[int, float, float]] = []
    interrupted = False
    steps = min(_STEPS, max_steps)
    with display(progress) as shown:
        try:
            for round_ in rounds(standard, rows, train, validate, rng, batch=_BATCH, steps=steps):
                standard = round_.flow
                curve.append((round_.step, round_.train, round_.validation))
                shown.update("density", elbo=round_.validation, gradients=round_.step)
                if round_.step + steps > max_steps:
                    break
        except KeyboardInterrupt:
            interrupted = True
    log_likelihood = np.asarray(standard.log_prob(*rows(test))) - np.log(scale).sum()
    fitted = standardise(standard, location, scale, *(of_condition or (None, None)))
    return DensityFit(
        flow=fitted,
        curve=dict(
            zip(("step", "train", "validation"), np.array(curve, float).reshape(-1, 3).T, strict=True)
        ),
        held_out=Estimate(
            float(log_likelihood.mean()), float(log_likelihood.std() / np.sqrt(len(log_likelihood)))
        ),
        interrupted=interrupted,
    )


def _split(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row numbers for the test, for validation and for training; sorted, as memory maps like them."""
    order = rng.permutation(n)
    held = int(_HELD_OUT * n)
    return np.sort(order[:held]), np.sort(order[held : 2 * held]), np.sort(order[2 * held :])


def _moments(array: np.ndarray, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and sd of the columns, by up to 100,000 rows; a column without spread keeps its scale."""
    seen = np.asarray(array[numbers[:: max(1, len(numbers) // 100_000)]], np.float64)
    sd = seen.std(axis=0)
    return seen.mean(axis=0), np.where(sd > 0, sd, 1.0)


def _flow(flow: str | Flow, dim: int, condition_dim: int | None, seed: int) -> Flow:
    if isinstance(flow, Flow):
        if flow.dim != dim or flow.condition_dim != condition_dim:
            raise FlowError(
                f"The flow has dim {flow.dim} and condition_dim {flow.condition_dim}; these data need dim "
                f"{dim} and condition_dim {condition_dim}."
            )
        return flow
    if flow not in _BUILDERS:
        raise FlowError(f"No flow is named {flow!r}. Choose one of {list(_BUILDERS)}, or give a Flow.")
    return _BUILDERS[flow](dim, key=seed, width=64, condition_dim=condition_dim)
