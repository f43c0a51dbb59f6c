"""Have Markov chains mixed, and how many independent draws are theirs worth?"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float


class Mixing(NamedTuple):
    """Convergence of many chains, per scalar.

    Attributes:
        rhat: rank-normalised split R-hat.
        ess: effective draws, the smaller of those for the bulk and for the tails.
    """

    rhat: Float[np.ndarray, " scalars"]
    ess: Float[np.ndarray, " scalars"]

    @property
    def worst_rhat(self) -> float:
        """The largest R-hat; infinite where one is undefined, as for chains that do not move."""
        return float(np.where(np.isfinite(self.rhat), self.rhat, np.inf).max())

    @property
    def least_ess(self) -> float:
        """The fewest effective draws; zero where they are undefined."""
        return float(np.where(np.isfinite(self.ess), self.ess, 0.0).min())


def mixing(draws: Float[np.ndarray, "iterations chains scalars"]) -> Mixing:
    """R-hat and effective sample size of every scalar.

    Source: Vehtari et al. 2021 (arXiv 1903.08008), sections 4.1 and 4.3, as in arviz-stats.

    Example:
        >>> draws = np.random.default_rng(0).standard_normal((500, 4, 2))
        >>> bool(mixing(draws).worst_rhat < 1.01)
        True
    """
    array_stats = import_arviz()
    by_chain = np.moveaxis(draws, 0, 1)
    with np.errstate(all="ignore"):
        rhat = array_stats.rhat(by_chain, method="rank", chain_axis=0, draw_axis=1)
        bulk = array_stats.ess(by_chain, method="bulk", chain_axis=0, draw_axis=1)
        tail = array_stats.ess(by_chain, method="tail", prob=(0.05, 0.95), chain_axis=0, draw_axis=1)
    return Mixing(np.asarray(rhat), np.minimum(bulk, tail))


def import_arviz() -> Any:
    """`array_stats` of arviz-stats, whose import takes seconds that only chains should cost."""
    from arviz_stats.base import array_stats  # pyright: ignore[reportPrivateImportUsage]

    return array_stats
