"""What `flowvi.calibrate` returns: the ranks of true values among draws, and whether they are uniform."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from flowvi.calibration.table import table, verdicts
from flowvi.diagnostics.ranks import mean_and_spread
from flowvi.diagnostics.uniformity import holm, uniformity
from flowvi.errors import ArgumentError, DataError
from flowvi.targets.labels import labels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CLAIMED = ("good", "corrected")

_MOST_PANELS = 12


class Scalar(NamedTuple):
    """One scalar's ranks and what they say.

    Attributes:
        ranks: (simulations,) integers from 0 to the number of draws.
        mean: of the ranks as a share of the draws; 1/2 when calibrated, less where draws are too high.
        spread: of the ranks around 1/2 over that of uniform ones; above 1 where draws are too narrow.
        p: the probability that uniform ranks depart as far from uniformity as these.
        adjusted: the same, adjusted for the number of scalars (Holm).
    """

    ranks: Int[np.ndarray, " simulations"]
    mean: float
    spread: float
    p: float
    adjusted: float


@dataclass(frozen=True, eq=False, repr=False)
class Calibration:
    """Ranks of true values among posterior draws over simulated data sets; prints as a table.

    Every data set that was fitted counts, whatever its verdict; `claimed` is the same of those alone whose
    verdict is good or corrected.

    Attributes:
        ranks: name -> integers (simulations, *shape) from 0 to `draws`; "log density" is that of the joint
            density of parameters and data.
        draws: how many posterior draws each true value was ranked among.
        levels: (simulations,) the verdict of each fit.
        constant: name -> (*shape), whether a scalar never varied; those are not tested.
        failures: number of the data set -> why it could not be fitted.
        notes: sentences on what else there is to know.

    Example:
        >>> ranks = {"mu": np.arange(100)}
        >>> calibration = Calibration(ranks, draws=99, levels=("good",) * 100)
        >>> calibration.miscalibrated
        ()
    """

    ranks: Mapping[str, Int[np.ndarray, "simulations ..."]]
    draws: int
    levels: tuple[str, ...]
    constant: Mapping[str, Bool[np.ndarray, ...]] = field(default_factory=dict)
    failures: Mapping[int, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def simulations(self) -> int:
        """How many data sets were fitted."""
        return len(self.levels)

    @cached_property
    def scalars(self) -> dict[str, Scalar]:
        """Label -> what the ranks of this scalar say, for all that vary."""
        ranks: dict[str, np.ndarray] = {}
        for name, values in self.ranks.items():
            constant = np.ravel(self.constant.get(name, np.zeros(values.shape[1:], bool)))
            columns = values.reshape(len(values), -1).T
            named = zip(labels(name, values.shape[1:]), columns, constant, strict=True)
            ranks |= {label: column for label, column, fixed in named if not fixed}
        p = np.array([uniformity(column, self.draws) for column in ranks.values()])
        numbers = zip(ranks.items(), p, holm(p), strict=True)
        return {
            label: Scalar(column, *(float(x) for x in (*mean_and_spread(column, self.draws), one, adjusted)))
            for (label, column), one, adjusted in numbers
        }

    @property
    def miscalibrated(self) -> tuple[str, ...]:
        """The scalars whose adjusted p is at most 0.05, the most certain first.

        Among calibrated scalars alone, one or more of them is named in 5 of 100 calibrations.
        """
        found = [label for label, scalar in self.scalars.items() if scalar.adjusted <= 0.05]
        return tuple(sorted(found, key=lambda label: self.scalars[label].p))

    @cached_property
    def claimed(self) -> Calibration:
        """The same of the fits whose verdict was good or corrected.

        Raises:
            DataError: there were none.
        """
        kept = np.array([level in CLAIMED for level in self.levels], bool)
        if not kept.any():
            raise DataError("No fit was good or corrected, so nothing was claimed.")
        return dataclasses.replace(
            self,
            ranks={name: values[kept] for name, values in self.ranks.items()},
            levels=tuple(level for level in self.levels if level in CLAIMED),
        )

    def only(self, *names: str) -> Calibration:
        """The same of these parameters alone: p values are then adjusted for their scalars only.

        Choose them before you have seen the others.

        Raises:
            ArgumentError: no parameter has that name.
        """
        unknown = [name for name in names if name not in self.ranks]
        if unknown or not names:
            raise ArgumentError(
                f"There are no ranks of {', '.join(map(repr, unknown)) or 'nothing'}; there are "
                f"{', '.join(self.ranks)}."
            )
        return dataclasses.replace(self, ranks={name: self.ranks[name] for name in names})

    def plot_ranks(self, names: Iterable[str] | None = None) -> Figure:
        """Histograms of the ranks, with the band that all bars of a calibrated scalar stay in at 95%.

        Args:
            names: parameters or scalars; by default those twelve with the smallest p.

        Raises:
            DependencyError: matplotlib is missing.
            ArgumentError: no parameter or scalar has that name.
        """
        from flowvi.plots import rank_histograms

        return rank_histograms(self._chosen(names), self.draws)

    def plot_ecdf(self, names: Iterable[str] | None = None) -> Figure:
        """Differences of the ranks' ECDF to that of uniform ones, with simultaneous 95% bands.

        The inner band is for one scalar looked at alone; the outer one, dashed, for all of the calibration's
        together: a scalar leaves it where its p times their number is at most 0.05.

        Args, Raises: as for `plot_ranks`.
        """
        from flowvi.plots import ecdf_differences

        return ecdf_differences(self._chosen(names), self.draws, len(self.scalars))

    def _chosen(self, names: Iterable[str] | None) -> dict[str, Int[np.ndarray, " simulations"]]:
        if names is None:
            chosen = sorted(self.scalars, key=lambda label: self.scalars[label].p)[:_MOST_PANELS]
            return {label: scalar.ranks for label, scalar in self.scalars.items() if label in chosen}
        found: dict[str, np.ndarray] = {}
        for name in [names] if isinstance(names, str) else names:
            whole = labels(name, self.ranks[name].shape[1:]) if name in self.ranks else [name]
            some = {label: self.scalars[label].ranks for label in whole if label in self.scalars}
            if not some:
                raise ArgumentError(
                    f"There are no ranks of {name!r} that vary; there are {', '.join(self.ranks)}."
                )
            found |= some
        return found

    def __str__(self) -> str:
        return table(self)

    def __repr__(self) -> str:
        return f"Calibration(simulations={self.simulations}, draws={self.draws}, verdicts={verdicts(self)!r})"
