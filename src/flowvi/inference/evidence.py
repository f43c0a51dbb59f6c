"""The log evidence, by weights or by the bridge."""

from __future__ import annotations

import numpy as np

from flowvi.diagnostics.bridge import bridge_sampling
from flowvi.diagnostics.estimate import Estimate
from flowvi.inference.chains import thinned
from flowvi.inference.correct import Weighted
from flowvi.inference.search import Search

_ROUNDING = 1e-12
"""Of a log evidence, in proportion: sums over observations and determinants in float64."""


def log_evidence(search: Search, weighted: Weighted) -> Estimate:
    """The log evidence, its standard error widened by what draws of q may not see."""
    value, error = log_evidence_seen(search, weighted)
    # where q is the posterior, weights differ by rounding alone, which says nothing of that of their mean
    error = float(np.hypot(error, _ROUNDING * (1 + abs(value))))
    beyond = search.q.beyond
    if beyond is None or search.q.defensive:
        return Estimate(value, error)
    unseen = [beyond.standard_error, max(beyond.value, 0.0)]
    unseen += [place.share for place in search.uncovered]
    return Estimate(value, float(np.hypot(error, np.linalg.norm(unseen))))


def log_evidence_seen(search: Search, weighted: Weighted) -> Estimate:
    """The log evidence of what has been drawn, by importance weights or, where there are chains, by the
    bridge between q and them."""
    if search.chains is None:
        return weighted.log_evidence
    z, log_density = thinned(search.chains, len(weighted.z))
    log_ratio = log_density.ravel() - search.q.proposal.log_prob(z.reshape(-1, z.shape[-1]))
    return bridge_sampling(weighted.log_weights, log_ratio, search.chains.mixing.least_ess)
