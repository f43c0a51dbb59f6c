"""Is there mass where q has none?"""

from __future__ import annotations

import numpy as np

from flowvi.inference.chains import share_near
from flowvi.inference.correct import Weighted
from flowvi.inference.evidence import log_evidence_seen
from flowvi.inference.explore import climb_around
from flowvi.inference.reach import mass_beyond
from flowvi.inference.search import Search
from flowvi.inference.uncovered import Uncovered, uncovered

_MOST_PROBES = 32_768
"""For what chains may have missed, where draws of q say little."""


def climb_around_q(search: Search) -> None:
    """More places, from around q."""
    search.audited = False
    search.ledger.enter("judge")
    with np.errstate(all="ignore"):
        search.strays += climb_around(search.density, *search.gaussian, search.rng)


def audit(search: Search, weighted: Weighted) -> None:
    """Look for mass at the places that climbs led to and q does not cover."""
    search.audited = False
    search.ledger.enter("judge")
    with np.errstate(all="ignore"):
        log_evidence = log_evidence_seen(search, weighted).value
        if search.chains is not None:
            search.q.beyond = mass_beyond(
                search.density, search.q.proposal, log_evidence, search.rng, most=_MOST_PROBES
            )
        found = [*search.modes, *search.strays]
        # far draws of a defensive base reach other modes, but do not draw from them
        covering = search.chains is not None or weighted.carry(search.least)
        q = search.q.proposal if covering else search.q.with_normal_base()
        # what counted for nothing beside this q does not have to be weighed again
        known = search.q.negligible
        found = [start for start in found if not any(start is one for one in known)]
        places = uncovered(search.density, q, log_evidence, found, search.rng)
        known += [start for start in found if not any(start.location is p.location for p in places)]
        search.uncovered = [place for place in places if not _visited(search, place)]
    # an interrupt may have come before tails were looked for
    search.audited = search.q.beyond is not None or search.q.defensive


def _visited(search: Search, place: Uncovered) -> bool:
    """Whether the chains have been where q is not."""
    return search.chains is not None and share_near(search.chains, place.gaussian) > place.share / 4
