"""q, weighted draws of it, and whether they carry."""

from __future__ import annotations

import numpy as np

from flowvi.diagnostics.estimate import Estimate
from flowvi.flows import DefensiveNormal, Normal
from flowvi.inference.correct import (
    LEAST_PROPOSALS,
    Weighted,
    weigh,
    weigh_for_unique,
    with_best_tails,
)
from flowvi.inference.density import Density
from flowvi.inference.explore import Mode, Stray
from flowvi.inference.proposal import Proposal
from flowvi.inference.reach import mass_beyond, reaches


class Approximation:
    """A q whose tails are chosen, and whose draws are weighted, as far as has been asked for.

    Attributes:
        proposal: q on the model's unconstrained scale, with the tails it has by now.
        fitted: weighted draws of q as it was fitted; None before they are made.
        weighted: weighted draws, enough for the unique draws wanted where that can be had; None likewise.
        beyond: posterior mass that draws of q do not see; None where it was not looked for.
        negligible: places that starts led to, outside q, at which there is no mass.
    """

    def __init__(
        self,
        density: Density,
        rng: np.random.Generator,
        least: int,
        proposal: Proposal,
        fitted: Weighted | None = None,
    ) -> None:
        self.proposal = proposal
        self.fitted = fitted
        self.weighted: Weighted | None = None
        self.beyond: Estimate | None = None
        self.negligible: list[Mode | Stray] = []
        self._as_fitted = proposal
        self._begun: Weighted | None = None
        self._density = density
        self._rng = rng
        self._least = least

    @property
    def defensive(self) -> bool:
        """Whether draws come from far out too."""
        return isinstance(self.proposal.base, DefensiveNormal)

    def with_normal_base(self) -> Proposal:
        """q without the tails that were chosen for it: what it covers, rather than reaches."""
        return self.proposal.with_base(Normal(self.proposal.base.dim))

    def choose_tails(self) -> tuple[Weighted, Weighted]:
        """Weighted draws of q as it was fitted, and with the tails it has from now on."""
        if self.fitted is None:
            self.fitted = weigh(self._density, self.proposal, self._rng, LEAST_PROPOSALS)
        self._as_fitted = self.proposal
        self.proposal, quick = with_best_tails(self._density, self.proposal, self.fitted, self._rng)
        # draws that tails were chosen by are no fair sample of the weights
        self._begun = quick if quick is self.fitted else None
        self._density.ledger.show(self.fitted.elbo.value, self.fitted.sd_log_weights, quick.khat)
        return self.fitted, quick

    def carries(self, most: int) -> bool:
        """Whether weights of q carry all draws, and q reaches what has to be reached; else the same with a
        defensive base."""
        weighted = self.weighted or self.weigh_for_draws(most)
        if not weighted.carry(self._least) or self.defensive:
            return weighted.carry(self._least)
        self.beyond = mass_beyond(self._density, self.proposal, weighted.log_evidence.value, self._rng)
        if reaches(self.beyond):
            return True
        self._take(self.proposal.with_base(DefensiveNormal(self.proposal.base.dim)))
        return self.weigh_for_draws(most).carry(self._least)

    def weigh_for_draws(self, most: int) -> Weighted:
        """Weighted draws, made now."""
        self.weighted = weigh_for_unique(
            self._density, self.proposal, self._rng, self._least, most, self._begun
        )
        return self.weighted

    def go_back(self) -> None:
        """Take q as it was fitted again, whose weighted draws are `fitted`."""
        self.proposal = self._as_fitted

    def _take(self, proposal: Proposal) -> None:
        self.proposal, self.weighted, self._begun = proposal, None, None
