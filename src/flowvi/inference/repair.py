"""Markov chains where importance weights do not carry."""

from __future__ import annotations

import numpy as np

from flowvi.inference.audit import audit, climb_around_q
from flowvi.inference.chains import CHAINS, NUTS_CHAINS, run_chains
from flowvi.inference.correct import Weighted, unique_draws
from flowvi.inference.drift import drift
from flowvi.inference.proposal import gaussian_proposal
from flowvi.inference.search import Search


def repair(search: Search, weighted: Weighted) -> None:
    """Markov chains where importance weights do not carry, or short chains move their draws: in the base
    space of the flow and, where those do not mix, in the coordinates of the Gaussian."""
    if search.over:
        return
    try:
        if weighted.carry(search.least) and not _drifts(search, weighted):
            return
        search.ledger.enter("correct")
        search.audited = False
        starts = weighted.z[unique_draws(weighted, CHAINS, search.rng)]
        with np.errstate(all="ignore"):
            if search.trained or len(search.q.proposal.parts()) > 1:
                for hmc in run_chains(
                    search.density, search.q.proposal, starts, "hmc", search.rng, search.draws
                ):
                    search.chains = hmc
            if search.chains is None or not (search.chains.mixed or search.ledger.exhausted()):
                gaussian = gaussian_proposal(search.gaussian)
                hmc = search.chains
                few = starts[:NUTS_CHAINS]
                for nuts in run_chains(search.density, gaussian, few, "nuts", search.rng, search.draws):
                    better = hmc is None or nuts.mixing.worst_rhat < hmc.mixing.worst_rhat
                    search.chains = nuts if better else hmc
        climb_around_q(search)
        audit(search, weighted)
    except KeyboardInterrupt:
        search.interrupt(": Markov chains were cut short" if search.ledger.stage == "correct" else "")
    except (ArithmeticError, np.linalg.LinAlgError) as error:
        search.end(error)


def _drifts(search: Search, weighted: Weighted) -> bool:
    """Whether short chains move the weighted draws; weights that are all but constant leave no doubt."""
    if weighted.nearly_constant:
        return False
    search.ledger.enter("judge")
    with np.errstate(all="ignore"):
        search.drift = drift(search.density, search.q.with_normal_base(), weighted, search.rng)
    return bool(search.drift.found.any())
