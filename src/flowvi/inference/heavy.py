"""Places under the largest weights of a mixture: modes that one of its parts covers together with others."""

from __future__ import annotations

import numpy as np

from flowvi.inference.correct import Weighted
from flowvi.inference.density import Density
from flowvi.inference.explore import explore
from flowvi.inference.gaussian import Gaussian, batch_and_match
from flowvi.inference.uncovered import NEAR, Uncovered

_CLIMBS = 32

_HEAVY = 1.5
"""Times the mean weight, above which a climb may begin at a draw."""

_STEPS = 10
"""Of batch-and-match, from where a climb ended."""


def under_large_weights(density: Density, weighted: Weighted, rng: np.random.Generator) -> list[Uncovered]:
    """Gaussians fitted where climbs end that begin at draws with large weights.

    A flow that was trained before other modes were known may cover some of them, none well: then q misses
    nothing, and yet its weights do not carry. Shares are those of the weight, a climb each.
    """
    size = len(weighted.weights)
    heavy = np.where(size * weighted.weights > _HEAVY, weighted.weights, 0.0)
    climbs = min(_CLIMBS, np.count_nonzero(heavy))
    if not climbs:
        return []
    chosen = rng.choice(size, climbs, p=heavy / heavy.sum(), replace=False)
    share = float(heavy.sum()) / climbs
    modes, strays = explore(density, weighted.z[chosen])
    places: list[Uncovered] = []
    for end in [*modes, *strays]:
        if any(place.gaussian.distance(end.location) < NEAR for place in places):
            continue
        fit = batch_and_match(density, Gaussian(end.location, end.scale_tril), rng, _STEPS)
        if fit is not None:
            places.append(Uncovered(end.location, end.log_density, share, fit.gaussian))
    return places
