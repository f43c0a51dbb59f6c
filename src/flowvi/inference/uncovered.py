"""Places that the starts led to and q does not cover: how much of the posterior is there?"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from flowvi.flows import MultivariateT
from flowvi.inference.correct import LEAST_PROPOSALS, weigh
from flowvi.inference.density import Density
from flowvi.inference.explore import Mode, Stray
from flowvi.inference.gaussian import Gaussian, batch_and_match
from flowvi.inference.proposal import Proposal, gaussian_proposal

MISSED_MASS = 0.01
"""Share of the evidence that a place outside q may have before it counts."""

_ABOVE = 5.0
"""Nats by which log p - log q may exceed the log evidence at a point that q covers."""

_LOW, _LOW_PER_DIM = 20.0, 5.0
"""Nats below the highest place, and more per dimension, at which a place would have to be wider than the
posterior by e^5 in every direction to count: it is where a climb got stuck."""

_FIRST_STEPS = 5
_STEPS = 25
"""Of batch-and-match: a few tell whether a place was a slope, more fit what it is."""

_DF = 5.0
"""Of the t around a place, whose draws weigh it."""

_MORE = 15
"""Times as many draws where the first ones do not tell whether a place counts."""

_NEGLIGIBLE = 0.001
"""Share of the evidence that is not worth evaluating q for."""

NEAR = 3.0
"""Distance, in sds of a Gaussian fitted already, within which a place is the same."""


class Uncovered(NamedTuple):
    """A place outside q.

    Attributes:
        location: (dim,), unconstrained.
        log_density: there.
        share: of the evidence of both, by importance weights from a Gaussian fitted there.
        gaussian: that Gaussian.
    """

    location: Float[np.ndarray, " dim"]
    log_density: float
    share: float
    gaussian: Gaussian


def uncovered(
    density: Density,
    proposal: Proposal,
    log_evidence: float,
    found: list[Mode | Stray],
    rng: np.random.Generator,
) -> list[Uncovered]:
    """The places with mass among those found, at which log p - log q is far above the log evidence.

    The curvature at a place says little of its mass (a kink has none, a ridge no end), so a Gaussian is
    fitted from there. Where it moves off to what q covers, the place was a slope; otherwise its importance
    weights tell the mass.
    """
    highest = max((start.log_density for start in found), default=0.0)
    places: list[Uncovered] = []
    searched: list[Gaussian] = []
    high = highest - _LOW - _LOW_PER_DIM * density.target.dim
    found = [start for start in found if start.log_density >= high]
    if not found:
        return []
    log_q = proposal.log_prob(np.stack([start.location for start in found]))
    for start, below in zip(found, log_q, strict=True):
        if start.log_density - below - log_evidence < _ABOVE:
            continue
        if any(known.distance(start.location) < NEAR for known in searched):
            continue
        fit = batch_and_match(density, Gaussian(start.location, start.scale_tril), rng, _FIRST_STEPS)
        if fit is None:
            continue
        if not covers(density, proposal, log_evidence, fit.gaussian.location):
            fit = batch_and_match(density, fit.gaussian, rng, _STEPS) or fit
        searched.append(fit.gaussian)
        mass = _mass_outside(density, proposal, log_evidence, fit.gaussian, rng)
        if mass > 0:
            share = mass / (1 + mass)
            places.append(Uncovered(start.location, start.log_density, share, fit.gaussian))
    return places


def covers(
    density: Density, proposal: Proposal, log_evidence: float, location: Float[np.ndarray, " dim"]
) -> bool:
    """Whether q has about the density of the posterior at a place, or more."""
    z = location[None]
    return bool(density.value(z)[0] - proposal.log_prob(z)[0] - log_evidence < _ABOVE)


def _mass_outside(
    density: Density, proposal: Proposal, log_evidence: float, local: Gaussian, rng: np.random.Generator
) -> float:
    """Evidence, over that of q, of what q does not cover around a local Gaussian; by more draws where the
    first ones do not tell whether it counts."""
    terms = _terms_outside(density, proposal, log_evidence, local, rng, LEAST_PROPOSALS)
    error = terms.std() / np.sqrt(len(terms))
    if terms.mean() - 2 * error < MISSED_MASS < terms.mean() + 2 * error:
        more = _terms_outside(density, proposal, log_evidence, local, rng, _MORE * LEAST_PROPOSALS)
        terms = np.concatenate([terms, more])
    return float(terms.mean())


def _terms_outside(
    density: Density,
    proposal: Proposal,
    log_evidence: float,
    local: Gaussian,
    rng: np.random.Generator,
    size: int,
) -> Float[np.ndarray, " S"]:
    """p / q_local / Z at draws that q does not cover, zero at others and at those that add up to next to
    nothing; at all draws where even all together do not count."""
    propose = gaussian_proposal(local).with_base(MultivariateT(density.target.dim, _DF))
    try:
        weighted = weigh(density, propose, rng, size)
    except ArithmeticError:
        return np.zeros(size)
    # a weight beyond all numbers is as good as all of the mass
    terms = np.exp(np.minimum(weighted.log_weights - log_evidence, 300))
    if terms.mean() + 2 * terms.std() / np.sqrt(size) < MISSED_MASS:
        return terms
    # the inverse of a flow costs far more than most densities
    order = np.argsort(terms)
    large = order[np.cumsum(terms[order]) > _NEGLIGIBLE * size]
    z, log_weights = weighted.z[large], weighted.log_weights[large]
    log_p = log_weights + propose.log_prob(z) - log_evidence
    outside = np.zeros(size)
    outside[large] = np.where(log_p - proposal.log_prob(z) > _ABOVE, terms[large], 0)
    return outside
