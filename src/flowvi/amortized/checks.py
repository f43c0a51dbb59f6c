"""What to expect of q(z | x): calibration, coverage, recovery and contraction over simulated data sets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, final

import numpy as np
from jaxtyping import Float, Int

from flowvi.amortized.failures import listed
from flowvi.calibration.result import Calibration
from flowvi.calibration.table import aligned, p_value
from flowvi.diagnostics.ranks import rank_among
from flowvi.errors import ArgumentError, DataError
from flowvi.targets.base import Draws
from flowvi.targets.labels import labels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_ROWS = 40
_MOST_PANELS = 12


class Checked(NamedTuple):
    """What simulated data sets say of one scalar.

    Attributes:
        p: the probability that uniform ranks depart as far from uniformity as these.
        adjusted: the same, adjusted for the number of scalars (Holm).
        coverage_50, coverage_90: share of true values within central intervals of that mass.
        recovery: correlation of posterior means with true values.
        contraction: 1 - mean posterior variance / prior variance.
    """

    p: float
    adjusted: float
    coverage_50: float
    coverage_90: float
    recovery: float
    contraction: float


@final
@dataclass(frozen=True, eq=False, repr=False)
class Checks:
    """True parameters of simulated data sets beside draws given these; prints as a table.

    Calibrated draws are no proof that the data were used: the prior is calibrated too. Recovery and
    contraction tell that.

    Attributes:
        calibration: the ranks of true values among draws; with `only`, `miscalibrated` and its own table.
        truth: label -> (data sets,) true values.
        means, sds: label -> (data sets,) of the draws.
        failed: why simulations were dropped -> how many were.
    """

    calibration: Calibration
    truth: dict[str, Float[np.ndarray, " sets"]]
    means: dict[str, Float[np.ndarray, " sets"]]
    sds: dict[str, Float[np.ndarray, " sets"]]
    failed: Mapping[str, int] = field(default_factory=dict)

    @property
    def simulations(self) -> int:
        """How many data sets were looked at."""
        return self.calibration.simulations

    @property
    def miscalibrated(self) -> tuple[str, ...]:
        """The scalars whose ranks are not uniform, by an adjusted p of at most 0.05."""
        return self.calibration.miscalibrated

    @cached_property
    def scalars(self) -> dict[str, Checked]:
        """Label -> what there is to say of this scalar, for all that vary."""
        return {
            label: Checked(
                scalar.p,
                scalar.adjusted,
                _coverage(scalar.ranks, self.calibration.draws, 0.5),
                _coverage(scalar.ranks, self.calibration.draws, 0.9),
                _correlation(self.means[label], self.truth[label]),
                _contraction(self.sds[label], self.truth[label]),
            )
            for label, scalar in self.calibration.scalars.items()
        }

    def plot_ecdf(self, names: Iterable[str] | None = None) -> Figure:
        """See `flowvi.Calibration.plot_ecdf`."""
        return self.calibration.plot_ecdf(names)

    def plot_ranks(self, names: Iterable[str] | None = None) -> Figure:
        """See `flowvi.Calibration.plot_ranks`."""
        return self.calibration.plot_ranks(names)

    def plot_recovery(self, names: Iterable[str] | None = None) -> Figure:
        """Posterior means with one sd to each side against true values; by default the first twelve scalars.

        Raises:
            DependencyError: matplotlib is missing.
            ArgumentError: no scalar has that name.
        """
        from flowvi.plots.recovery import recovery

        chosen = (
            list(self.truth)[:_MOST_PANELS] if names is None else [names] if isinstance(names, str) else names
        )
        unknown = [name for name in chosen if name not in self.truth]
        if unknown:
            raise ArgumentError(f"There is no scalar {unknown[0]!r}; there are {', '.join(self.truth)}.")
        return recovery({name: (self.truth[name], self.means[name], self.sds[name]) for name in chosen})

    def __str__(self) -> str:
        rows = [
            ["", "p", "adjusted", "50% covers", "90% covers", "recovery", "contraction"],
            ["if exact", "", "", "0.50", "0.90", "", ""],
        ]
        shown = list(self.scalars.items())[:_MOST_ROWS]
        for label, one in shown:
            rows.append(
                [label, p_value(one.p), p_value(one.adjusted)] + [f"{value:.2f}" for value in one[2:]]
            )
        lines = [
            f"{self.simulations} simulated data sets, true values ranked among {self.calibration.draws} "
            "draws",
            *aligned(rows),
        ]
        if len(shown) < len(self.scalars):
            lines.append(f"... {len(self.scalars) - len(shown):,} more")
        if self.failed:
            lines.append(f"Of the simulations, {listed(self.failed)}.")
        error = (0.9 * 0.1 / self.simulations) ** 0.5
        lines.append(f"Coverage has a standard error of {error:.2f} at 90%.")
        off = self.miscalibrated
        lines.append(
            f"MISCALIBRATED: the ranks of {', '.join(off[:4])}{' and more' if len(off) > 4 else ''} are not "
            "uniform."
            if off
            else "No ranks depart from uniform ones beyond chance."
        )
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"Checks(simulations={self.simulations}, miscalibrated={self.miscalibrated})"


def check_draws(truth: Draws, draws: Draws, seed: int = 0) -> Checks:
    """Checks of any draws of parameters given data, beside the parameters that the data were simulated with.

    Shapes: truth name -> (data sets, *shape), draws name -> (data sets, draws, *shape).

    Raises:
        DataError: shapes do not fit, or there are no names in common.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> truth, draws = {"mu": rng.normal(size=200)}, {"mu": rng.normal(size=(200, 99))}
        >>> checks = check_draws(truth, draws)
        >>> checks.miscalibrated, abs(round(checks.scalars["mu"].contraction, 0))
        ((), 0.0)
    """
    names = [name for name in draws if name in truth]
    if not names:
        raise DataError(f"There are draws of {list(draws)}, but true values of {list(truth)}.")
    rng = np.random.default_rng(seed)
    ranks, constant, flat = {}, {}, {}
    for name in names:
        true, drawn = np.asarray(truth[name], float), np.asarray(draws[name], float)
        if drawn.shape[:1] + drawn.shape[2:] != true.shape:
            raise DataError(f"'{name}': draws {drawn.shape} do not fit true values {true.shape}.")
        ranked = [rank_among(np.asarray(one), among, rng) for one, among in zip(true, drawn, strict=True)]
        ranks[name] = np.stack([rank for rank, _ in ranked])
        constant[name] = np.all([fixed for _, fixed in ranked], axis=0)
        columns = (true, drawn.mean(axis=1), drawn.std(axis=1, ddof=1))
        flat |= {
            label: values
            for label, *values in zip(
                labels(name, true.shape[1:]), *(c.reshape(len(c), -1).T for c in columns), strict=True
            )
        }
    sets, count = np.shape(draws[names[0]])[:2]
    return Checks(
        # draws that are not corrected have no verdict
        Calibration(ranks, draws=count, levels=("inconclusive",) * sets, constant=constant),
        *({label: values[i] for label, values in flat.items()} for i in range(3)),
    )


def _coverage(ranks: Int[np.ndarray, " N"], draws: int, level: float) -> float:
    """Share of ranks in the middle: of true values within the central interval between order statistics."""
    share = (ranks + 0.5) / (draws + 1)
    return float(np.mean(np.abs(share - 0.5) < level / 2))


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    spread = a.std() * b.std()
    return float(np.mean((a - a.mean()) * (b - b.mean())) / spread) if spread > 0 else 0.0


def _contraction(sds: np.ndarray, truth: np.ndarray) -> float:
    spread = truth.var()
    return float(1 - (sds**2).mean() / spread) if spread > 0 else np.nan
