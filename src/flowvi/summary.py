"""The table of a posterior: a row per scalar."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from flowvi.targets.base import Draws
from flowvi.targets.labels import labels

_MOST_ROWS = 20
"""Rows that one array may take in print."""

_COLUMNS = ("mean", "sd", "5%", "50%", "95%", "mcse")


class Moments(NamedTuple):
    """Numbers about a parameter: floats for a scalar, arrays of its shape for an array.

    Attributes:
        mean, sd: over the draws.
        q5, median, q95: quantiles.
        mcse: Monte Carlo standard error of the mean.
    """

    mean: Float[np.ndarray, "*shape"]
    sd: Float[np.ndarray, "*shape"]
    q5: Float[np.ndarray, "*shape"]
    median: Float[np.ndarray, "*shape"]
    q95: Float[np.ndarray, "*shape"]
    mcse: Float[np.ndarray, "*shape"]


@dataclass(frozen=True, repr=False, eq=False)
class Summary(Mapping[str, Moments]):
    """Mean, sd, quantiles and Monte Carlo error of every parameter; prints as a table.

    Look up a parameter, `summary["theta"].mean` of shape (8,), or a scalar, `summary["theta[3]"].mean`;
    iterates over the scalars.

    Attributes:
        parameters: name -> numbers in the parameter's shape.
        level: of the verdict.

    Raises:
        KeyError: no parameter or scalar has that name.

    Example:
        >>> print(summarise({"mu": np.array([1.0, 2.0, 3.0])}, 3.0, "good"))
            mean    sd    5%   50%   95%  mcse
        mu  2.00  1.00  1.10  2.00  2.90  0.58
        verdict: good
    """

    parameters: dict[str, Moments]
    level: str

    def __getitem__(self, name: str) -> Moments:
        if name in self.parameters:
            return self.parameters[name]
        parameter = name.rpartition("[")[0]
        if parameter in self.parameters:
            moments = self.parameters[parameter]
            shape = moments.mean.shape
            if name in (names := labels(parameter, shape)):
                return _entry(moments, np.unravel_index(names.index(name), shape))
        raise KeyError(f"{name!r} is no parameter; there are {', '.join(self.parameters)}")

    def __iter__(self) -> Iterator[str]:
        for name, moments in self.parameters.items():
            yield from labels(name, moments.mean.shape)

    def __len__(self) -> int:
        return sum(moments.mean.size for moments in self.parameters.values())

    def __str__(self) -> str:
        rows = [row for name, moments in self.parameters.items() for row in _rows(name, moments)]
        widths = [
            max(len(cell) for cell in column) for column in zip(*(r for r in rows if len(r) > 1), strict=True)
        ]
        widths = [max(w, len(c)) for w, c in zip(widths or [0] * 7, ("", *_COLUMNS), strict=True)]
        lines = [_line(("", *_COLUMNS), widths), *(_line(row, widths) for row in rows)]
        return "\n".join([*lines, f"verdict: {self.level}"])

    __repr__ = __str__


def summarise(draws: Draws, effective_draws: float, level: str) -> Summary:
    """The summary of draws that are worth `effective_draws` independent ones.

        mcse = sd / sqrt(effective draws)

    Unique draws, proposal i picked with probability n w_i <= 1, are worth n independent ones, as those of
    rejection sampling are: the proposals give sum_i w_i^2 (x_i - mean)^2 to the variance of the mean, picking
    from them gives (1/n) sum_i w_i (1 - n w_i) (x_i - mean)^2, and together that is sd^2 / n. Where weights
    had to be cut to 1/n, draws are worth no more than the proposals' effective sample size, 1 / sum_i w_i^2.

    Shapes: each array of draws (n, *shape).
    """
    return Summary(
        {name: _moments(np.asarray(x, float), effective_draws) for name, x in draws.items()}, level
    )


def _moments(x: np.ndarray, effective_draws: float) -> Moments:
    # a generated quantity may be infinite or NaN, and then so are its numbers
    with np.errstate(invalid="ignore", over="ignore"):
        sd = np.asarray(x.std(axis=0, ddof=1) if len(x) > 1 else np.full(x.shape[1:], np.nan))
        q5, median, q95 = np.quantile(x, [0.05, 0.5, 0.95], axis=0)
        return Moments(
            np.asarray(x.mean(axis=0)),
            sd,
            np.asarray(q5),
            np.asarray(median),
            np.asarray(q95),
            sd / math.sqrt(effective_draws),
        )


def _entry(moments: Moments, index: tuple) -> Moments:
    return Moments(*(np.asarray(values[index]) for values in moments))


def _rows(name: str, moments: Moments) -> list[tuple[str, ...]]:
    """The cells of a parameter's rows; a row of one cell says how many rows are left out."""
    names, columns = labels(name, moments.mean.shape), [np.ravel(values) for values in moments]
    shown = len(names) if len(names) <= _MOST_ROWS else _MOST_ROWS // 2
    rows: list[tuple[str, ...]] = [
        (names[i], *_cells([float(column[i]) for column in columns])) for i in range(shown)
    ]
    if shown < len(names):
        rows.append((f"... {len(names) - shown:,} more, to {names[-1]}",))
    return rows


def _cells(values: list[float]) -> list[str]:
    """As many decimals as show three digits of the sd; two digits of the Monte Carlo error."""
    sd, mcse = values[1], values[-1]
    if math.isfinite(sd) and 1e-4 < sd < 1e6:
        decimals = max(0, 2 - math.floor(math.log10(sd)))
        return [*(f"{v:.{decimals}f}" for v in values[:-1]), _two_digits(mcse)]
    return [*(f"{v:.4g}" for v in values[:-1]), f"{mcse:.2g}"]


def _two_digits(value: float) -> str:
    if not math.isfinite(value) or value <= 0:
        return f"{value:.2g}"
    return f"{value:.{max(0, 1 - math.floor(math.log10(value)))}f}"


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    name, *numbers = cells
    return "  ".join(
        [name.ljust(widths[0]), *(c.rjust(w) for c, w in zip(numbers, widths[1:], strict=False))]
    ).rstrip()
