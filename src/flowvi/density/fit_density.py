"""The density of a table of data."""

from __future__ import annotations

from collections.abc import Collection, Hashable
from typing import Any

import numpy as np

from flowvi.density.columns import check_angles, check_finite, noise_widths
from flowvi.density.flow_of import flow_of
from flowvi.density.likelihood import rounds
from flowvi.density.result import DensityFit
from flowvi.density.rows import Moments, Rows, moments, moments_of_condition, split
from flowvi.density.table import Table, read_table
from flowvi.diagnostics.estimate import Estimate
from flowvi.errors import ArgumentError, DataError
from flowvi.flows import Flow
from flowvi.flows.arguments import seed_of
from flowvi.flows.standardise import standardise_by, standardise_condition
from flowvi.precision import double_precision
from flowvi.training.early_stopping import follow


@double_precision
def fit_density(
    x: Any,
    *,
    condition: Any = None,
    flow: str | Flow = "auto",
    dequantise: bool | str | int | Collection[Hashable] = False,
    max_steps: int = 20_000,
    seed: int = 0,
    progress: bool = True,
) -> DensityFit:
    """Fit a flow to rows of data by exact maximum likelihood.

        maximise (1 / n) sum_i log q(x_i | condition_i)

    A tenth of the rows (10 at least, 10,000 at most) is held out to decide when to stop, and as many again
    for the score that is returned, which no choice has depended on. Columns of x and of the condition are
    standardised inside the flow, by their moments over the training rows. Ctrl-C ends training and keeps the
    best flow so far. The same data and seed give the same fit.

    Shapes: x (rows, columns), condition (rows, condition columns): NumPy arrays, nested lists, pandas, Polars
    or Arrow tables; of memory-mapped arrays (`numpy.load(path, mmap_mode="r")`) only the rows in use are in
    memory. A vector is one column.

    Args:
        flow: "auto" (spline couplings); "gaussian"; a builder's name (the families in which sampling is
            cheap are turned around, so that the density is); or a `Flow` of standardised rows, whose
            parameters are trained from where they are. A flow of angles, such as `circular_spline` gives,
            is one of the rows as they are, in radians from -pi to pi.
        dequantise: True, or the names or numbers of columns, whose discrete values are spread by uniform
            noise over the gap to the next value. `held_out` is then a lower bound on the log likelihood of
            the discrete values, plus the log of the gap's width.
        max_steps: of Adam, on batches of 256 rows; training mostly ends before.
        progress: print to stderr how training goes.

    Raises:
        DataError: values are missing or not numbers, rows are too few, or a column is constant or discrete;
            with a flow of angles, a value is none.
        FlowError: the flow is unknown or does not fit the data.
        ArgumentError: `max_steps` is not positive, `seed` is no seed, or `dequantise` names a column that is
            not there.

    Source: Papamakarios et al. 2017 (arXiv 1705.07057), section 4; dequantisation: Theis et al. 2016
    (arXiv 1511.01844), section 3.1.

    Example:
        >>> x = np.random.default_rng(0).normal(3.0, 2.0, size=(500, 1))
        >>> fit = flowvi.fit_density(x, flow="gaussian", max_steps=200, progress=False)
        >>> fit.flow.log_prob(x).shape
        (500,)
    """
    if isinstance(max_steps, bool) or not isinstance(max_steps, int | np.integer) or max_steps < 1:
        raise ArgumentError(f"max_steps={max_steps!r}: give a positive number of steps.")
    seed = seed_of(seed)
    table, given = _checked(x, condition)
    rng = np.random.default_rng(seed)
    parts = split(table.rows, rng)
    widths = noise_widths(table, dequantise)
    of_condition = None if given is None else (given, moments_of_condition(given, parts.train))
    trained = flow_of(flow, table.columns, None if given is None else given.columns, seed)
    rows = Rows(table, widths, _moments(trained, table, parts.train), of_condition)
    tested = rows.take(parts.test, rng)
    log_scale = np.log(rows.moments.scale).sum()

    training = rounds(trained, rows, parts.train, parts.validation, rng, max_steps)
    followed = follow(trained, training, "density", log_scale, progress)
    trained = followed.model
    log_likelihood = np.asarray(trained.log_prob(*tested)) - log_scale
    return DensityFit(
        flow=_on_the_scale_of_data(trained, rows),
        held_out=Estimate(
            float(log_likelihood.mean()), float(log_likelihood.std(ddof=1) / np.sqrt(len(log_likelihood)))
        ),
        curve=followed.curve,
        names=table.names,
        dequantised=tuple(name for name, width in zip(table.names, widths, strict=True) if width > 0),
        test_rows=parts.test,
        skipped=followed.skipped,
        interrupted=followed.interrupted,
    )


def _checked(x: Any, condition: Any) -> tuple[Table, Table | None]:
    table = read_table(x, "x")
    given = None if condition is None else read_table(condition, "condition")
    if given is not None and given.rows != table.rows:
        raise DataError(
            f"x has {table.rows} rows but condition has {given.rows}. Give one condition for every row of x."
        )
    for one in (table, given):
        if one is not None:
            check_finite(one, may_be_constant=one is given)
    return table, given


def _moments(flow: Flow, table: Table, train: np.ndarray) -> Moments:
    if not flow.periodic:
        return moments(table, train)
    # another scale would give angles another period
    check_angles(table)
    return Moments(np.zeros(table.columns), np.ones(table.columns))


def _on_the_scale_of_data(flow: Flow, rows: Rows) -> Flow:
    of_condition = () if rows.condition is None else rows.condition[1]
    if not flow.periodic:
        return standardise_by(flow, *rows.moments, *of_condition)
    return standardise_condition(flow, *of_condition) if of_condition else flow
